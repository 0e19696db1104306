"""To which class do examples without a label belong? To that of their neighbours, and of the neighbours of those."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from intel_starts.graph import modularities

__all__ = ["spread_labels"]

_NEIGHBOURS = 10
_CLAMPING = 0.99
"""How much a row hears its neighbours rather than its first label (alpha of Zhou et al., 2004)."""
_ITERATIONS = 200
_NEAREST = 5
_FLOOR = 1e-6
_COMPONENTS = 50


def spread_labels(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    examples: int,
    seed: int,
    also: Callable[[NDArray[np.int64]], NDArray[Any]] | None = None,
) -> NDArray[np.int64]:
    """A label for every row; those that are given stay as they are.

    Labels are spread over the graph of nearest neighbours (Zhou et al., 2004, as in scikit-learn) of the labelled rows
    and of others, up to a number of rows; the remaining rows take the label of most of their nearest ones.

    Args:
        values: ``(n, d)``.
        labels: ``(n,)``, -1 for none.
        examples: at most so many rows without a label are in the graph.
        seed: decides which.
        also: gives another view of some rows, ``(m,) -> (m, e)``, of which 50 principal components are used. If what
            the first graph finds is at least half as modular in a graph of that view, the label of a row is that with
            the largest product of its shares in both.

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
        shares = [_shares(values[rows], labels[rows])]
        other = None if also is None else _narrowed(also(rows), random)
        if other is not None and _is_told_by(other, values[rows], shares[0].argmax(1)):
            shares.append(_shares(other, labels[rows]))
        # A row that one graph does not reach has the shares of the other.
        known_by = [np.where(share.sum(1, keepdims=True) > 0, share + _FLOOR, 1.0) for share in shares]
        reached = np.sum([share.sum(1) for share in shares], axis=0) > 0
        found = labels.copy()
        found[rows[reached]] = np.unique(labels[known])[np.prod(known_by, axis=0).argmax(1)][reached]
        found[known] = labels[known]
        left = np.flatnonzero(found < 0)
        if len(left):
            sure = np.flatnonzero(found >= 0)
            nearest = KNeighborsClassifier(min(_NEAREST, len(sure))).fit(values[sure], found[sure])
            found[left] = nearest.predict(values[left])
    return found


def _shares(values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each label reaches each row, ``(m, classes)``; 0 for a row that none reaches."""
    neighbours = min(_NEIGHBOURS, len(values) - 1)
    graph = LabelSpreading(kernel="knn", n_neighbors=neighbours, alpha=_CLAMPING, max_iter=_ITERATIONS)
    shares: NDArray[np.float64] = np.nan_to_num(graph.fit(values, labels).label_distributions_)
    return shares


def _is_told_by(other: NDArray[np.float64], values: NDArray[np.float64], cluster: NDArray[np.int64]) -> bool:
    """Whether clusters that one view tells are told by the other as well."""
    first, second = (float(modularities(view, [cluster], int(cluster.max()) + 1)[0]) for view in (values, other))
    return second > first / 2


def _narrowed(values: NDArray[Any], random: np.random.Generator) -> NDArray[np.float64]:
    """At most 50 principal components."""
    if min(values.shape) <= _COMPONENTS:
        return values.astype(np.float64)
    components = PCA(_COMPONENTS, svd_solver="randomized", random_state=int(random.integers(2**32)))
    narrow: NDArray[np.float64] = components.fit_transform(values).astype(np.float64)
    return narrow
