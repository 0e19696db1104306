"""Is a function continuous along some segments, and if not, where does it jump?

Everything here is a pure function of ``g``, a function from ``(n, d)`` to ``(n, m)``, and of points in float64. A pass
means: no jump was found along these segments, at the resolution of the numbers and of the first grid.

Source: following large differences of high order down to the resolution of the numbers, Pachón, Platte and Trefethen,
Piecewise-smooth chebfuns, IMA Journal of Numerical Analysis 30 (2010). How a place is judged is this project's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from intel_conformance.segments import points_of
from intel_core.mappings.properties import Locus

__all__ = ["Excess", "Finding", "hoelder_excess", "scan", "star"]

Function = Callable[[Tensor], Tensor]
Kind = Literal["continuous", "steep", "jump", "not finite"]

EPS = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny
GRID = 256
"""Cells of the first grid on a segment."""
CELLS = 16
"""Cells of a window; four of them, later two, become the next window, which is 4 or 8 times finer."""
BESIDE = 192
"""Cells of the grid on either side of a steep place, at distances that grow by equal factors."""
PER_SIDE = 3
"""Candidates that are followed on either side of a steep place."""
LEVELS = 48
"""Windows that close in on 0 itself, where numbers have no smallest step worth the name, end here."""
ROUNDING = 64 * EPS
"""Differences over less than this, relative to the norm of y, say more of rounding than of g. A map that
measures the distance to a seam by an angle knows it no better than about ``4 EPS``."""
SMOOTH = 1e6 * EPS
"""Sixth differences over less than this are made of rounding, and second ones of smooth trends are gone."""
RADII = 8
"""Distances from a place at which it is judged, each 8 times the one before."""
FLATTEST = 0.04
"""What falls less than by this power of the distance does not fall."""
RESOLUTION = 1e-7
"""Differences that are smaller, relative to the largest value, are none."""
LEAST_SCALE = 1e-5
"""An output coordinate whose values are smaller than this part of the largest coordinate's is measured by the latter:
it may be nothing but the rounding error of something that cancelled."""


class Finding(NamedTuple):
    """What was found on one segment, or around one centre.

    Attributes:
        kind: ``continuous`` where nothing is left of any difference; ``steep`` where something is left over the last
            interval, but falls with its length; ``jump`` where it does not fall; ``not finite`` if a value is not.
        where: the place y, shape ``(d,)``.
        size: the norm of what is left there, over the output coordinates of that kind; of a jump, its size.
        exponent: the slope of the logarithm of what is left against that of the distance: 0 for a jump, for
            ``|y|^α`` about α or up to 0.15 more; NaN where nothing was left to compare, or something is not finite.
        gap: the distance at which the scan stopped.
        segment: the number of the segment; 0 for a centre.
    """

    kind: Kind
    where: Tensor
    size: float
    exponent: float
    gap: float
    segment: int


class Excess(NamedTuple):
    """The pair of points that comes nearest to breaking a promise of steepness, or breaks it most.

    Attributes:
        ratio: of the difference to what is allowed; the promise is broken if it exceeds 1, infinite where a value is
            not finite.
        where: one of the points, shape ``(d,)``.
        size: the norm of the difference of g.
        gap: the distance of the points.
        segment: the number of the segment.
    """

    ratio: float
    where: Tensor
    size: float
    gap: float
    segment: int


_SEVERITY: dict[Kind, int] = {"continuous": 0, "steep": 1, "jump": 2, "not finite": 3}


# --- along segments --------------------------------------------------------------------------------------------


def scan(
    g: Function, starts: Tensor, ends: Tensor, *, windows: int = 24, resolution: float = RESOLUTION
) -> list[Finding]:
    r"""The worst place of g on each segment.

    1. *Candidates.* g on 257 points of each segment; the local maxima of the sixth differences, the largest first.
       To those a smooth trend adds by the sixth power of the distance of the points, a jump ten times its size.
    2. *Refinement.* Each candidate becomes a window, which gets a grid of 17 points; the cells around the largest sixth
       difference, from 1e6 EPS on the largest second one, are the next window. A window is left where its second
       differences are below the resolution; otherwise it ends where its grid comes close to rounding: at 64 EPS of
       the norm of y, so that it goes on for long near 0.
    3. *Judgement.* Around the last three points, both sides are extrapolated to the place, linearly from the distances
       w and 2w. What is left is by how much these two limits and the three points differ: J if g jumps by J, up to
       O(w²), while around a cusp :math:`|y|^α` it is proportional to :math:`w^α`, wherever between the points the cusp
       lies. The slope of its logarithm over 8 distances w, from 64 to 1e8 EPS, tells them apart: below 0.04 it is a
       jump.
    4. *Beside.* A cusp outshines what lies near it. So from each place that was followed for long, g is computed at
       distances that grow by equal factors, in whose logarithm a cusp is smooth, and candidates found there are
       refined and judged as well.

    All of it holds for each output coordinate by itself, on its own scale, the largest value on the segment. To
    judge a place the function is also asked up to 1e-7 beyond the ends of a segment.

    What jumps and is not found: less than 1e-7 of the scale; at a cusp itself, not much more than the cusp leaves over
    64 EPS, 5e-3 for ``5 |y|^0.2``; a small one among tens of cusps; what a segment does not meet, a single point above
    all (see `star`). What is continuous and looks like a jump: exponents below 0.04, such as 1/log; slopes above
    1e13; what is rounded to numbers of less precision inside.

    Args:
        g: the function; it gets ``(n, d)`` and returns ``(n, m)``.
        starts: where the segments begin, shape ``(s, d)``, float64.
        ends: where they end, shape ``(s, d)``, float64.
        windows: how many places of each segment are followed at most.
        resolution: differences below this part of the largest value of their coordinate count as none.

    Returns:
        For each segment the worst kind that was met, and of that kind the largest.

    Raises:
        ValueError: if the segments, or what g returns, are not of the shapes and types above.

    >>> start, end = torch.tensor([[-1.0, 0.2], [-1.0, 0.2]]).double(), torch.tensor([[0.0, 0.1], [2.0, 0.3]]).double()
    >>> [found.kind for found in scan(lambda y: y + (y[:, :1] > 1), start, end)]
    ['continuous', 'jump']
    >>> found = scan(lambda y: (y - 0.3).abs() ** 0.2, start[1:], end[1:])[0]
    >>> found.kind, 0.1 < found.exponent < 0.4
    ('steep', True)
    """
    _check_segments(starts, ends)
    worst: list[Finding | None] = [None] * len(starts)

    def add(found: Finding) -> None:
        known = worst[found.segment]
        if known is None or (_SEVERITY[found.kind], found.size) > (_SEVERITY[known.kind], known.size):
            worst[found.segment] = found

    with torch.no_grad():
        for level in _walk(g, starts, ends, windows, resolution):
            for row in (~level.finite).nonzero().flatten().tolist():
                bad = ~torch.isfinite(level.values[row]).all(-1)
                add(_not_finite(level.points[row, bad][0], float(level.gap[row]), int(level.segment[row])))
            _add_flat(level, add)
            if level.ended.any():
                for found in _judge(g, level, starts, ends):
                    add(found)
    return [found for found in worst if found is not None]


class _Level(NamedTuple):
    """Some windows of one level; w windows of c cells.

    Attributes:
        points: the grid, shape ``(w, c + 1, d)``.
        values: g there, shape ``(w, c + 1, m)``.
        segment: whose window it is, shape ``(w,)``.
        gap: length of a cell, shape ``(w,)``.
        least: what counts as no difference, shape ``(w, m)``.
        middle: the grid point to go on with, shape ``(w,)``.
        reach: how many cells on either side of it make the next window, shape ``(w,)``.
        finite: whether all values are, shape ``(w,)``.
        flat: whether no difference is left, shape ``(w,)``.
        ended: whether something is left and the grid is as fine as can be, shape ``(w,)``.
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


