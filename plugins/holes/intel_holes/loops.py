"""Where is the circle glued? The loops between the glue points, as plain numbers without torch."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Loops", "make_loops", "pinch"]

_STEPS = 20_000


def pinch(v: float) -> float:
    r"""The factor :math:`\sqrt{4/3 - v^2} - 1/\sqrt3`: :math:`1/\sqrt3` at a loop's apex, 0 at its glue points.

    >>> round(pinch(0.0) * math.sqrt(3), 12), abs(round(pinch(1.0), 12))
    (1.0, 0.0)
    """
    return math.sqrt(4 / 3 - v * v) - 1 / math.sqrt(3)


@dataclass(frozen=True)
class Loops:
    """The h loops of the glued circle, from the right (c = 1) to the left.

    c and s are the two coordinates on the circle. Loop i, counted from 0, is the part with
    ``ends[i + 1] <= c <= ends[i]``.

    Attributes:
        glue: abscissae of the h - 1 pairs of points that are glued, in descending order.
        apex: the c at which each loop's factor is largest: 1 and -1 for the loops at the ends, the middle for others.
        reach: distance from each loop's apex to its glue points.
        height: additional factor on s in each loop; 1 unless sizes are equal.
        start: first coordinate of z at each loop's right end.
        stretch: slope of the first coordinate of z in c, for each loop; 1 unless sizes are equal.
    """

    glue: tuple[float, ...]
    apex: tuple[float, ...]
    reach: tuple[float, ...]
    height: tuple[float, ...]
    start: tuple[float, ...]
    stretch: tuple[float, ...]

    @property
    def ends(self) -> tuple[float, ...]:
        """Abscissae between which the loops lie: 1, the glue points, -1."""
        return (1.0, *self.glue, -1.0)

    @property
    def shares(self) -> tuple[float, ...]:
        """The prior's mass in each loop.

        >>> [round(share, 6) for share in make_loops(3, "width", "natural").shares]
        [0.391827, 0.216347, 0.391827]
        """
        angles = [math.acos(end) for end in self.ends]
        return tuple((b - a) / math.pi for a, b in itertools.pairwise(angles))

    @property
    def slope(self) -> float:
        r"""An upper bound of the Lipschitz constant of the gluing on the unit disc.

        With :math:`z_1 = a c` and :math:`z_2 = k s f(v)`, it is the Frobenius norm of the Jacobian, bounded by
        :math:`|f| \le 1/\sqrt3`, :math:`|f'| \le \sqrt3 v` and :math:`|s| \le \sqrt{1 - c^2}`. The maximum is taken
        over a grid, with a margin of one step of the grid.
        """
        largest = 0.0
        for i, (high, low) in enumerate(zip(self.ends, self.ends[1:], strict=False)):
            rate = self.height[i] * math.sqrt(3) / self.reach[i]
            for j in range(1001):
                c = low + (high - low) * j / 1000
                nearest = min(abs(c), max(abs(c) - (high - low) / 1000, 0.0))
                v = min(1.0, abs(c - self.apex[i]) / self.reach[i] + 0.002)
                bent = rate * v * math.sqrt(max(0.0, 1 - nearest**2))
                largest = max(largest, self.stretch[i] ** 2 + self.height[i] ** 2 / 3 + bent**2)
        return math.sqrt(largest)


def make_loops(h: int, spacing: Literal["mass", "width"], size: Literal["natural", "equal"]) -> Loops:
    r"""The loops of a chain with h holes.

    Args:
        h: number of loops.
        spacing: ``mass``: glue abscissae :math:`\cos(π i / h)`, so that each loop has 1/h of the prior's mass;
            ``width``: :math:`1 - 2 i / h`, so that loops are equally wide and the ones at the ends have more mass.
        size: ``natural``: the loops as the circle makes them; ``equal``: all loops with the same width, and with the
            height of the highest.

    >>> make_loops(2, "mass", "natural").glue[0] == 0
    True
    """
    if spacing == "mass":
        # Unlike cos(pi i / h), the sine is exactly 0 in the middle, and symmetric to the last bit.
        inner = [math.sin(math.pi * (h - 2 * i) / (2 * h)) for i in range(1, h)]
    else:
        inner = [(h - 2 * i) / h for i in range(1, h)]
    ends = [1.0, *inner, -1.0]
    pairs = list(itertools.pairwise(ends))
    if h == 1:
        # A single loop is glued nowhere: with an infinite reach, v is 0 everywhere.
        apex, reach = [0.0], [math.inf]
    else:
        apex = [1.0, *((high + low) / 2 for high, low in pairs[1:-1]), -1.0]
        reach = [
            pairs[0][0] - pairs[0][1],
            *((high - low) / 2 for high, low in pairs[1:-1]),
            pairs[-1][0] - pairs[-1][1],
        ]
    height, start, stretch = [1.0] * h, list(ends[:-1]), [1.0] * h
    if size == "equal" and h > 1:
        tall = [_tallest(high, low, a, r) for (high, low), a, r in zip(pairs, apex, reach, strict=True)]
        height = [max(tall) / own for own in tall]
        stretch = [2 / (h * (high - low)) for high, low in pairs]
        start = [1 - 2 * i / h for i in range(h)]
    return Loops(tuple(inner), tuple(apex), tuple(reach), tuple(height), tuple(start), tuple(stretch))


def _tallest(high: float, low: float, apex: float, reach: float) -> float:
    """The largest second coordinate of a loop, before `height` is applied."""
    steps = (low + (high - low) * j / _STEPS for j in range(_STEPS + 1))
    return max(math.sqrt(max(0.0, 1 - c * c)) * pinch(min(1.0, abs(c - apex) / reach)) for c in steps)
