"""Does a function tend to its value at a point from all directions?"""

from __future__ import annotations

import torch

from intel_conformance.continuity.evaluating import LEAST_SCALE, RESOLUTION, ROUNDING, TINY, Function, values_of
from intel_conformance.continuity.regularity import RADII, SEVERITY, Regularity, not_finite, slope_of, verdicts
from intel_conformance.continuity.segments import points_of
from intel_core.mappings.properties import Locus

__all__ = ["scan_around"]


def scan_around(g: Function, centre: Locus, d: int, generator: torch.Generator, *, draws: int = 4) -> Regularity:
    """How g behaves around a centre. ``y / ‖y‖`` has no limit at 0, which no segment that misses 0 shows.

    g is computed at the centre and around it, at distances from 1 down to 1e-150, whose squares do not underflow, in
    the directions of the axes, of some diagonals, in 32 random directions, and in the opposites of all of these. The
    range of the values in each output coordinate has to fall to zero with the distance, or at least to fall over the
    last 8 distances, as in `intel_conformance.continuity.scan.scan`. Around a centre other than 0, distances below 64
    EPS of its norm are nothing but rounding. g is not evaluated there, and a change within that distance looks like a
    jump.

    Args:
        g: the function, from ``(n, d)`` to ``(n, m)``.
        centre: the place; of a cone, its starting point. The dimensions that it leaves free are drawn at random.
        d: number of dimensions of y.
        generator: source of the random numbers.
        draws: the number of points of the centre that are tried, if it leaves dimensions free.

    Returns:
        The worst of these points.

    Raises:
        ValueError: if the centre does not lie in d dimensions, or g returns another shape.

    >>> generator = torch.Generator().manual_seed(0)
    >>> scan_around(lambda y: y / y.norm(dim=-1, keepdim=True), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
    'not finite'
    >>> scan_around(lambda y: torch.atan2(y[:, 1:], y[:, :1]), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
    'jump'
    >>> scan_around(lambda y: y / (y.norm(dim=-1, keepdim=True) + 1e-7), Locus((0, 1), (0.0, 0.0)), 2, generator).kind
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
        values, middle = values_of(g, points), values_of(g, point)
    for where, value in ((point, middle), (points, values)):
        bad = ~torch.isfinite(value).all(-1)
        if bad.any():
            return not_finite(where[bad][0], 0.0 if where is point else distances[-1], 0)
    every = torch.cat([values, middle[:, None, None].expand(-1, len(radii), 1, -1)], 2)
    left = every.amax(2) - every.amin(2)  # (draws, r, m)
    size = every.abs().amax((1, 2))
    least = RESOLUTION * torch.maximum(size, LEAST_SCALE * size.amax(-1, keepdim=True)).clamp(min=TINY)
    slope = slope_of(radii[-RADII:].expand(draws, -1), left[:, -RADII:])
    judged = verdicts(left[:, -1], slope, least, left[:, -1] > least)
    found = [
        Regularity(kind, point[i].clone(), size, exponent, distances[-1], 0)
        for i, (kind, size, exponent) in enumerate(judged)
    ]
    return max(found, key=lambda one: (SEVERITY[one.kind], one.size))