def _walk(g: Function, starts: Tensor, ends: Tensor, windows: int, resolution: float) -> Iterator[_Level]:
    """The segments as windows of 256 cells, then the windows of each level that something was left in."""
    if not len(starts):
        return
    segment = torch.arange(len(starts))
    points = _grid(starts, ends, GRID)
    values = _values(g, points)
    size = values.abs().amax(1)
    scale = torch.maximum(size, LEAST_SCALE * size.amax(-1, keepdim=True)).clamp(min=TINY)
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
        # What is flat at once was smooth.
        rows = (level.ended | (level.flat & (depth >= 4))).nonzero().flatten()
        middle = level.middle[rows]
        places.append((level.segment[rows], level.points[rows, middle], level.gap[rows]))
    segment, place, gap = (torch.cat(parts) for parts in zip(*places, strict=True)) if places else (segment, low, nth)
    if len(segment):
        low, high, segment = _beside(g, starts, ends, segment, place, gap, scales)
        yield from _refine(g, low, high, segment, scales)


class _Scales(NamedTuple):
    """The size of g on each segment, and what counts as no difference, both ``(s, m)``."""

    scale: Tensor
    least: Tensor


def _refine(g: Function, low: Tensor, high: Tensor, segment: Tensor, scales: _Scales) -> Iterator[_Level]:
    """The levels of some windows from `low` to `high`, ``(w, d)`` each, that lie on the segments ``(w,)``."""
    for depth in range(1, LEVELS + 1):
        if not len(segment):
            return
        points = _grid(low, high, CELLS)
        level = _measure(points, _values(g, points), segment, scales, last=depth == LEVELS)
        yield level
        go_on = (level.finite & ~level.flat & ~level.ended).nonzero().flatten()
        middle, segment = level.middle[go_on], segment[go_on]
        reach = level.reach[go_on]
        low, high = level.points[go_on, middle - reach], level.points[go_on, middle + reach]


