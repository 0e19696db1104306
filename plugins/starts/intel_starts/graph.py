"""Which rows belong together by their neighbours? The graph of nearest neighbours, and clusterings of its rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import kneighbors_graph

__all__ = ["joined", "modularity", "moved", "neighbour_graph"]

_NEIGHBOURS = 10
_SWEEPS = 30
_SETTLED = 1e-3


def neighbour_graph(values: NDArray[np.float64]) -> sparse.csr_matrix:
    """Rows are joined if one of them is among the ten nearest ones of the other: ``(n, n)``, symmetric, 0 or 1.

    Args:
        values: ``(n, d)``; with fewer than twenty rows, fewer neighbours are taken.

    >>> neighbour_graph(np.array([[0.0], [0.1], [5.0], [5.1]])).toarray().astype(int).tolist()
    [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    """
    graph = kneighbors_graph(values, max(1, min(_NEIGHBOURS, len(values) // 2 - 1)))
    return sparse.csr_matrix(graph.maximum(graph.T))


def modularity(graph: sparse.csr_matrix, cluster: NDArray[np.int64], clusters: int) -> float:
    r"""The modularity of a clustering, at most 1.

    .. math:: Q = \sum_k \left( e_{kk} - a_k^2 \right)

    where :math:`e_{kk}` is the share of the graph's edges within cluster k and :math:`a_k` the share of ends of edges
    there: edges within clusters beyond those that a random graph of the same degrees would have.

    Source: Newman and Girvan, "Finding and evaluating community structure in networks", 2004, equation (5).

    Args:
        graph: ``(n, n)``, as of `neighbour_graph`, or a sum of such.
        cluster: ``(n,)``, integers in ``[0, clusters)``.
        clusters: K.

    >>> graph = neighbour_graph(np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]))
    >>> [round(modularity(graph, np.array(c), 2), 2) for c in ([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 1])]
    [0.5, -0.17]
    """
    edges = _edges(graph, cluster, clusters)
    return float(np.trace(edges) - (edges.sum(1) ** 2).sum())


def joined(graph: sparse.csr_matrix, part: NDArray[np.int64], parts: int, clusters: int) -> NDArray[np.int64]:
    r"""Many small parts, joined to K clusters: step by step those two with the densest edges between them.

    The density of edges between parts p and q is :math:`e_{pq} / (a_p a_q)`, with e and a as in `modularity`: how many
    edges there are for each that a random graph of the same degrees would have. Unlike the gain in modularity, it does
    not prefer clusters of equal size.

    Args:
        graph: as of `modularity`.
        part: ``(n,)``, integers in ``[0, parts)``; some may be empty.
        parts: at least as many as clusters.
        clusters: K.

    Returns:
        ``(n,)``, integers in ``[0, clusters)``.

    >>> graph = neighbour_graph(np.array([[0.0], [0.1], [0.2], [0.3], [5.0], [5.1], [5.2], [5.3]]))
    >>> joined(graph, np.array([0, 0, 1, 1, 2, 2, 3, 3]), 4, 2).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    edges = _edges(graph, part, parts)
    of_part = np.arange(parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        for left in range(parts, clusters, -1):
            ends = edges.sum(1)
            density = np.nan_to_num(
                edges / np.outer(ends, ends), nan=np.inf, posinf=np.inf
            )  # empty parts are joined first
            density[np.tril_indices(left)] = -1.0
            p, q = np.unravel_index(int(density.argmax()), density.shape)
            edges[p] += edges[q]
            edges[:, p] += edges[:, q]
            edges = np.delete(np.delete(edges, q, axis=0), q, axis=1)
            of_part[of_part == q] = p
            of_part[of_part > q] -= 1
    return of_part[part]


def moved(
    graph: sparse.csr_matrix,
    cluster: NDArray[np.int64],
    clusters: int,
    random: np.random.Generator,
    fixed: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Each row moves to the cluster of most of its neighbours, until few do; of the rows that would, half at a time.

    Args:
        graph: as of `modularity`.
        cluster: ``(n,)``, integers in ``[0, clusters)``.
        clusters: K.
        random: decides which half.
        fixed: indices of rows that stay.

    >>> graph = neighbour_graph(np.concatenate([np.linspace(0, 1, 20), np.linspace(9, 10, 20)])[:, None])
    >>> begun = np.repeat([0, 1], 20)
    >>> begun[[3, 30]] = 1, 0
    >>> moved(graph, begun, 2, np.random.default_rng(0)).reshape(2, 20).mean(1).tolist()
    [0.0, 1.0]
    """
    found = cluster.copy()
    each = np.arange(len(found))
    for _ in range(_SWEEPS):
        votes = np.asarray(graph @ np.eye(clusters)[found])
        votes[each, found] += 0.5  # a tie moves nothing
        wanted = votes.argmax(1)
        if fixed is not None:
            wanted[fixed] = found[fixed]
        going = wanted != found
        if going.mean() < _SETTLED:
            break
        going &= random.random(len(found)) < 0.5
        after = np.where(going, wanted, found)
        if len(np.unique(after)) < len(np.unique(found)):  # a cluster would be left by all
            break
        found = after
    return found


def _edges(graph: sparse.csr_matrix, cluster: NDArray[np.int64], clusters: int) -> NDArray[np.float64]:
    """Share of the graph's ends of edges from one cluster to another, ``(K, K)``."""
    member = sparse.csr_matrix((np.ones(len(cluster)), (np.arange(len(cluster)), cluster)), (len(cluster), clusters))
    edges: NDArray[np.float64] = (member.T @ graph @ member).toarray()
    edges /= max(edges.sum(), 1.0)
    return edges
