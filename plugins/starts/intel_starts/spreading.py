"""To which class do examples without a label belong? To that of their neighbours, and of the neighbours of those."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

__all__ = ["spread_labels"]

_NEIGHBOURS = 10
_CLAMPING = 0.99
"""How much a row hears its neighbours rather than its first label (alpha of Zhou et al., 2004)."""
_ITERATIONS = 200
_NEAREST = 5


def spread_labels(
    values: NDArray[np.float64], labels: NDArray[np.int64], examples: int, seed: int
) -> NDArray[np.int64]:
    """A label for every row; those that are given stay as they are.

    Labels are spread over the graph of nearest neighbours (Zhou et al., 2004, as in scikit-learn) of the labelled rows
    and of others, up to a number of rows; the remaining rows take the label of most of their nearest ones.

    Args:
        values: ``(n, d)``.
        labels: ``(n,)``, -1 for none.
        examples: at most so many rows without a label are in the graph.
        seed: decides which.

    >>> rows = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (50, 2)) for m in (0.0, 1.0)])
    >>> given = np.full(100, -1)
    >>> given[[0, 50]] = 0, 1
    >>> spread_labels(rows, given, 100, seed=0).reshape(2, 50).mean(1).tolist()
    [0.0, 1.0]
    """
    known = np.flatnonzero(labels >= 0)
    unknown = np.flatnonzero(labels < 0)
    if not len(unknown):
        return labels.copy()
    random = np.random.default_rng(seed)
    some = unknown if len(unknown) <= examples else random.choice(unknown, examples, replace=False)
    rows = np.sort(np.concatenate([known, some]))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="invalid value encountered")  # a row that no label reaches
        neighbours = min(_NEIGHBOURS, len(rows) - 1)
        graph = LabelSpreading(kernel="knn", n_neighbors=neighbours, alpha=_CLAMPING, max_iter=_ITERATIONS)
        graph.fit(values[rows], labels[rows])
        reached = np.isfinite(graph.label_distributions_).all(1) & (graph.label_distributions_.sum(1) > 0)
        found = labels.copy()
        found[rows[reached]] = graph.transduction_[reached]
        found[known] = labels[known]
        left = np.flatnonzero(found < 0)
        if len(left):
            sure = np.flatnonzero(found >= 0)
            nearest = KNeighborsClassifier(min(_NEAREST, len(sure))).fit(values[sure], found[sure])
            found[left] = nearest.predict(values[left])
    return found