def _beside(
    g: Function, starts: Tensor, ends: Tensor, segment: Tensor, place: Tensor, gap: Tensor, scales: _Scales
) -> tuple[Tensor, Tensor, Tensor]:
    """Candidates beside places where something was left, ``(p,)`` and ``(p, d)``: their windows and segments.

    In the logarithm of the distance to its cusp, ``|y|^α`` is smooth, with small differences, however close.
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
    best, index = _peaks(_values(g, points), scales.least[segment], PER_SIDE)
    row, nth = (best > 1).nonzero(as_tuple=True)
    middle = index[row, nth]
    # What is known already has its own neighbourhood looked at.
    ends_at = along[which[row]].unsqueeze(1) + sign[row].unsqueeze(1) * torch.stack(
        [distance[row, middle - 2], distance[row, middle + 2]], 1
    )
    low, high = ends_at.amin(1, keepdim=True), ends_at.amax(1, keepdim=True)
    owner = segment[row].unsqueeze(1) == place_of.unsqueeze(0)
    known = (owner & (along >= low) & (along <= high)).any(1)
    row, middle = row[~known], middle[~known]
    return points[row, middle - 2], points[row, middle + 2], segment[row]


def _peaks(values: Tensor, least: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest local maxima of the sixth differences, in units of `least`, and the grid points they are at.

    Args:
        values: g on a grid, shape ``(w, n + 1, m)``.
        least: shape ``(w, m)``.
        count: how many.

    Returns:
        Two tensors of shape ``(w, count)``; the first is 0 where there is no other maximum, the second has at least
        two points on either side.
    """
    score = (_sixth(_second(values)).abs() / least.unsqueeze(1)).amax(-1).nan_to_num(0.0, 0.0, 0.0)
    around = max_pool1d(score.unsqueeze(1), 5, stride=1, padding=2).squeeze(1)
    # A jump has two equal maxima side by side; one is enough.
    peak = torch.where((score == around) & (score > pad(score, (1, 0))[:, :-1]), score, 0.0)
    best, index = peak.topk(min(count, peak.shape[1]), dim=1)
    return best, (index + 1).clamp(2, values.shape[1] - 3)


def _sixth(difference: Tensor) -> Tensor:
    """Sixth differences from second ones, of the same shape: as if those stayed the same beyond both ends."""
    for _ in range(2):
        difference = _second(torch.cat([difference[:, :1], difference, difference[:, -1:]], 1))
    return difference


def _second(values: Tensor) -> Tensor:
    """Second differences along dimension 1, which loses two."""
    return values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]


def _measure(points: Tensor, values: Tensor, segment: Tensor, scales: _Scales, last: bool) -> _Level:
    scale, least = scales.scale[segment], scales.least[segment]
    gap = (points[:, -1] - points[:, 0]).norm(dim=-1) / (points.shape[1] - 1)
    finite = torch.isfinite(values).all(-1).all(-1)
    second = _second(values)
    flat = (second.abs() <= least.unsqueeze(1)).all(-1).all(-1)
    size = points.norm(dim=-1).amin(-1)
    coarse = gap > SMOOTH * size
    # Sixth differences at the first and last two points are made up from lower ones, to which trends add more. With
    # less than a third of its weight a jump in the last cell would be taken for its echo three points off.
    sixth = _sixth(second)
    sixth[:, :2] *= 0.4
    sixth[:, -2:] *= 0.4
    followed = torch.where(coarse[:, None, None], sixth, second).abs() / scale.unsqueeze(1)
    middle = followed.amax(-1).nan_to_num(math.inf).argmax(1) + 1
    reach = torch.where(coarse, 2, 1)
    middle = torch.maximum(torch.minimum(middle, points.shape[1] - 1 - reach), reach)
    fine = gap <= ROUNDING * size
    return _Level(
        *(points, values, segment, gap, least, middle, reach),
        *(finite, finite & flat, finite & ~flat & (fine | last)),
    )


