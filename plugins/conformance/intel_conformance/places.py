"""Where are the declared seams and centres, and which draws are away from them?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.mappings.properties import Locus, Properties

__all__ = ["directions_of", "distance", "is_pair", "onto", "problem_of", "share_near", "thinned", "usual_rows"]


_MOST = 64


def thinned(places: Sequence[Locus]) -> Sequence[Locus]:
    """At most 64 of them, evenly chosen.

    >>> len(thinned([Locus((0,), (float(i),)) for i in range(100)]))
    50
    """
    return places[:: max(-(-len(places) // _MOST), 1)]


def directions_of(place: Locus, like: Tensor) -> Tensor:
    """The directions of a place's cone as rows, ``(directions, dims)``."""
    return like.new_tensor(place.directions).reshape(-1, len(place.dims))


def distance(place: Locus, y: Tensor) -> Tensor:
    r"""How far each row is from a place at least, ``(..., y_dim) -> (...)``; exactly that for a point or a ray.

    A point of the span of several directions is outside their cone if one of its coefficients :math:`c_i` is negative.
    It is then :math:`-c_i / \|p_i\|` from where that coefficient is 0, with :math:`p_i` the vector that gives it, and
    at least as far from the cone.

    >>> distance(Locus((0,), (1.0,)), torch.tensor([[3.0, 7.0]]))
    tensor([2.])
    >>> distance(Locus((0, 1), (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0))), torch.tensor([[3.0, 7.0], [-2.0, 1.0]]))
    tensor([0., 2.])
    """
    away = y[..., list(place.dims)] - y.new_tensor(place.point)
    if not place.directions:
        norms: Tensor = torch.linalg.vector_norm(away, dim=-1)
        return norms
    ways = directions_of(place, y)
    giving = torch.linalg.pinv(ways)
    coefficients = away @ giving
    beside = torch.linalg.vector_norm(away - coefficients @ ways, dim=-1)
    behind = (-coefficients / torch.linalg.vector_norm(giving, dim=0)).clamp(min=0).amax(-1)
    return torch.hypot(beside, behind)


def onto(place: Locus, y: Tensor) -> Tensor:
    """The rows of y, each moved to a point of a place.

    >>> onto(Locus((1,), (0.5,)), torch.tensor([[3.0, 7.0]]))
    tensor([[3.0000, 0.5000]])
    """
    y = y.clone()
    point = y.new_tensor(place.point).expand(*y.shape[:-1], -1)
    if place.directions:
        point = point + y[..., : len(place.directions)].abs() @ directions_of(place, y)
    y[..., list(place.dims)] = point
    return y


def share_near(places: Sequence[Locus], y: Tensor, margin: float) -> float:
    """The share of the rows of y that are within the margin of some place.

    >>> share_near([Locus((0,), (1.0,))], torch.tensor([[1.01], [3.0]]), 0.1)
    0.5
    """
    near = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    for place in places:
        near |= distance(place, y) <= margin
    return float(near.double().mean())


def usual_rows(declared: Properties, y: Tensor, margin: float = 0.02) -> Tensor:
    """Rows that are away from every declared seam and centre: by the margin, or by less where that leaves too few.

    However many places are declared, at least nine tenths of the rows are kept: a declaration must not exclude what a
    check is about.
    """
    least = torch.full_like(y[..., 0], torch.inf)
    for place in (*declared.seams, *declared.centres):
        least = torch.minimum(least, distance(place, y))
    margin = min(margin, float(least.quantile(0.1))) if len(y) else margin
    return y[least >= margin]


def is_pair(plane: Sequence[int], y_dim: int) -> bool:
    """Whether a declared plane consists of two different dimensions of y.

    >>> is_pair((0, 1), 2), is_pair((1, 1), 2)
    (True, False)
    """
    return len(plane) == len(set(plane)) == 2 and all(0 <= d < y_dim for d in plane)


def problem_of(place: Locus, y_dim: int) -> str:
    """What is wrong with a declared place; empty if it lies in the space of y.

    >>> problem_of(Locus((7,), (0.0,)), 2)
    'y has 2 dimensions'
    """
    if not place.dims or len(set(place.dims)) < len(place.dims) or not 0 <= min(place.dims) <= max(place.dims):
        return "its dims are not different dimensions"
    if max(place.dims) >= y_dim:
        return f"y has {y_dim} dimensions"
    if len(place.point) != len(place.dims):
        return f"{len(place.point)} coordinates for {len(place.dims)} dimensions"
    if not all(math.isfinite(value) for value in place.point):
        return "its point is not finite"
    for way in place.directions:
        if len(way) != len(place.dims):
            return f"a direction of {len(way)} coordinates for {len(place.dims)} dimensions"
        if abs(math.hypot(*way) - 1) > 1e-6:
            return f"a direction of length {math.hypot(*way):.6g}, expected 1"
    if len(place.directions) > 1:
        rank = int(torch.linalg.matrix_rank(directions_of(place, torch.empty(0, dtype=torch.float64))))
        if rank < len(place.directions):
            return f"{len(place.directions)} directions of which only {rank} are independent"
    return ""
