"""How many clusters and how many loops does a cloud of points have, and how clear is that?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_conformance.outcomes import Skipped

__all__ = ["clear_betti", "clear_components", "components_at"]

_NEIGHBOUR = 10
_TRIMMED = 0.1
_LANDMARKS = 250
_POINTS = 6000
_OUTLIERS = 0.02
_ROWS = 1000
_FILLED = 7.0
"""Four times the ratio of death to birth of the loops that chance produces in a set without a loop."""


def _dense_part(z: Tensor, trimmed: float) -> Tensor:
    """All points but a share of them, those in the sparsest places."""
    k = min(_NEIGHBOUR, len(z))
    some = [torch.cdist(rows, z).topk(k, dim=1, largest=False).values[:, -1] for rows in torch.split(z, _ROWS)]
    nearest = torch.cat(some)
    return z[nearest.argsort()[: int(len(z) * (1 - trimmed))]]


def clear_components(z: Tensor, least_share: float, expected: int) -> tuple[int, float, float]:
    """The number of clusters of a cloud of points, and how clear that number is.

    Single linkage of the densest nine tenths of the points, so that outliers do not join clusters. The number of
    clusters is the one that persists over the widest range of distances, as a ratio, while all clusters together hold
    nine tenths of these points.

    Args:
        z: points ``(n, d)``, a few thousand at most.
        least_share: clusters with less than this share of the points are not counted.
        expected: the number of clusters that is expected; how clear another number is, is relative to this one.

    Returns:
        The number; the ratio of the largest to the smallest distance at which it is seen, divided by the same ratio of
        `expected` if that is another number; and a distance between the two. If no number above 1 has a ratio of 1.2,
        the number is 1 with an infinite ratio; if the best one has a ratio below 1.5, it is 1 with a ratio of 1.

    >>> noise = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> clear_components(noise + 9 * torch.arange(3).repeat(100)[:, None], 0.1, 3)[0]
    3
    """
    z = _dense_part(z, _TRIMMED)
    n = len(z)
    least = max(2, int(least_share * n))
    lengths, ends = _spanning_tree(z)
    parent, size = list(range(n)), [1] * n
    big, held = 0, 0
    lasts: dict[int, float] = {}
    widest: dict[int, tuple[float, float]] = {}
    order = lengths.argsort().tolist()
    values = lengths.tolist()
    for position, edge in enumerate(order):
        a, b = _root(parent, ends[edge][0]), _root(parent, ends[edge][1])
        for root in (a, b):
            if size[root] >= least:
                big, held = big - 1, held - size[root]
        parent[b] = a
        size[a] += size[b]
        if size[a] >= least:
            big, held = big + 1, held + size[a]
        if position + 1 < len(order) and held >= 0.9 * n and big > 1:
            here, following = values[edge], values[order[position + 1]]
            # Points of a curve can coincide.
            ratio = following / max(here, 1e-12 * values[order[-1]])
            lasts[big] = lasts.get(big, 1.0) * ratio
            widest[big] = max(widest.get(big, (0.0, 0.0)), (ratio, math.sqrt(here * following)))
    if not lasts or max(lasts.values()) < 1.2:
        return 1, math.inf, math.inf
    best = max(lasts, key=lambda count: lasts[count])
    rival = lasts.get(expected, 1.0) if best != expected else 1.0
    return (best, lasts[best] / rival, widest[best][1]) if lasts[best] >= 1.5 else (1, 1.0, math.inf)


def components_at(z: Tensor, least_share: float, distance: float) -> int:
    """The number of clusters, as in `clear_components`, if points up to a distance from each other are joined.

    In a second, larger sample this tells a real gap, which stays empty, from one that chance has left.
    """
    z = _dense_part(z, _TRIMMED)
    lengths, ends = _spanning_tree(z)
    parent = list(range(len(z)))
    for edge in (lengths <= distance).nonzero().flatten().tolist():
        parent[_root(parent, ends[edge][1])] = _root(parent, ends[edge][0])
    size = torch.bincount(torch.tensor([_root(parent, i) for i in range(len(z))]))
    return int((size >= max(2, int(least_share * len(z)))).sum())


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _spanning_tree(z: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
    """The lengths and the ends of the edges of a minimum spanning tree, by Prim's algorithm."""
    number, points = torch.arange(1, len(z)), z[1:].clone()  # the rest, or soon some more
    distance = torch.linalg.vector_norm(points - z[0], dim=-1)
    source = torch.zeros_like(number)
    lengths, ends = [], []
    for _ in range(len(z) - 1):
        i = int(distance.argmin())
        new = int(number[i])
        lengths.append(float(distance[i]))
        ends.append((int(source[i]), new))
        points[i] = distance[i] = torch.inf  # infinitely far from every other point, and never nearer
        to_new = torch.linalg.vector_norm(points - z[new], dim=-1)
        source = torch.where(to_new < distance, new, source)
        distance = torch.minimum(to_new, distance)
        if 2 * (len(z) - 1 - len(lengths)) < len(number):
            free = distance < torch.inf
            number, points, distance, source = number[free], points[free], distance[free], source[free]
    return torch.tensor(lengths, dtype=torch.float64), ends


