"""Which of several clusterings keeps neighbours together? The modularity of the graph of nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import kneighbors_graph

__all__ = ["modularities"]

_NEIGHBOURS = 10


def modularities(
    values: NDArray[np.float64], clusterings: Sequence[NDArray[np.int64]], clusters: int
) -> NDArray[np.float64]:
    r"""The modularity of each clustering, at most 1.

    .. math:: Q = \sum_k \left( e_{kk} - a_k^2 \right)

    where :math:`e_{kk}` is the share of the graph's edges within cluster k and :math:`a_k` the share of ends of edges
    there: edges within clusters beyond those that a random graph of the same degrees would have. Rows are joined if one
    of them is among the ten nearest ones of the other.

    Source: Newman and Girvan, "Finding and evaluating community structure in networks", 2004, equation (5).

    Args:
        values: ``(n, d)``.
        clusterings: each ``(n,)``, integers in ``[0, clusters)``.
        clusters: K.

    >>> rows = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> modularities(rows, [np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 0, 1])], 2).round(2).tolist()
    [0.5, -0.17]
    """
    graph = kneighbors_graph(values, max(1, min(_NEIGHBOURS, len(values) // 2 - 1)))
    graph = graph.maximum(graph.T)
    found = []
    for cluster in clusterings:
        member = np.eye(clusters)[cluster]
        edges = member.T @ (graph @ member)
        edges = edges / max(edges.sum(), 1.0)
        found.append(float(np.trace(edges) - (edges.sum(1) ** 2).sum()))
    return np.array(found)
