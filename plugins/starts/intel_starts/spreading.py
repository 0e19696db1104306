"""To which class do examples without a label belong? To that of their neighbours, and of the neighbours of those."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from intel_starts.fits import FITS_OF_PARTS, joined_mixture
from intel_starts.graph import moved, neighbour_graph
from intel_starts.views import Values, second_view

__all__ = ["classes_by_labels", "spread_labels"]

_CLAMPING = 0.99
"""How much a row hears its neighbours rather than its first label (alpha of Zhou et al., 2004)."""
_ITERATIONS = 200
_NEAREST = 5
LEAST_AGREEMENT = 0.8
_FLOOR = 1e-6


def spread_labels(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    examples: int,
    seed: int,
    also: Values | None = None,
) -> NDArray[np.int64]:
    """A label for every row; those that are given stay as they are.

    Labels are spread over the graph of nearest neighbours (Zhou et al., 2004, as in scikit-learn) of the labelled rows
    and of others, up to a number of rows. Then each of these moves to the class of most of its neighbours
    (`intel_starts.graph.moved`), and the remaining rows take the label of most of their nearest ones.

    Args:
        values: ``(n, d)``.
        labels: ``(n,)``, -1 for none.
        examples: at most so many rows without a label are in the graph.
        seed: decides which.
        also: a second view of the rows. If it tells what the first graph finds (`intel_starts.views.second_view`), the
            label of a row is that with the largest product of its shares in both.

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
        classes, numbers = np.unique(labels[known], return_inverse=True)
        begun = np.full(len(rows), -1)
        begun[np.searchsorted(rows, known)] = numbers
        graph = neighbour_graph(values[rows])
        shares = [_shares(graph, begun)]
        if also is not None:
            other = second_view(graph, also(rows), shares[0].argmax(1), len(classes), random)
            if other is not None:
                shares.append(_shares(other.graph, begun))
                graph = graph + other.graph
        # A row that one graph does not reach has the shares of the other.
        known_by = [np.where(share.sum(1, keepdims=True) > 0, share + _FLOOR, 1.0) for share in shares]
        reached = np.sum([share.sum(1) for share in shares], axis=0) > 0
        cluster = np.where(begun >= 0, begun, np.prod(known_by, axis=0).argmax(1))
        stay = np.flatnonzero((begun >= 0) | ~reached)
        cluster = moved(graph, cluster, len(classes), random, fixed=stay)
        found = labels.copy()
        found[rows[reached]] = classes[cluster[reached]]
        found[known] = labels[known]
        left = np.flatnonzero(found < 0)
        if len(left):
            sure = np.flatnonzero(found >= 0)
            nearest = KNeighborsClassifier(min(_NEAREST, len(sure))).fit(values[sure], found[sure])
            found[left] = nearest.predict(values[left])
    return found


def classes_by_labels(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    examples: int,
    seed: int,
    also: Values | None = None,
) -> tuple[NDArray[np.int64], dict[str, JsonValue]]:
    r"""A label for every row: that of its neighbours, or of most labelled rows in its cluster.

    As many clusters as there are classes are found without labels (`intel_starts.fits.joined_mixture`) and matched one
    to one with the classes by the labelled rows. Their labels are taken, where no label is given, unless the labelled
    rows agree with them less often, by more than a standard error, than `spread_labels` does, or in less than four
    fifths: with few labels, clusters know more of the boundaries between classes; if classes are no clusters, the
    labelled rows say so.

    Args:
        values: as the others, of `spread_labels`.
        labels: see there.
        examples: see there.
        seed: see there.
        also: see there.

    Returns:
        The labels, and facts: ``by``, clusters or neighbours, and ``labels_agree``, the share of the labelled rows
        whose label is that of their cluster.

    >>> random = np.random.default_rng(0)
    >>> rows = np.concatenate([random.normal(m, 0.1, (100, 2)) for m in (0.0, 1.0)])
    >>> given = np.full(200, -1)
    >>> given[[0, 100]] = 0, 1
    >>> found, facts = classes_by_labels(rows, given, 200, seed=0)
    >>> found.reshape(2, 100).mean(1).tolist(), facts["by"]
    ([0.0, 1.0], 'clusters')
    """
    spread = spread_labels(values, labels, examples, seed, also)
    known = np.flatnonzero(labels >= 0)
    classes, numbers = np.unique(labels[known], return_inverse=True)
    if len(known) == len(labels) or len(classes) == 1:
        return spread, {"by": "neighbours"}
    widest = float(values.std(0).max()) or 1.0
    cluster = joined_mixture(values / widest, len(classes), FITS_OF_PARTS, examples, seed, also=also).cluster.numpy()
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (cluster[known], numbers), 1)
    of_cluster = linear_sum_assignment(-counts)[1]
    by_cluster = classes[of_cluster[cluster]]
    agree = float((by_cluster[known] == labels[known]).mean())
    error = math.sqrt(max(agree * (1 - agree), 1 / len(known)) / len(known))
    facts: dict[str, JsonValue] = {"by": "clusters", "labels_agree": round(agree, 4)}
    if agree < LEAST_AGREEMENT or agree + error < float((by_cluster == spread).mean()):
        return spread, {**facts, "by": "neighbours"}
    by_cluster[known] = labels[known]
    return by_cluster, facts


def _shares(graph: sparse.csr_matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each label reaches each row, ``(m, classes)``; 0 for a row that none reaches."""
    spreading = LabelSpreading(kernel=lambda *_: graph, alpha=_CLAMPING, max_iter=_ITERATIONS)
    # It asks for values although the graph is all that counts.
    spreading.fit(np.zeros((len(labels), 1)), labels)
    shares: NDArray[np.float64] = np.nan_to_num(spreading.label_distributions_)
    return shares