def clear_betti(z: Tensor, dim: int) -> tuple[int, float]:
    """The Betti number b0 or b1 of the set that a cloud of points fills, and how clear it is.

    It is computed from 250 landmarks, each the furthest point from those before, so that the density of the points does
    not matter. b0 counts the edges of their spanning tree that are longer than three times the median. b1 is the
    number of persistent loops in their Vietoris-Rips complex: the bars are sorted by the ratio of death to birth, and
    cut where one ratio exceeds the next by the largest factor.

    Args:
        z: points ``(n, d)``, some thousands.
        dim: 0 or 1.

    Returns:
        The number, and the factor at the cut.

    Raises:
        Skipped: if gudhi, which the extra ``topology`` brings, is not installed.
    """
    landmarks = _landmarks(_dense_part(z[:_POINTS], _OUTLIERS))
    if dim == 0:
        lengths = _spanning_tree(landmarks)[0].sort().values
        long = lengths > 3 * lengths.median()
        if not bool(long.any()):
            return 1, float(3 * lengths.median() / lengths[-1])
        return 1 + int(long.sum()), float(lengths[long][0] / lengths[~long][-1])
    ratios = sorted(_loops(landmarks), reverse=True)
    gaps = {0: _FILLED / max([*ratios[:1], 1.2])}
    gaps |= {k: ratios[k - 1] / max([*ratios[k : k + 1], 1.2]) for k in range(1, len(ratios) + 1)}
    best = max(gaps, key=lambda k: gaps[k])
    return best, gaps[best]


def _landmarks(z: Tensor) -> Tensor:
    """Points far from one another: each is the furthest from those before."""
    chosen = [0]
    distance = torch.linalg.vector_norm(z - z[0], dim=-1)
    for _ in range(min(_LANDMARKS, len(z)) - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, torch.linalg.vector_norm(z - z[chosen[-1]], dim=-1))
    return z[chosen]


def _loops(z: Tensor) -> list[float]:
    """The ratio of death to birth of each loop."""
    try:
        import gudhi
    except ImportError as error:
        raise Skipped(
            "loops are counted with gudhi, which is not installed: pip install 'intelvae-conformance[topology]'"
        ) from error
    distances = torch.cdist(z, z)
    tree = gudhi.RipsComplex(distance_matrix=distances.tolist(), max_edge_length=float(distances.max()) * 0.75)
    complex_ = tree.create_simplex_tree(max_dimension=1)
    complex_.collapse_edges(nb_iterations=4)
    complex_.expansion(2)
    complex_.compute_persistence(persistence_dim_max=True)  # after the collapse there may be no triangle
    longest = float(distances.max()) * 0.75
    bars = complex_.persistence_intervals_in_dimension(1)
    return [min(float(death), longest) / max(float(birth), 1e-12) for birth, death in bars]