def _add_flat(level: _Level, add: Callable[[Finding], None]) -> None:
    """Of the windows that were left, the one with the largest second difference of each segment."""
    rows = level.flat.nonzero().flatten()
    if not len(rows):
        return
    values, middle = level.values[rows], level.middle[rows]
    each = torch.arange(len(rows))
    left = (values[each, middle + 1] - 2 * values[each, middle] + values[each, middle - 1]).norm(dim=-1)
    order = left.argsort(descending=True)
    seen: set[int] = set()
    for i in order.tolist():
        segment = int(level.segment[rows[i]])
        if segment not in seen:
            seen.add(segment)
            where = level.points[rows[i], middle[i]].clone()
            add(Finding("continuous", where, float(left[i]), math.nan, float(level.gap[rows[i]]), segment))


def _judge(g: Function, level: _Level, starts: Tensor, ends: Tensor) -> Iterator[Finding]:
    """What the windows are that have ended."""
    rows = level.ended.nonzero().flatten()
    points, values, segment = level.points[rows], level.values[rows], level.segment[rows]
    near = level.middle[rows].unsqueeze(1) + torch.arange(-1, 2)
    each = torch.arange(len(rows)).unsqueeze(1)
    inner, inside = points[each, near], values[each, near]
    way = ends[segment] - starts[segment]
    way = way / way.norm(dim=-1, keepdim=True)
    first = torch.maximum(level.gap[rows], ROUNDING * inner[:, 1].norm(dim=-1))
    radii = first.unsqueeze(1) * (CELLS / 2) ** torch.arange(RADII)
    steps = torch.stack([radii, 2 * radii], -1)[..., None] * way[:, None, None]  # (w, RADII, 2, d)
    outer = torch.stack([inner[:, 0, None, None] - steps, inner[:, 2, None, None] + steps], 2)  # (w, RADII, 2, 2, d)
    outside = _values(g, outer)
    limits = 2 * outside[..., 0, :] - outside[..., 1, :]  # (w, RADII, 2, m)
    all_ = torch.cat([limits, inside.unsqueeze(1).expand(-1, RADII, -1, -1)], 2)
    left = all_.amax(2) - all_.amin(2)  # (w, RADII, m)
    slope = _slope(radii, left)
    # What a slope adds over the three points themselves, and rounding, are a few times one cell's difference on either
    # side; a jump shows in one cell, or two, and no median of five.
    typical = (values[:, 1:] - values[:, :-1]).abs().unfold(1, 5, 1).median(-1).values.amax(1)
    finite = torch.isfinite(outside).flatten(1).all(1)
    verdicts = _verdicts(left[:, 0], slope, level.least[rows], left[:, 0] > 8 * typical)
    for i, (kind, size, exponent) in enumerate(verdicts):
        gap, number = float(first[i]), int(segment[i])
        if finite[i]:
            yield Finding(kind, inner[i, 1].clone(), size, exponent, gap, number)
        else:
            yield _not_finite(outer[i][~torch.isfinite(outside[i]).all(-1)][0], gap, number)


def _verdicts(left: Tensor, slope: Tensor, least: Tensor, sharp: Tensor) -> list[tuple[Kind, float, float]]:
    """Kind, size and exponent of each row, from what is left in each output coordinate, all of shape ``(w, m)``."""
    something = left > least
    jump = something & sharp & (slope < FLATTEST)
    verdicts: list[tuple[Kind, float, float]] = []
    for i in range(len(left)):
        kind: Kind = "jump" if jump[i].any() else "steep" if something[i].any() else "continuous"
        size = left[i] * {"jump": jump[i], "steep": something[i], "continuous": ~something[i]}[kind]
        main = int((size / least[i]).argmax())
        verdicts.append((kind, float(size.norm()), float(slope[i, main])))
    return verdicts


