"""Which share has a mapping learned for each class? That of the cluster that is matched with the class.

Clusters have no order, so that the share of a numbered cluster means nothing over seeds; the share of a class does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["shares_of_classes"]


def shares_of_classes(diagnosis: dict[str, Any], names: Sequence[str] | None = None) -> dict[str, float]:
    r"""The learned and the true share of each class, from what a mapping with clusters says of the test data.

    Clusters and classes are matched one to one so that as many examples as possible lie in the cluster of their class.
    ``share of class c`` is the mapping's share of its cluster, ``share outside class c`` that of all others; ``data in
    class c`` and ``data outside class c`` are the same of the examples.

    Args:
        diagnosis: with ``contingency``, rows of clusters and columns of classes, and ``proportions``; without them
            there are no shares.
        names: of the classes; their numbers by default.

    >>> shares_of_classes({"contingency": [[0, 30], [10, 1]], "proportions": [0.7, 0.3]})["share of class 0"]
    0.3
    """
    counts, proportions = diagnosis.get("contingency"), diagnosis.get("proportions")
    if not counts or not proportions or len(counts) != len(proportions):
        return {}
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    table = np.asarray(counts, dtype=float)
    if table.ndim != 2 or not table.sum():
        return {}
    clusters, classes = linear_sum_assignment(table, maximize=True)
    numbered = [str(c) for c in range(table.shape[1])]
    called = [str(name) for name in names] if names and len(names) == len(numbered) else numbered
    found: dict[str, float] = {}
    for k, c in zip(clusters, classes, strict=True):
        found[f"share of class {called[c]}"] = float(proportions[int(k)])
        found[f"share outside class {called[c]}"] = 1 - float(proportions[int(k)])
    for name, share in zip(called, table.sum(0) / table.sum(), strict=True):
        found[f"data in class {name}"], found[f"data outside class {name}"] = float(share), 1 - float(share)
    return found
