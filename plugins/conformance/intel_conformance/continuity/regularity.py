"""How regular is a function at a place: continuous, steep, or with a jump?"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from torch import Tensor

from intel_conformance.continuity.evaluating import TINY

__all__ = ["RADII", "SEVERITY", "Kind", "Regularity", "not_finite", "slope_of", "verdicts"]

Kind = Literal["continuous", "steep", "jump", "not finite"]
SEVERITY: dict[Kind, int] = {"continuous": 0, "steep": 1, "jump": 2, "not finite": 3}
"""The worse, the larger."""
RADII = 8
"""The number of distances from a place over which an exponent is estimated."""
FLATTEST = 0.04
"""A difference that falls more slowly than this power of the distance counts as one that does not fall."""


class Regularity(NamedTuple):
    """How a function behaves at the worst place of one segment, or around one centre.

    Attributes:
        kind: ``continuous`` if no difference remains; ``steep`` if one remains at the smallest distance, but falls with
            the distance; ``jump`` if it does not fall; ``not finite`` if a value is not.
        where: the place y, shape ``(d,)``.
        size: the norm of the remaining difference, over the output coordinates of that kind; for a jump, its size.
        exponent: the Hölder exponent, the slope of the logarithm of the difference against that of the distance: 0 for
            a jump, for ``|y|^α`` about α or up to 0.15 more; NaN if no difference remains or a value is not finite.
        gap: the smallest distance that was looked at.
        segment: the number of the segment; 0 for a centre.
    """

    kind: Kind
    where: Tensor
    size: float
    exponent: float
    gap: float
    segment: int


def verdicts(left: Tensor, slope: Tensor, least: Tensor, sharp: Tensor) -> list[tuple[Kind, float, float]]:
    """Kind, size and exponent of each row.

    Args:
        left: the remaining difference in each output coordinate, shape ``(w, m)``.
        slope: its exponent, as `slope_of` gives it, shape ``(w, m)``.
        least: differences below this count as none, shape ``(w, m)``.
        sharp: whether the difference is concentrated at the place, as that of a jump is, shape ``(w, m)``.
    """
    something = left > least
    jump = something & sharp & (slope < FLATTEST)
    verdicts: list[tuple[Kind, float, float]] = []
    for i in range(len(left)):
        kind: Kind = "jump" if jump[i].any() else "steep" if something[i].any() else "continuous"
        size = left[i] * {"jump": jump[i], "steep": something[i], "continuous": ~something[i]}[kind]
        main = int((size / least[i]).argmax())
        verdicts.append((kind, float(size.norm()), float(slope[i, main])))
    return verdicts


def slope_of(radii: Tensor, left: Tensor) -> Tensor:
    """The exponent with which differences fall: the slope of a regression of their logarithm on that of the distance.

    Args:
        radii: the distances, shape ``(w, r)``.
        left: the differences, shape ``(w, r, m)``.

    Returns:
        Shape ``(w, m)``.

    >>> import torch
    >>> radii = torch.tensor([[1e-1, 1e-2, 1e-3]])
    >>> slope_of(radii, 5 * radii.unsqueeze(-1) ** 0.5)
    tensor([[0.5000]])
    """
    x = radii.log()
    x = (x - x.mean(1, keepdim=True)).unsqueeze(-1)
    y = left.clamp(min=TINY).log()
    return (x * y).sum(1) / x.square().sum(1)


def not_finite(where: Tensor, gap: float, segment: int) -> Regularity:
    """A place at which a value is not finite."""
    return Regularity("not finite", where.clone(), math.nan, math.nan, gap, segment)
