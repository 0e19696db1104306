"""Where on a segment could a function jump? Windows that close in on every candidate, down to rounding.

Source: following large differences of high order down to the resolution of the numbers, Pachón, Platte and Trefethen,
Piecewise-smooth chebfuns, IMA Journal of Numerical Analysis 30 (2010).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from intel_conformance.continuity.evaluating import EPS, LEAST_SCALE, ROUNDING, TINY, Function, values_of

__all__ = ["CELLS", "Windows", "walk"]

GRID = 256
"""Cells of the first grid on a segment."""
CELLS = 16
"""Cells of a window. Four of them, on finer levels two, become the next window, which is 4 or 8 times finer."""
BESIDE = 192
"""Cells of the grid on either side of a steep place; their lengths grow by equal factors."""
PER_SIDE = 3
"""Candidates that are followed on either side of a steep place."""
LEVELS = 48
"""The largest number of levels. Windows that close in on 0, where floating-point steps shrink with y, need a limit."""
SMOOTH = 1e6 * EPS
"""On finer grids sixth differences are rounding, and the second differences of smooth trends have vanished."""


class Windows(NamedTuple):
    """The windows of one level: w of them, of c cells each.

    Attributes:
        points: the grid, shape ``(w, c + 1, d)``.
        values: g there, shape ``(w, c + 1, m)``.
        segment: the segment that each lies on, shape ``(w,)``.
        gap: the length of a cell, shape ``(w,)``.
        least: differences below this count as none, shape ``(w, m)``.
        middle: the grid point around which the next window lies, shape ``(w,)``.
        reach: the number of cells on either side of it that the next window spans, shape ``(w,)``.
        finite: whether all values are finite, shape ``(w,)``.
        flat: whether no difference remains, shape ``(w,)``.
        ended: whether one remains on a grid that is as fine as rounding allows, shape ``(w,)``.
    """

    points: Tensor
    values: Tensor
    segment: Tensor
    gap: Tensor
    least: Tensor
    middle: Tensor
    reach: Tensor
    finite: Tensor
    flat: Tensor
    ended: Tensor


def walk(
    g: Function, starts: Tensor, ends: Tensor, windows: int, resolution: float, floor: float = 0.0
) -> Iterator[Windows]:
    """First each segment as one window of 256 cells, then level by level the windows in which a difference remains.

    Args:
        g: the function, from ``(n, d)`` to ``(n, m)``.
        starts: where the segments begin, shape ``(s, d)``, float64.
        ends: where they end, shape ``(s, d)``, float64.
        windows: the largest number of candidates on each segment.
        resolution: differences below this share of the largest value of their coordinate count as none.
        floor: the size of g elsewhere, see `intel_conformance.continuity.scan.scan`.
    """
    if not len(starts):
        return
    segment = torch.arange(len(starts))
    points = _grid(starts, ends, GRID)
    values = values_of(g, points)
    size = values.abs().amax(1)
    scale = torch.maximum(size, LEAST_SCALE * size.amax(-1, keepdim=True)).clamp(min=max(TINY, LEAST_SCALE * floor))
    scales = _Scales(scale, scale * resolution)
    first = _measure(points, values, segment, scales, last=False)
    best, index = _peaks(values, scales.least, windows)
    keep = (best > 1) & first.finite.unsqueeze(1)
    # Only the candidates decide whether a segment is flat.
    idle = ~keep.any(1) & first.finite
    yield first._replace(flat=idle, ended=torch.zeros_like(idle))

    segment, nth = keep.nonzero(as_tuple=True)
    middle = index[segment, nth]
    low, high = points[segment, middle - 2], points[segment, middle + 2]
    places = []
    for depth, level in enumerate(_refine(g, low, high, segment, scales)):
        yield level
        # A window that was flat within a few levels held a smooth stretch.
        rows = (level.ended | (level.flat & (depth >= 4))).nonzero().flatten()
        middle = level.middle[rows]
        places.append((level.segment[rows], level.points[rows, middle], level.gap[rows]))
    segment, place, gap = (torch.cat(parts) for parts in zip(*places, strict=True)) if places else (segment, low, nth)
    if len(segment):
        low, high, segment = _beside(g, starts, ends, segment, place, gap, scales)
        yield from _refine(g, low, high, segment, scales)


class _Scales(NamedTuple):
    """The size of g on each segment, and the difference that counts as none, both ``(s, m)``."""

    scale: Tensor
    least: Tensor


def _refine(g: Function, low: Tensor, high: Tensor, segment: Tensor, scales: _Scales) -> Iterator[Windows]:
    """The levels of some windows from `low` to `high`, ``(w, d)`` each, that lie on the segments ``(w,)``."""
    for depth in range(1, LEVELS + 1):
        if not len(segment):
            return
        points = _grid(low, high, CELLS)
        level = _measure(points, values_of(g, points), segment, scales, last=depth == LEVELS)
        yield level
        go_on = (level.finite & ~level.flat & ~level.ended).nonzero().flatten()
        middle, segment = level.middle[go_on], segment[go_on]
        reach = level.reach[go_on]
        low, high = level.points[go_on, middle - reach], level.points[go_on, middle + reach]


def _beside(
    g: Function, starts: Tensor, ends: Tensor, segment: Tensor, place: Tensor, gap: Tensor, scales: _Scales
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows for the candidates near places where a difference remained: both ends, and the segment, of each.

    As a function of the logarithm of the distance to its cusp ``|y|^α`` is smooth and has small differences.

    Args:
        g: the function.
        starts: where the segments begin.
        ends: where they end.
        segment: the segment of each place, shape ``(p,)``.
        place: the places, shape ``(p, d)``.
        gap: the length of a cell there, shape ``(p,)``.
        scales: of all segments.
    """
    length = (ends - starts).norm(dim=-1)[segment]
    way = (ends - starts)[segment] / length.unsqueeze(-1)
    along = ((place - starts[segment]) * way).sum(-1)
    nearest = torch.maximum(10 * gap, SMOOTH * place.norm(dim=-1))
    room = torch.stack([along, length - along], 1)
    side, which = (room > 8 * nearest.unsqueeze(1)).T.nonzero(as_tuple=True)
    if not len(which):
        return place[:0], place[:0], segment[:0]
    room, nearest, sign = room[which, side], nearest[which], side.double() * 2 - 1
    t = torch.linspace(0, 1, BESIDE + 1, dtype=torch.float64)
    distance = nearest.unsqueeze(1) * (room / nearest).unsqueeze(1) ** t
    points = place[which].unsqueeze(1) + (sign.unsqueeze(1) * distance).unsqueeze(-1) * way[which].unsqueeze(1)
    place_of, segment = segment, segment[which]
    best, index = _peaks(values_of(g, points), scales.least[segment], PER_SIDE)
    row, nth = (best > 1).nonzero(as_tuple=True)
    middle = index[row, nth]
    # The neighbourhood of a place that has been found already is searched for that place itself.
    ends_at = along[which[row]].unsqueeze(1) + sign[row].unsqueeze(1) * torch.stack(
        [distance[row, middle - 2], distance[row, middle + 2]], 1
    )
    low, high = ends_at.amin(1, keepdim=True), ends_at.amax(1, keepdim=True)
    owner = segment[row].unsqueeze(1) == place_of.unsqueeze(0)
    known = (owner & (along >= low) & (along <= high)).any(1)
    row, middle = row[~known], middle[~known]
    return points[row, middle - 2], points[row, middle + 2], segment[row]


