"""Are two results the same up to rounding? Steep mappings get a larger allowance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["allowance", "same_kernel", "worst_difference"]

_RELATIVE = {torch.float64: 1e-9, torch.float32: 2e-4}
_ULPS = 256
_PROBES = 6


def allowance(g: Callable[[Tensor], Tensor], y: Tensor, z: Tensor, generator: torch.Generator) -> Tensor:
    """By how much rounding may change each value of ``z = g(y)``; a tensor of the shape of z.

    It is a share of the size of the coordinate plus several times what z changes by when y changes by some units in the
    last place. Next to a seam of ``|d|^0.2`` a difference of 1e-16 in y makes one of 6e-4 in z, in any correct program.

    Args:
        g: the mapping; it is called on perturbed rows in batches of the same shape.
        y: rows ``(..., y_dim)``.
        z: ``g(y)``.
        generator: source of the perturbations.
    """
    # Relative to the largest coordinate of the row, as the mapping may mix them.
    step = _ULPS * torch.finfo(y.dtype).eps * y.abs().amax(-1, keepdim=True)
    spread = torch.zeros_like(z)
    for _ in range(_PROBES):
        noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
        spread = torch.maximum(spread, (g(y + step * noise) - z).abs().nan_to_num(0))
    return _base(z) + 16 * spread


def same_kernel(z: Tensor) -> Tensor:
    """By how much two runs of the same operations on the same rows, at the same places of a batch, may differ.

    On a CPU they do not differ, except in iterations that stop when the whole batch has converged.
    """
    return _base(z) * (1e-3 if z.dtype == torch.float64 else 1e-2)


def _base(z: Tensor) -> Tensor:
    sizes = z.detach().abs().nan_to_num(0, 0, 0)
    sizes = sizes.flatten(0, -2).amax(0) if sizes.numel() and sizes.dim() > 1 else sizes
    return _RELATIVE.get(z.dtype, 2e-2) * sizes.expand_as(z)


def worst_difference(found: Tensor, expected: Tensor, allowed: Tensor) -> tuple[float, tuple[int, ...]] | None:
    """The largest difference that exceeds what is allowed, and its index, or None. NaN equals only NaN."""
    difference = (found - expected).abs()
    alike = (found == expected) | (found.isnan() & expected.isnan())
    excess = torch.where(alike, -torch.inf, torch.nan_to_num(difference, nan=torch.inf) - allowed)
    if excess.numel() == 0 or float(excess.max()) <= 0:
        return None
    index = int(excess.argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), excess.shape))
    return float(difference.flatten()[index]), where
