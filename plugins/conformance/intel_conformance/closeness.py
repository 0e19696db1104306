"""Are two results the same up to rounding? Steep mappings get a larger allowance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["beyond_rounding", "nearby", "same_kernel", "sensitivity", "worst_difference"]

_RELATIVE = {torch.float64: 1e-9, torch.float32: 2e-4}
_ULPS = 256
_ULPS_OF_FLOAT32 = 8
_PROBES = 6
_STEEP = 16
_MOST_ROWS = 64


def beyond_rounding(
    found: Tensor, expected: Tensor, g: Callable[[Tensor], Tensor], y: Tensor, generator: torch.Generator
) -> tuple[float, tuple[int, ...]] | None:
    """The largest difference that rounding does not explain, and its index, or None.

    Rounding may change each value by a share of the size of its coordinate plus several times what z changes by when y
    changes by some units in the last place. Next to a seam of ``|d|^0.2`` a difference of 1e-16 in y makes one of 6e-4
    in z, in any correct program. The second part is found for each row alone: what the rest of a batch does to a row
    gives it no allowance. Only the 64 rows that differ most are looked at.

    Args:
        found: ``(..., z_dim)``.
        expected: of the same shape.
        g: the mapping.
        y: the rows, ``(..., y_dim)``.
        generator: source of the changes of y.
    """
    if _identical(found, expected):
        return None
    allowed = _base(expected)
    if worst_difference(found, expected, allowed) is None:
        return None
    rows, width = y.reshape(-1, y.shape[-1]), found.shape[-1]
    off = (found - expected).detach().abs().nan_to_num(torch.inf) - allowed.detach()
    off = off.reshape(-1, width).amax(-1)
    chosen = off.topk(min(_MOST_ROWS, len(rows))).indices
    chosen = chosen[off[chosen] > 0]
    allowed = allowed.detach().clone().reshape(-1, width)
    beside = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    beside[chosen] = False
    allowed[beside] = torch.inf
    for row in chosen.tolist():
        allowed[row] += _STEEP * sensitivity(g, rows[row], generator)
    return worst_difference(found, expected, allowed.reshape(found.shape))


@torch.no_grad()
def sensitivity(g: Callable[[Tensor], Tensor], row: Tensor, generator: torch.Generator) -> Tensor:
    """What each coordinate of z changes by when y, one row, changes by 256 units in the last place; ``(z_dim,)``."""
    # Relative to the largest coordinate of the row, as the mapping may mix them.
    step = _ULPS * torch.finfo(row.dtype).eps * row.abs().amax()
    z = g(row[None])[0]
    spread = torch.zeros_like(z)
    for _ in range(_PROBES):
        noise = torch.randn(row.shape, generator=generator, dtype=torch.float64).to(row)
        spread = torch.maximum(spread, (g((row + step * noise)[None])[0] - z).abs().nan_to_num(0))
    return spread


def nearby(y: Tensor, generator: torch.Generator) -> Tensor:
    """Rows moved by a few units in the last place of float32, of their largest coordinate, whatever their own dtype."""
    noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    step = _ULPS_OF_FLOAT32 * torch.finfo(torch.float32).eps
    return y + step * y.abs().amax(-1, keepdim=True) * noise


def same_kernel(z: Tensor) -> Tensor:
    """By how much two runs of the same operations on the same rows, at the same places of a batch, may differ.

    On a CPU they do not differ, except in iterations that stop when the whole batch has converged.
    """
    return _base(z) * (1e-3 if z.dtype == torch.float64 else 1e-2)


def _base(z: Tensor) -> Tensor:
    sizes = z.detach().abs().nan_to_num(0, 0, 0)
    sizes = sizes.flatten(0, -2).amax(0) if sizes.numel() and sizes.dim() > 1 else sizes
    return _RELATIVE.get(z.dtype, 2e-2) * sizes.expand_as(z)


def _identical(found: Tensor, expected: Tensor) -> bool:
    """Whether they are equal bit for bit, as they mostly are: this takes a tenth of the time of what follows."""
    return found.dtype == expected.dtype and torch.equal(found, expected)


def worst_difference(found: Tensor, expected: Tensor, allowed: Tensor) -> tuple[float, tuple[int, ...]] | None:
    """The largest difference that exceeds what is allowed, and its index, or None. NaN equals only NaN."""
    found, expected = found.detach(), expected.detach()
    if _identical(found, expected):
        return None
    difference = (found - expected).abs()
    alike = (found == expected) | (found.isnan() & expected.isnan())
    excess = torch.where(alike, -torch.inf, torch.nan_to_num(difference, nan=torch.inf) - allowed.detach())
    if excess.numel() == 0 or float(excess.max()) <= 0:
        return None
    index = int(excess.argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), excess.shape))
    return float(difference.flatten()[index]), where
