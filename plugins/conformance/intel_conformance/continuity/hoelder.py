"""Is a function as steep as it claims, or steeper? Hölder constants along segments."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intel_conformance.continuity.evaluating import EPS, RESOLUTION, TINY, Function, check_segments
from intel_conformance.continuity.windows import Windows, walk

__all__ = ["Excess", "hoelder_excess"]


class Excess(NamedTuple):
    """The pair of points that exceeds a Hölder bound most, or comes nearest to exceeding it.

    Attributes:
        ratio: of the difference to the bound, which is exceeded if this is above 1; infinite if a value is not finite.
        where: one of the points, shape ``(d,)``.
        size: the norm of the difference of g.
        gap: the distance between the points.
        segment: the number of the segment.
    """

    ratio: float
    where: Tensor
    size: float
    gap: float
    segment: int


def hoelder_excess(
    g: Function, starts: Tensor, ends: Tensor, constant: float, exponent: float = 1.0, *, windows: int = 24
) -> Excess:
    r"""How much of the bound ``‖g(y) - g(y')‖ <= constant ‖y - y'‖^exponent`` g uses up on some segments.

    Compared are all pairs that are 1, 2, 4, … steps apart on any grid of `intel_conformance.continuity.scan.scan`, and
    at most 1 apart in y. Rounding is allowed for: at a distance h the difference may be
    :math:`C (h + 16 ε \|y\|)^α + 16 ε \|g(y)\|`, where ε is the spacing of floating-point numbers at 1.

    Args:
        g: the function, from ``(n, d)`` to ``(n, m)``.
        starts: where the segments begin, shape ``(s, d)``, float64.
        ends: where they end, shape ``(s, d)``, float64.
        constant: C.
        exponent: α, in (0, 1].
        windows: the largest number of candidates for a jump that are followed on each segment.

    Returns:
        The pair with the largest ratio of its difference to the bound.

    Raises:
        ValueError: if there is no segment, or the segments or the values of g do not have the shapes and types above.

    >>> start, end = torch.tensor([[-1.0]]).double(), torch.tensor([[1.5]]).double()
    >>> hoelder_excess(lambda y: 3 * y, start, end, constant=3.0).ratio <= 1
    True
    >>> round(hoelder_excess(lambda y: 3 * y, start, end, constant=2.0).ratio, 6)
    1.5
    """
    check_segments(starts, ends)
    if not len(starts):
        raise ValueError("there is no segment")
    worst: Excess | None = None
    with torch.no_grad():
        for level in walk(g, starts, ends, windows, RESOLUTION):
            if not len(level.points):
                continue
            found = _steepest(level, constant, exponent)
            if worst is None or found.ratio > worst.ratio:
                worst = found
    assert worst is not None  # the first grid is always looked at
    return worst


def _steepest(level: Windows, constant: float, exponent: float) -> Excess:
    """The pair of one level with the largest ratio."""
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
