"""What is g at some points, and which differences are larger than rounding?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["EPS", "LEAST_SCALE", "RESOLUTION", "ROUNDING", "TINY", "Function", "check_segments", "values_of"]

Function = Callable[[Tensor], Tensor]
"""From points ``(n, d)`` in float64 to values ``(n, m)``."""

EPS = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny
ROUNDING = 64 * EPS
"""Differences of g over a distance below this, relative to the norm of y, show rounding rather than g. A mapping that
computes the distance to a seam from an angle knows it no better than to about ``4 EPS``."""
RESOLUTION = 1e-7
"""Differences smaller than this, relative to the largest value, count as none."""
LEAST_SCALE = 1e-5
"""An output coordinate whose values are all below this part of the largest coordinate's is measured on the scale of
the latter: it may be nothing but the rounding error of terms that cancel."""


def values_of(g: Function, points: Tensor) -> Tensor:
    """G at points of shape ``(..., d)``, all in one batch; shape ``(..., m)``.

    Raises:
        ValueError: if g does not return one row for each point.
    """
    flat = points.reshape(-1, points.shape[-1])
    values = g(flat)
    if values.ndim != 2 or len(values) != len(flat):
        raise ValueError(f"g returned the shape {tuple(values.shape)} for {tuple(flat.shape)}")
    return values.double().reshape(*points.shape[:-1], values.shape[-1])


def check_segments(starts: Tensor, ends: Tensor) -> None:
    """Refuse what is no set of segments.

    Raises:
        ValueError: unless both ends are finite, in float64 and of one shape ``(s, d)``.
    """
    if starts.ndim != 2 or starts.shape != ends.shape:
        raise ValueError(f"segments begin and end in (s, d), not {tuple(starts.shape)} and {tuple(ends.shape)}")
    if starts.dtype != torch.float64 or ends.dtype != torch.float64:
        raise ValueError(f"segments are of float64, not {starts.dtype} and {ends.dtype}")
    if not (torch.isfinite(starts).all() and torch.isfinite(ends).all()):
        raise ValueError("a segment's end is not finite")
