"""Do two labelings of the same rows agree? Tables of counts, mutual information, purity.

Rows of a table are clusters and columns are classes; the scores do not depend on their order.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "Counts",
    "Labeling",
    "adjusted_rand",
    "agreement_of",
    "contingency_table",
    "normalised_mutual_information",
    "purity",
]

Counts = NDArray[np.int64]


class Labeling(NamedTuple):
    """The cluster of each of some examples, ``(n,)``, and how many clusters there are."""

    cluster: Tensor
    k: int


def contingency_table(cluster: Tensor, target: Tensor, clusters: int, classes: int) -> Counts:
    """Counts of rows by cluster and class, ``(n,)`` and ``(n,)`` -> ``(clusters, classes)``.

    >>> import torch
    >>> contingency_table(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0]), 2, 2).tolist()
    [[0, 2], [1, 0]]
    """
    cells = cluster.long().cpu().numpy() * classes + target.long().cpu().numpy()
    return np.bincount(cells, minlength=clusters * classes).reshape(clusters, classes).astype(np.int64)


def normalised_mutual_information(table: Counts, *, over: Literal["mean", "smaller"] = "mean") -> float:
    r"""The mutual information of cluster and class as a share of their entropies, in [0, 1].

    .. math:: \frac{I(a; b)}{\frac12 (H(a) + H(b))} \qquad \text{or} \qquad \frac{I(a; b)}{\min\{H(a), H(b)\}}

    As in scikit-learn's ``normalized_mutual_info_score`` it is 1 where both are constant, and 0 where one of them is.

    Args:
        table: counts ``(clusters, classes)``, not all 0.
        over: which entropy it is divided by: the mean of both (scikit-learn's ``arithmetic``), or the smaller one
            (``min``), which is 1 where one labeling tells the other even if it has more values.

    >>> round(normalised_mutual_information(np.array([[5, 0], [0, 5]])), 9)
    1.0
    >>> table = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])
    >>> [round(normalised_mutual_information(table, over=one), 3) for one in ("mean", "smaller")]
    [0.667, 1.0]
    """
    joint = table / table.sum()
    entropies = _entropy(joint.sum(1)), _entropy(joint.sum(0))
    total = sum(entropies)
    if max(entropies) <= 1e-12:
        return 1.0
    if min(entropies) <= 1e-12:
        return 0.0
    shared = total - _entropy(joint.ravel())
    share = 2 * shared / total if over == "mean" else shared / min(entropies)
    return min(1.0, max(0.0, share))


def _entropy(p: NDArray[Any]) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def adjusted_rand(table: Counts) -> float:
    r"""The share of pairs of rows that both labelings put together or apart, adjusted so that chance gives 0.

    .. math:: \frac{\sum_{ij} \binom{n_{ij}}{2} - E}{\frac12 (A + B) - E}, \qquad
        A = \sum_i \binom{a_i}{2}, \quad B = \sum_j \binom{b_j}{2}, \quad E = A B \Big/ \binom{n}{2}

    with :math:`n_{ij}` the counts and :math:`a_i`, :math:`b_j` their sums by row and column. 1 for the same partition,
    about 0 for unrelated ones, and below 0 for less agreement than by chance.

    Source: Hubert and Arabie, "Comparing partitions", 1985.

    Args:
        table: counts ``(clusters, classes)``, not all 0.

    >>> adjusted_rand(np.array([[0, 5], [5, 0]])), adjusted_rand(np.array([[2, 2], [2, 2]])) < 0
    (1.0, True)
    """
    together, rows, columns, every = (
        float((counts * (counts - 1.0)).sum()) for counts in (table, table.sum(1), table.sum(0), table.sum())
    )
    expected = rows * columns / every if every else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def purity(table: Counts) -> float:
    """Share of rows whose class is the most frequent one of their cluster; it rises with the number of clusters.

    >>> purity(np.array([[3, 1], [0, 4]]))
    0.875
    """
    return float(table.max(1).sum() / table.sum())


def agreement_of(first: Labeling, second: Labeling) -> tuple[float, float]:
    """The normalised mutual information of two labelings of the same examples, and their adjusted Rand index.

    >>> import torch
    >>> one, other = torch.tensor([0, 0, 1, 1]), torch.tensor([2, 2, 0, 0])
    >>> agreement_of(Labeling(one, 2), Labeling(other, 3))
    (1.0, 1.0)
    """
    table = contingency_table(first.cluster, second.cluster, first.k, second.k)
    return normalised_mutual_information(table), adjusted_rand(table)
