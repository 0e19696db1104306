"""Where are the declared seams and centres, and which draws keep away from them?"""

from __future__ import annotations

import torch
from torch import Tensor

from intel_core.properties import Locus, Properties

__all__ = ["away_from", "distance", "onto"]


def distance(place: Locus, y: Tensor) -> Tensor:
    """Of each row from a place, ``(..., y_dim) -> (...)``.

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
    """The rows of y, moved onto a place.

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
    """The rows of y that are further than a margin from every declared seam and centre."""
    for place in (*declared.seams, *declared.centres):
        y = y[distance(place, y) > margin]
    return y
