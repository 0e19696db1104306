"""Along which segments is a function tested? Where the standard normal has its mass, and across declared places."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_conformance.places import directions_of
from intel_core.mappings.properties import Locus

__all__ = ["crossing", "points_of", "random_segments"]


def random_segments(n: int, d: int, generator: torch.Generator, length: float | None = None) -> tuple[Tensor, Tensor]:
    """Segments where the standard normal has its mass.

    Args:
        n: number of segments.
        d: number of dimensions of y.
        generator: source of the random numbers.
        length: of all segments. If None, every other segment joins two draws, and the rest begin at a draw and have
            lengths between 1e-3 and 1, uniform in the logarithm.

    Returns:
        Where they begin and where they end, both ``(n, d)``, float64.

    >>> starts, ends = random_segments(4, 3, torch.Generator().manual_seed(0), length=0.5)
    >>> (ends - starts).norm(dim=-1)
    tensor([0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64)
    """
    starts, ends = torch.randn(2, n, d, dtype=torch.float64, generator=generator)
    short = 10 ** (-3 * torch.rand(n, 1, dtype=torch.float64, generator=generator))
    way = _unit(ends - starts)
    if length is not None:
        return starts, starts + length * way
    return starts, torch.where((torch.arange(n) % 2 == 0).unsqueeze(1), ends, starts + short * way)


def crossing(place: Locus, n: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Segments that cross a seam, or pass close to a centre.

    They are between 0.01 and 1 long. A seam is crossed at random points and angles, and at a random point of the
    segment, so that the crossing is on no grid; a seam that is a cone is crossed near its starting point by every third
    segment. A centre has codimension 2 or more, so that no random segment meets it: it is passed at distances between
    1e-12 and 0.1, uniform in the logarithm.

    Args:
        place: the seam or the centre.
        n: number of segments.
        d: number of dimensions of y.
        generator: source of the random numbers.

    Returns:
        Where they begin and where they end, both ``(n, d)``, float64.

    Raises:
        ValueError: if the place does not lie in d dimensions.

    >>> starts, ends = crossing(Locus((1,), (0.5,)), 6, 3, torch.Generator().manual_seed(0))
    >>> ((starts[:, 1] < 0.5) ^ (ends[:, 1] < 0.5)).all().item()
    True
    """
    point = points_of(place, n, d, generator, along=True)
    pinned = list(place.dims)
    across = torch.zeros(n, d, dtype=torch.float64)
    across[:, pinned] = _off_cone(place, torch.randn(n, len(pinned), dtype=torch.float64, generator=generator))
    across = _unit(across)
    # Along the place: the directions that are neither pinned nor across it.
    along = torch.randn(n, d, dtype=torch.float64, generator=generator)
    along[:, pinned] -= _off_cone(place, along[:, pinned])
    share, size, miss = torch.rand(3, n, 1, dtype=torch.float64, generator=generator)
    way = 10 ** (-2 * size) * _unit(across + 0.5 * along / math.sqrt(d))
    if place.codimension > 1:
        aside = torch.zeros(n, d, dtype=torch.float64)
        aside[:, pinned] = _off_cone(place, torch.randn(n, len(pinned), dtype=torch.float64, generator=generator))
        aside = aside - (aside * across).sum(-1, keepdim=True) * across
        point = point + 10 ** (-1 - 11 * miss) * _unit(aside)
    before = 0.15 + 0.7 * share
    return point - before * way, point + (1 - before) * way


def points_of(place: Locus, n: int, d: int, generator: torch.Generator, *, along: bool = False) -> Tensor:
    """Points of a seam or a centre; the dimensions that it leaves free are drawn at random.

    Args:
        place: the seam or the centre.
        n: number of points.
        d: number of dimensions of y.
        generator: source of the random numbers.
        along: whether the points lie in the cone, every third near its starting point, or all at the starting point.

    Returns:
        ``(n, d)``, float64.

    Raises:
        ValueError: if the place does not lie in d dimensions.

    >>> points_of(Locus((1,), (0.5,)), 3, 2, torch.Generator().manual_seed(0))[:, 1]
    tensor([0.5000, 0.5000, 0.5000], dtype=torch.float64)
    """
    if not place.dims or max(place.dims) >= d:
        raise ValueError(f"{place} does not lie in {d} dimensions")
    points = torch.randn(n, d, dtype=torch.float64, generator=generator)
    pinned = torch.tensor(place.point, dtype=torch.float64).expand(n, -1)
    if along and place.directions:
        near = 10 ** (-6 * torch.rand(n, 1, dtype=torch.float64, generator=generator))
        far = torch.randn(n, len(place.directions), dtype=torch.float64, generator=generator).abs() + 0.05
        distance = torch.where((torch.arange(n) % 3 == 2).unsqueeze(1), near, far)
        pinned = pinned + distance @ directions_of(place, pinned)
    points[:, list(place.dims)] = pinned
    return points


def _off_cone(place: Locus, vectors: Tensor) -> Tensor:
    """The part of vectors in the pinned dimensions that is orthogonal to the cone, if there is one."""
    if not place.directions:
        return vectors
    basis, _ = torch.linalg.qr(directions_of(place, vectors).T)
    within: Tensor = vectors @ basis @ basis.T
    return vectors - within


def _unit(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / length
