"""Where are the declared seams and centres, and which draws are away from them?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.mappings.properties import Locus, Properties

__all__ = ["away_from", "distance", "is_pair", "onto", "problem_of"]


def distance(place: Locus, y: Tensor) -> Tensor:
    """The distance of each row from a place, ``(..., y_dim) -> (...)``.

    >>> distance(Locus((0,), (1.0,)), torch.tensor([[3.0, 7.0]]))
    tensor([2.])
    """
    away = y[..., list(place.dims)] - y.new_tensor(place.point)
    if place.direction is not None:
        ray = y.new_tensor(place.direction)
        away = away - (away @ ray).clamp(min=0).unsqueeze(-1) * ray
    norms: Tensor = torch.linalg.vector_norm(away, dim=-1)
    return norms


def onto(place: Locus, y: Tensor) -> Tensor:
    """The rows of y, each moved to a point of a place.

    >>> onto(Locus((1,), (0.5,)), torch.tensor([[3.0, 7.0]]))
    tensor([[3.0000, 0.5000]])
    """
    y = y.clone()
    point = y.new_tensor(place.point).expand(*y.shape[:-1], -1)
    if place.direction is not None:
        point = point + y[..., :1].abs() * y.new_tensor(place.direction)
    y[..., list(place.dims)] = point
    return y


def away_from(declared: Properties, y: Tensor, margin: float) -> Tensor:
    """The rows of y that are further than `margin` from every declared seam and centre."""
    for place in (*declared.seams, *declared.centres):
        y = y[distance(place, y) > margin]
    return y


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
    if place.direction is not None:
        if len(place.direction) != len(place.dims):
            return f"a direction of {len(place.direction)} coordinates for {len(place.dims)} dimensions"
        if abs(math.hypot(*place.direction) - 1) > 1e-6:
            return f"a direction of length {math.hypot(*place.direction):.6g}, expected 1"
    return ""