def _peaks(values: Tensor, least: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest local maxima of the sixth differences, in units of `least`, and the grid points where they are.

    Args:
        values: g on a grid, shape ``(w, n + 1, m)``.
        least: shape ``(w, m)``.
        count: the number of maxima.

    Returns:
        Two tensors of shape ``(w, count)``. The first is 0 where there are fewer maxima; the points of the second have
        at least two points on either side.
    """
    score = (_sixth(_second(values)).abs() / least.unsqueeze(1)).amax(-1).nan_to_num(0.0, 0.0, 0.0)
    around = max_pool1d(score.unsqueeze(1), 5, stride=1, padding=2).squeeze(1)
    # A jump has two equal maxima side by side; one is enough.
    peak = torch.where((score == around) & (score > pad(score, (1, 0))[:, :-1]), score, 0.0)
    best, index = peak.topk(min(count, peak.shape[1]), dim=1)
    return best, (index + 1).clamp(2, values.shape[1] - 3)


def _sixth(difference: Tensor) -> Tensor:
    """Sixth differences from second differences, in the same shape: these are continued as constants at both ends."""
    for _ in range(2):
        difference = _second(torch.cat([difference[:, :1], difference, difference[:, -1:]], 1))
    return difference


def _second(values: Tensor) -> Tensor:
    """Second differences along dimension 1, which loses two."""
    return values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]


def _measure(points: Tensor, values: Tensor, segment: Tensor, scales: _Scales, last: bool) -> Windows:
    scale, least = scales.scale[segment], scales.least[segment]
    gap = (points[:, -1] - points[:, 0]).norm(dim=-1) / (points.shape[1] - 1)
    finite = torch.isfinite(values).all(-1).all(-1)
    second = _second(values)
    flat = (second.abs() <= least.unsqueeze(1)).all(-1).all(-1)
    size = points.norm(dim=-1).amin(-1)
    coarse = gap > SMOOTH * size
    # Sixth differences at the first and last two points come from continued second differences, to which trends add
    # more, so they get less weight. With less than a third of it, a jump in the last cell would look smaller than the
    # traces it leaves three points away.
    sixth = _sixth(second)
    sixth[:, :2] *= 0.4
    sixth[:, -2:] *= 0.4
    followed = torch.where(coarse[:, None, None], sixth, second).abs() / scale.unsqueeze(1)
    middle = followed.amax(-1).nan_to_num(math.inf).argmax(1) + 1
    reach = torch.where(coarse, 2, 1)
    middle = torch.maximum(torch.minimum(middle, points.shape[1] - 1 - reach), reach)
    fine = gap <= ROUNDING * size
    return Windows(
        *(points, values, segment, gap, least, middle, reach),
        *(finite, finite & flat, finite & ~flat & (fine | last)),
    )


def _grid(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Evenly spaced points from `low` to `high`, both ends exactly, ``(w, d) -> (w, cells + 1, d)``."""
    t = torch.linspace(0, 1, cells + 1, dtype=torch.float64)[:, None]
    low, high = low.unsqueeze(1), high.unsqueeze(1)
    # From the nearer end, so that a window at 0 keeps the relative precision it has there.
    return torch.where(t < 0.5, low + t * (high - low), high - (1 - t) * (high - low))
