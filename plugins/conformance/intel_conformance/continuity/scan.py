"""Is a function continuous along some segments, and if not, where does it jump?

A pass means that no jump was found along these segments, at the resolution of float64 and of the first grid. How a
place is told to be steep or to have a jump is this project's own method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from intel_conformance.continuity.evaluating import RESOLUTION, ROUNDING, Function, check_segments, values_of
from intel_conformance.continuity.regularity import RADII, SEVERITY, Regularity, not_finite, slope_of, verdicts
from intel_conformance.continuity.windows import CELLS, Windows, walk

__all__ = ["scan"]


def scan(
    g: Function,
    starts: Tensor,
    ends: Tensor,
    *,
    windows: int = 24,
    resolution: float = RESOLUTION,
    floor: float = 0.0,
) -> list[Regularity]:
    r"""The worst place of g on each segment.

    1. *Candidates.* g is computed at 257 points of each segment. The candidates are the local maxima of its sixth
       differences, the largest first: a smooth trend contributes with the sixth power of the step, a jump with ten
       times its size.
    2. *Refinement.* Each candidate becomes a window with a grid of 17 points. The cells around the largest sixth
       difference become the next window; from steps of 1e6 EPS down, those around the largest second difference. A
       window is given up once its second differences are below the resolution. Otherwise refinement ends at steps of
       64 EPS times the norm of y, close to rounding; near 0 it therefore goes on for many levels.
    3. *Judgement.* From both sides of the last three points g is extrapolated to the place, linearly from the distances
       w and 2w. The remaining difference is the range of these two limits and the three points. If g jumps by J it is
       J, up to O(w²); around a cusp :math:`|y|^α` it is proportional to :math:`w^α`, wherever between the points the
       cusp lies. The slope of its logarithm over 8 distances w, from 64 to 1e8 EPS, tells the two apart: a slope below
       0.04 is a jump.
    4. *Neighbourhood.* A cusp hides smaller differences near it. So around each place that was followed for several
       levels g is also computed at distances that grow by equal factors, in the logarithm of which a cusp is smooth.
       Candidates found there are refined and judged as well.

    Each output coordinate is measured on its own scale, its largest value on the segment. To judge a place, g is also
    evaluated up to 1e-7 beyond the ends of a segment.

    Jumps that are not found: those below 1e-7 of the scale; at a cusp, those not much larger than what the cusp does
    over 64 EPS, which is 5e-3 for ``5 |y|^0.2``; a small one among tens of cusps; and whatever no segment crosses, a
    single point above all (see `intel_conformance.continuity.centres.scan_around`). Continuous functions that are taken
    for jumps: exponents below 0.04, such as 1/log; slopes above 1e13; and values rounded to fewer digits inside g.

    Args:
        g: the function, from ``(n, d)`` to ``(n, m)``.
        starts: where the segments begin, shape ``(s, d)``, float64.
        ends: where they end, shape ``(s, d)``, float64.
        windows: the largest number of candidates that are followed on each segment.
        resolution: differences below this share of the largest value of their coordinate count as none.
        floor: the size of g elsewhere. A coordinate whose values on a segment are all below 1e-5 of it is measured on
            that scale, since it may be nothing but rounding.

    Returns:
        For each segment the place with the worst kind of regularity, and the largest of that kind.

    Raises:
        ValueError: if the segments or the values of g do not have the shapes and types above.

    >>> start, end = torch.tensor([[-1.0, 0.2], [-1.0, 0.2]]).double(), torch.tensor([[0.0, 0.1], [2.0, 0.3]]).double()
    >>> [found.kind for found in scan(lambda y: y + (y[:, :1] > 1), start, end)]
    ['continuous', 'jump']
    >>> found = scan(lambda y: (y - 0.3).abs() ** 0.2, start[1:], end[1:])[0]
    >>> found.kind, 0.1 < found.exponent < 0.4
    ('steep', True)
    """
    check_segments(starts, ends)
    worst: list[Regularity | None] = [None] * len(starts)

    def add(found: Regularity) -> None:
        known = worst[found.segment]
        if known is None or (SEVERITY[found.kind], found.size) > (SEVERITY[known.kind], known.size):
            worst[found.segment] = found

    with torch.no_grad():
        for level in walk(g, starts, ends, windows, resolution, floor):
            for row in (~level.finite).nonzero().flatten().tolist():
                bad = ~torch.isfinite(level.values[row]).all(-1)
                add(not_finite(level.points[row, bad][0], float(level.gap[row]), int(level.segment[row])))
            _add_flat(level, add)
            if level.ended.any():
                for found in _judge(g, level, starts, ends):
                    add(found)
    return [found for found in worst if found is not None]


def _add_flat(level: Windows, add: Callable[[Regularity], None]) -> None:
    """For each segment, the window without a remaining difference whose second difference is largest."""
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
            add(Regularity("continuous", where, float(left[i]), math.nan, float(level.gap[rows[i]]), segment))


def _judge(g: Function, level: Windows, starts: Tensor, ends: Tensor) -> Iterator[Regularity]:
    """The regularity of g in the windows that have become as fine as rounding allows."""
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
    outside = values_of(g, outer)
    limits = 2 * outside[..., 0, :] - outside[..., 1, :]  # (w, RADII, 2, m)
    all_ = torch.cat([limits, inside.unsqueeze(1).expand(-1, RADII, -1, -1)], 2)
    left = all_.amax(2) - all_.amin(2)  # (w, RADII, m)
    slope = slope_of(radii, left)
    # A slope and rounding change g over the three points by a few times what they change it by in any cell nearby. A
    # jump changes one or two cells alone, which the median of five does not see.
    typical = (values[:, 1:] - values[:, :-1]).abs().unfold(1, 5, 1).median(-1).values.amax(1)
    finite = torch.isfinite(outside).flatten(1).all(1)
    judged = verdicts(left[:, 0], slope, level.least[rows], left[:, 0] > 8 * typical)
    for i, (kind, size, exponent) in enumerate(judged):
        gap, number = float(first[i]), int(segment[i])
        if finite[i]:
            yield Regularity(kind, inner[i, 1].clone(), size, exponent, gap, number)
        else:
            yield not_finite(outer[i][~torch.isfinite(outside[i]).all(-1)][0], gap, number)
