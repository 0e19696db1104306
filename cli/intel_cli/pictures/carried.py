"""Where does g carry a line? Grids and declared places of a plane of y, finely sampled, torn where g jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from intel_cli.pictures.prior import RADII

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from intel_core.mappings.properties import Locus

__all__ = ["Grid", "broken", "cartesian", "lift", "place_in", "polar"]

_SAMPLES = 1500
_EXACT = 1e-9
_RAYS = 12


class Grid(NamedTuple):
    """Lines of a plane, each ``(n, 2)``.

    Attributes:
        contours: where the prior's density is constant.
        across: lines that show how g turns and stretches.
    """

    contours: list[Tensor]
    across: list[Tensor]


def polar(reach: float) -> Grid:
    """Circles of 1, 2 and 3 standard deviations, and rays between the multiples of 30 degrees.

    Rays at round angles would run along the borders of clusters, where they say nothing.
    """
    turn = torch.linspace(0, 2 * math.pi, 2 * _SAMPLES, dtype=torch.float64)
    way = torch.linspace(0, reach, _SAMPLES, dtype=torch.float64).unsqueeze(-1)
    angles = [2 * math.pi * (i + 0.5) / _RAYS for i in range(_RAYS)]
    rays = [way * torch.tensor([math.cos(a), math.sin(a)], dtype=torch.float64) for a in angles]
    return Grid([r * torch.stack([torch.cos(turn), torch.sin(turn)], dim=-1) for r in RADII], rays)


def cartesian(reach: float) -> Grid:
    """Lines at whole numbers, beside the circles."""
    way = torch.linspace(-reach, reach, 2 * _SAMPLES, dtype=torch.float64)
    at = [torch.full_like(way, float(i)) for i in range(-int(reach), int(reach) + 1)]
    upright = [torch.stack([x, way], dim=-1) for x in at]
    return Grid(polar(reach).contours, [*upright, *(line.flip(-1) for line in upright)])


def lift(points: Tensor, y_dim: int, plane: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Points ``(n, 2)`` of a plane as rows of y, every other coordinate 0."""
    y = torch.zeros(len(points), y_dim, dtype=dtype)
    y[:, list(plane)] = points.to(dtype)
    return y


def place_in(plane: tuple[int, int], place: Locus, reach: float) -> Tensor | None:
    """What a declared place has in common with the plane on which every other coordinate is 0, as far as `reach`.

    Returns:
        A line ``(n, 2)``, a point ``(1, 2)``, or None where the two do not meet, or the plane lies inside.

    >>> from intel_core.mappings.properties import Locus
    >>> place_in((2, 3), Locus((3,), (0.5,)), 1.0)[0].tolist()
    [-1.0, 0.5]
    """
    inside = torch.tensor([[float(d == e) for e in plane] for d in place.dims], dtype=torch.float64)
    point = torch.tensor(place.point, dtype=torch.float64)
    ways = torch.tensor(place.directions, dtype=torch.float64).reshape(-1, len(place.dims))
    # Across the place, these combinations of coordinates are those of its point: two equations at most for two numbers.
    across = torch.linalg.qr(ways.T, mode="complete").Q[:, len(ways) :].T
    left, sizes, right = torch.linalg.svd(across @ inside)
    rank = int((sizes > _EXACT).sum())
    wanted = left.T @ across @ point
    if rank == 0 or bool((wanted[rank:].abs() > _EXACT).any()):
        return None
    start = (wanted[:rank] / sizes[:rank]) @ right[:rank]
    if rank == 2:
        return start.unsqueeze(0) if float(start.abs().max()) <= reach else None
    # Along a line in the plane, all that must be positive: the distances to the window, the parts of the cone.
    parts = torch.linalg.pinv(ways).T
    base = torch.cat([reach - start, reach + start, parts @ (inside @ start - point)])
    slope = torch.cat([-right[1], right[1], parts @ inside @ right[1]])
    flat = slope.abs() <= _EXACT
    if bool((base[flat] <= _EXACT).any()):
        return None
    first, last = ((-base / slope)[~flat & up] for up in (slope > 0, slope < 0))
    span = torch.linspace(float(first.max()), float(last.min()), 2 * _SAMPLES, dtype=torch.float64).unsqueeze(-1)
    line: Tensor = start + span * right[1]
    if float(first.max()) >= float(last.min()):
        return None
    outward = slope[4:].sum() if len(ways) else right[1][right[1].abs().argmax()]
    return line if float(outward) > 0 else line.flip(0)


def broken(line: Tensor, tear: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A line with a gap, a row of NaN, wherever neighbours are further apart than `tear`, or not finite.

    >>> broken(torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0]]), 1.0).shape
    (4, 2)
    """
    points = line.detach().double().numpy().copy()
    points[~np.isfinite(points).all(1)] = np.nan
    with np.errstate(invalid="ignore"):
        jumps = np.flatnonzero(np.linalg.norm(np.diff(points, axis=0), axis=1) > tear)
    return np.insert(points, jumps + 1, np.nan, axis=0)
