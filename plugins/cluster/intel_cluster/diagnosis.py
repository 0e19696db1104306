"""Did the clusters take, and are they the classes? Counts of data by cluster and label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intel_core.helpers.contingency import contingency_table, normalised_mutual_information, purity
from intel_core.helpers.labels import as_classes

__all__ = ["best_matching", "describe_clusters"]

MAX_MATCHED = 12


def describe_clusters(index: Tensor, proportions: Tensor, labels: Tensor | None) -> dict[str, Any]:
    """Numbers that can be written as JSON.

    Args:
        index: cluster of each row, shape ``(n,)``.
        proportions: the prior's mass in each cluster, shape ``(K,)``.
        labels: class of each row, shape ``(n,)``. Labels that are no classes (not integers, several per row,
            more than 1000 different ones) are left aside.

    Returns:
        ``proportions`` (the prior's, learned or fixed) and ``data_shares`` (the data's) of each cluster. With
        labels also ``classes``, ``contingency`` (a row of counts per cluster, a column per class), ``purity``
        (share of the data whose class is the most frequent one of its cluster; with fewer clusters than classes
        it cannot reach 1), ``cohesion`` (share of the data that lie in the main cluster of their class: 1 where
        no class is torn apart), ``nmi`` (mutual information of cluster and class over the mean of their
        entropies, 1 where both are constant, as in scikit-learn) and, where there are as many classes as clusters and
        at most 12, ``accuracy`` (share of the data on the diagonal under the best one-to-one matching of clusters and
        classes). An accuracy needs no order of the clusters, which a likelihood cannot identify.

    >>> found = describe_clusters(torch.tensor([0, 0, 0, 1]), torch.tensor([0.5, 0.5]), torch.tensor([7, 7, 3, 3]))
    >>> found["data_shares"], found["classes"], found["contingency"], found["purity"]
    ([0.75, 0.25], [3, 7], [[1, 2], [1, 0]], 0.75)
    """
    k, n = len(proportions), len(index)
    counts = torch.bincount(index.cpu(), minlength=k)
    found: dict[str, Any] = {
        "proportions": proportions.double().tolist(),
        "data_shares": (counts.double() / max(n, 1)).tolist(),
    }
    known = as_classes(labels, n)
    if known is None:
        return found
    classes, column = known
    table = contingency_table(index, column, k, len(classes))
    found |= {
        "classes": classes,
        "contingency": table.tolist(),
        "purity": purity(table),
        "cohesion": int(table.max(0).sum()) / n,
        "nmi": normalised_mutual_information(table),
    }
    if k == len(classes) <= MAX_MATCHED:
        found["accuracy"] = best_matching(table.tolist()) / n
    return found


def best_matching(table: list[list[int]]) -> int:
    """The largest sum of entries of a square table, one from each row and column.

    Exact, by the best sum for each set of columns given to the first rows: 2^K K steps instead of K! .

    >>> best_matching([[1, 9, 0], [8, 9, 0], [0, 0, 2]])
    19
    """
    size = len(table)
    best = [0] + [-1] * ((1 << size) - 1)
    for taken, total in enumerate(best):
        row = taken.bit_count()
        for column in range(size if row < size else 0):
            if not taken >> column & 1:
                grown = taken | 1 << column
                best[grown] = max(best[grown], total + table[row][column])
    return best[-1]
