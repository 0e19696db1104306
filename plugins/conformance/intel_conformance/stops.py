"""Does g stop at once, as a clamp does? A search along rays, which draws of the prior do not get far enough for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["find_stop"]

_NEAR, _FAR, _POINTS = 0.25, 40.0, 400
_HALVINGS = 40
_STEP = 1e-6
"""Relative: whether g moves at a place is asked over a step of this share of the distance from 0."""
_ROUNDING = 1e4 * torch.finfo(torch.float64).eps
_CLEAR = 100
_AT_ONCE = 1e-3
"""What saturates smoothly has slowed down to rounding before it stops; a clamp still has its full speed."""


@torch.no_grad()
def find_stop(g: Callable[[Tensor], Tensor], directions: Tensor) -> tuple[Tensor, float] | None:
    r"""A place from which on g is constant along its ray though it moved just before, and how fast it moved there.

    On the ray of a direction u, g has at t the speed :math:`\|g((1 + h) t u) - g(t u)\| / h t`, h = 1e-6. It moves
    where that is more than rounding of z. From the last place of a grid up to 40 where it moves to the next where it
    does not, bisection finds where it ends. A function that saturates smoothly, such as tanh, has slowed down there,
    however steep it was. If the speed is still more than a thousandth of the largest on the ray, g ends in a kink, and
    all of the ray beyond has one z.

    Args:
        g: the mapping, float64.
        directions: of the rays, unit vectors ``(n, y_dim)``, float64.

    >>> axes = torch.eye(2, dtype=torch.float64)
    >>> place, speed = find_stop(lambda y: y.clamp(-4, 4), axes)
    >>> round(float(place.norm()), 3), round(speed, 3)
    (4.0, 1.0)
    >>> find_stop(torch.tanh, axes) is None
    True
    """
    t = torch.logspace(0, 1, _POINTS, base=_FAR / _NEAR, dtype=torch.float64, device=directions.device) * _NEAR
    n = len(directions)
    found = _speed(g, t.repeat(n), directions.repeat_interleave(len(t), 0))
    speeds, moves = found.speed.reshape(n, -1), found.moves.reshape(n, -1)
    last = torch.where(moves, torch.arange(len(t), device=t.device), -1).amax(1)
    ends = ((last >= 0) & (last < len(t) - 1) & torch.isfinite(speeds).all(1)).nonzero().flatten()
    if not len(ends):
        return None
    low, high, ways = t[last[ends]], t[last[ends] + 1], directions[ends]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        moving = _speed(g, middle, ways).moves
        low, high = torch.where(moving, middle, low), torch.where(moving, high, middle)
    before = _speed(g, low * (1 - 4 * _STEP), ways)  # the step from the last place itself may reach beyond the end
    ratio = torch.where(before.speed > _CLEAR * before.rounding, before.speed / speeds[ends].amax(1), 0.0)
    worst = int(ratio.argmax())
    return (low[worst] * ways[worst], float(before.speed[worst])) if float(ratio[worst]) > _AT_ONCE else None


class _Speed(NamedTuple):
    """How fast g moves, and how fast it would seem to by rounding alone; one number for each place."""

    speed: Tensor
    rounding: Tensor

    @property
    def moves(self) -> Tensor:
        return self.speed > self.rounding


def _speed(g: Callable[[Tensor], Tensor], t: Tensor, ways: Tensor) -> _Speed:
    z = g(t.unsqueeze(-1) * ways)
    step = _STEP * t
    moved = torch.linalg.vector_norm(g((t + step).unsqueeze(-1) * ways) - z, dim=-1)
    return _Speed(moved / step, _ROUNDING * torch.linalg.vector_norm(z, dim=-1) / step)