def _slope(radii: Tensor, left: Tensor) -> Tensor:
    """Of log `left`, shape ``(w, r, m)``, against log `radii`, shape ``(w, r)``: the regression, shape ``(w, m)``."""
    x = radii.log()
    x = (x - x.mean(1, keepdim=True)).unsqueeze(-1)
    y = left.clamp(min=TINY).log()
    return (x * y).sum(1) / x.square().sum(1)


def _not_finite(where: Tensor, gap: float, segment: int) -> Finding:
    return Finding("not finite", where.clone(), math.nan, math.nan, gap, segment)


def _grid(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Evenly spaced points from `low` to `high`, both ends exactly, ``(w, d) -> (w, cells + 1, d)``."""
    t = torch.linspace(0, 1, cells + 1, dtype=torch.float64)[:, None]
    low, high = low.unsqueeze(1), high.unsqueeze(1)
    # From the nearer end, so that a window at 0 keeps the relative precision it has there.
    return torch.where(t < 0.5, low + t * (high - low), high - (1 - t) * (high - low))


def _values(g: Function, points: Tensor) -> Tensor:
    """Of g at points of shape ``(..., d)``, all in one batch, ``(..., m)``."""
    flat = points.reshape(-1, points.shape[-1])
    values = g(flat)
    if values.ndim != 2 or len(values) != len(flat):
        raise ValueError(f"g returned the shape {tuple(values.shape)} for {tuple(flat.shape)}")
    return values.double().reshape(*points.shape[:-1], values.shape[-1])


def _check_segments(starts: Tensor, ends: Tensor) -> None:
    if starts.ndim != 2 or starts.shape != ends.shape:
        raise ValueError(f"segments begin and end in (s, d), not {tuple(starts.shape)} and {tuple(ends.shape)}")
    if starts.dtype != torch.float64 or ends.dtype != torch.float64:
        raise ValueError(f"segments are of float64, not {starts.dtype} and {ends.dtype}")
    if not (torch.isfinite(starts).all() and torch.isfinite(ends).all()):
        raise ValueError("a segment's end is not finite")


# --- at centres ------------------------------------------------------------------------------------------------


def star(g: Function, centre: Locus, d: int, generator: torch.Generator, *, draws: int = 4) -> Finding:
    """Whether g tends to its value at a centre from all directions: ``y / ‖y‖`` does not at 0, and no segment shows it.

    Around the centre, at distances from 1 down to 1e-150, whose square is a number still, g is computed in the
    directions of the axes, of some diagonals, in 32 random ones, and in their opposites; at the centre too. How far the
    values differ, in each output coordinate, must fall to nothing, or at least fall: as in `scan`, but over the last 8
    distances. At a centre that is not at 0 distances below 64 EPS of it are made of rounding; g is not asked there, and
    what happens within so little looks like a jump.

    Args:
        g: the function; it gets ``(n, d)`` and returns ``(n, m)``.
        centre: where; of a ray, its beginning. Other dimensions than those pinned are drawn.
        d: number of dimensions of y.
        generator: for what is drawn.
        draws: how many points of the centre are looked at, where it has free dimensions.

    Returns:
        The worst of the points looked at.

    Raises:
        ValueError: if the centre does not lie in d dimensions, or what g returns is not of the shape above.

    >>> generator = torch.Generator().manual_seed(0)
    >>> star(lambda y: y / y.norm(dim=-1, keepdim=True), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
    'not finite'
    >>> star(lambda y: torch.atan2(y[:, 1:], y[:, :1]), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
    'jump'
    >>> star(lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-7), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
    'continuous'
    """
    draws = draws if len(centre.dims) < d else 1
    point = points_of(centre, draws, d, generator)
    pinned = list(centre.dims)
    width = len(pinned)
    random = torch.randn(32, width, dtype=torch.float64, generator=generator)
    signs = torch.randint(0, 2, (8, width), generator=generator).double() * 2 - 1
    some = torch.cat([torch.eye(width, dtype=torch.float64), torch.ones(1, width, dtype=torch.float64), signs, random])
    some = some / some.norm(dim=-1, keepdim=True)
    ways = torch.zeros(2 * len(some), d, dtype=torch.float64)
    ways[:, pinned] = torch.cat([some, -some])
    away = max((abs(x) for x in centre.point), default=0.0)
    decades = [*range(0, -18, -1), *range(-18, -151, -6)]
    distances = [r for r in (10.0**k for k in decades) if r >= ROUNDING * away]
    radii = torch.tensor(distances, dtype=torch.float64)
    points = point[:, None, None] + radii[:, None, None] * ways  # (draws, r, directions, d)
    with torch.no_grad():
        values, middle = _values(g, points), _values(g, point)
    for where, value in ((point, middle), (points, values)):
        bad = ~torch.isfinite(value).all(-1)
        if bad.any():
            return _not_finite(where[bad][0], 0.0 if where is point else distances[-1], 0)
    every = torch.cat([values, middle[:, None, None].expand(-1, len(radii), 1, -1)], 2)
    left = every.amax(2) - every.amin(2)  # (draws, r, m)
    size = every.abs().amax((1, 2))
    least = RESOLUTION * torch.maximum(size, LEAST_SCALE * size.amax(-1, keepdim=True)).clamp(min=TINY)
    slope = _slope(radii[-RADII:].expand(draws, -1), left[:, -RADII:])
    verdicts = _verdicts(left[:, -1], slope, least, left[:, -1] > least)
    found = [
        Finding(kind, point[i].clone(), size, exponent, distances[-1], 0)
        for i, (kind, size, exponent) in enumerate(verdicts)
    ]
    return max(found, key=lambda one: (_SEVERITY[one.kind], one.size))


# --- a promise of steepness ------------------------------------------------------------------------------------


def hoelder_excess(
    g: Function, starts: Tensor, ends: Tensor, constant: float, exponent: float = 1.0, *, windows: int = 24
) -> Excess:
    r"""How near g comes to breaking the promise ``‖g(y) - g(y')‖ <= constant ‖y - y'‖^exponent`` on some segments.

    All pairs that are 1, 2, 4, … steps apart on any grid that `scan` looks at, and at most 1 apart in y. Rounding is
    granted: the difference may be :math:`C (h + 16 ε \|y\|)^α + 16 ε \|g(y)\|`, with ε the spacing of numbers at 1.

    Args:
        g: the function; it gets ``(n, d)`` and returns ``(n, m)``.
        starts: where the segments begin, shape ``(s, d)``, float64.
        ends: where they end, shape ``(s, d)``, float64.
        constant: C.
        exponent: α, in (0, 1].
        windows: as for `scan`.

    Returns:
        The pair with the largest ratio of what is to what is allowed.

    Raises:
        ValueError: if there is no segment, or the segments, or what g returns, are not of the shapes and types above.

    >>> start, end = torch.tensor([[-1.0]]).double(), torch.tensor([[1.5]]).double()
    >>> hoelder_excess(lambda y: 3 * y, start, end, constant=3.0).ratio <= 1
    True
    >>> round(hoelder_excess(lambda y: 3 * y, start, end, constant=2.0).ratio, 6)
    1.5
    """
    _check_segments(starts, ends)
    if not len(starts):
        raise ValueError("there is no segment")
    worst: Excess | None = None
    with torch.no_grad():
        for level in _walk(g, starts, ends, windows, RESOLUTION):
            if not len(level.points):
                continue
            found = _steepest(level, constant, exponent)
            if worst is None or found.ratio > worst.ratio:
                worst = found
    assert worst is not None  # the first grid is always looked at
    return worst


def _steepest(level: _Level, constant: float, exponent: float) -> Excess:
    """The worst pair of one level."""
    points, values = level.points, level.values
    size = EPS * 16 * points.norm(dim=-1)
    error = EPS * 16 * values.norm(dim=-1)
    worst: Excess | None = None
    lag = 1
    while lag < points.shape[1]:
        apart = (points[:, lag:] - points[:, :-lag]).norm(dim=-1)
        difference = (values[:, lag:] - values[:, :-lag]).norm(dim=-1)
        allowed = constant * (apart + torch.maximum(size[:, lag:], size[:, :-lag])) ** exponent
        allowed = allowed + torch.maximum(error[:, lag:], error[:, :-lag])
        ratio = (difference / allowed.clamp(min=TINY)).nan_to_num(math.inf)
        ratio = torch.where(apart <= 1, ratio, 0.0)
        row, first = divmod(int(ratio.argmax()), ratio.shape[1])
        found = Excess(
            float(ratio[row, first]),
            points[row, first].clone(),
            float(difference[row, first]),
            float(apart[row, first]),
            int(level.segment[row]),
        )
        if worst is None or found.ratio > worst.ratio:
            worst = found
        lag *= 2
    assert worst is not None
    return worst
