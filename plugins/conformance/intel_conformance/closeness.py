"""Are two results the same but for rounding? With an allowance for maps that are steep."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["allowance", "same_kernel", "worst_difference"]

_RELATIVE = {torch.float64: 1e-9, torch.float32: 2e-4}
_ULPS = 256
_PROBES = 6


def allowance(g: Callable[[Tensor], Tensor], y: Tensor, z: Tensor, generator: torch.Generator) -> Tensor:
    """How far each value of ``z = g(y)`` may be off through rounding, the shape of z.

    A share of its coordinate's size, and several times as much as z moves when y is moved by some units in the last
    place: next to a seam of ``|d|^0.2`` a difference of 1e-16 in y is one of 6e-4 in z, in any correct program.

    Args:
        g: the mapping, tried on moved rows in batches of this one's shape.
        y: rows ``(..., y_dim)``.
        z: ``g(y)``.
        generator: of the movements.
    """
    # Of unit rounding; relative to the whole row, as the map may mix its coordinates.
    step = _ULPS * torch.finfo(y.dtype).eps * y.abs().amax(-1, keepdim=True)
    spread = torch.zeros_like(z)
    for _ in range(_PROBES):
        noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
        spread = torch.maximum(spread, (g(y + step * noise) - z).abs().nan_to_num(0))
    return _base(z) + 16 * spread


def same_kernel(z: Tensor) -> Tensor:
    """What two runs of the same operations on the same rows, at the same places of a batch, may differ by.

    Nothing on a CPU; a little is allowed for iterations that stop when the whole batch has converged.
    """
    return _base(z) * (1e-3 if z.dtype == torch.float64 else 1e-2)


def _base(z: Tensor) -> Tensor:
    sizes = z.detach().abs().nan_to_num(0, 0, 0)
    sizes = sizes.flatten(0, -2).amax(0) if sizes.numel() and sizes.dim() > 1 else sizes
    return _RELATIVE.get(z.dtype, 2e-2) * sizes.expand_as(z)


def worst_difference(found: Tensor, expected: Tensor, allowed: Tensor) -> tuple[float, tuple[int, ...]] | None:
    """The largest difference beyond what is allowed and its index, or None; not a number equals nothing but itself."""
    difference = (found - expected).abs()
    alike = (found == expected) | (found.isnan() & expected.isnan())
    excess = torch.where(alike, -torch.inf, torch.nan_to_num(difference, nan=torch.inf) - allowed)
    if excess.numel() == 0 or float(excess.max()) <= 0:
        return None
    index = int(excess.argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), excess.shape))
    return float(difference.flatten()[index]), where
