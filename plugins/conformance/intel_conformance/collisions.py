"""Do two different y have the same z? A search among pairs that are close in z, refined by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_conformance.jacobians import jacobian

__all__ = ["find_collision"]

_PAIRS = 64
_FEWER_PAIRS = 16
"""In more than 64 dimensions, where each step of a pair takes long."""
_STEPS = 12


def find_collision(g: nn.Module, y: Tensor, *, apart: float = 1e-2) -> tuple[Tensor, Tensor, float] | None:
    """Two different y with the same z, and the distance between their z; None if none are found.

    The search starts from the pairs of draws that are closest in z relative to their distance in y. The second point of
    each pair moves by Gauss-Newton steps towards the z of the first; if g is injective it converges to the first point
    itself. A pair counts as a collision if both z agree up to rounding and g takes other values on the straight line
    between the two points. Otherwise g contracts that line to below rounding, which is no collision, unless g does not
    depend on that direction at all.

    Args:
        g: the mapping.
        y: draws ``(n, y_dim)``, float64.
        apart: the least distance between the two points.

    >>> class Fold(nn.Module):
    ...     def forward(self, y):
    ...         return y.abs()
    >>> y = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> find_collision(Fold(), y) is not None
    True
    """
    with torch.no_grad():
        z = g(y)
        first, second = _suspicious_pairs(y, z)
    if len(first) == 0:
        return None
    target, end = z[first], y[second].clone()
    start = y[first]
    scale = float((z - z.mean(0)).abs().amax().clamp(min=1e-300))
    for _ in range(_STEPS):
        matrix = jacobian(g, end)
        with torch.no_grad():
            residual = target - g(end)
            step = torch.linalg.lstsq(matrix, residual.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
            length = torch.linalg.vector_norm(step, dim=-1, keepdim=True)
            step = torch.nan_to_num(step * (0.5 / length.clamp(min=0.5)))  # steps of at most 0.5
            # Shorten a step that does not bring the two closer.
            best, best_size = end, torch.linalg.vector_norm(residual, dim=-1)
            for shrink in (1.0, 0.5, 0.1):
                tried = end + shrink * step
                size = torch.linalg.vector_norm(target - g(tried), dim=-1)
                better = size < best_size
                best = torch.where(better[:, None], tried, best)
                best_size = torch.where(better, size, best_size)
            end = best
    with torch.no_grad():
        gap = torch.linalg.vector_norm(target - g(end), dim=-1)
        distance = torch.linalg.vector_norm(end - start, dim=-1)
        rounding = 64 * torch.finfo(torch.float64).eps * (scale + float(z.abs().amax()))
        met = (gap <= rounding) & (distance > apart)
        for i in met.nonzero().flatten().tolist():
            way = start[i] + torch.linspace(0, 1, 65, dtype=y.dtype, device=y.device)[:, None] * (end[i] - start[i])
            along = (g(way) - target[i]).abs().amax(-1)
            if float(along.max()) > 1e-4 * scale or not bool(along.any()):
                return start[i], end[i], float(gap[i])
    return None


def _suspicious_pairs(y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of draws with the largest ratio of their distance in y to that in z, the largest first."""
    near = torch.cdist(z, z)
    far = torch.cdist(y, y)
    near.fill_diagonal_(torch.inf)
    ratio = far / near.clamp(min=1e-300)
    ratio = torch.where(far > 0.1, ratio, 0.0).triu()
    count = min(_PAIRS if y.shape[-1] <= 64 else _FEWER_PAIRS, ratio.numel())
    best = ratio.flatten().topk(count)
    index = best.indices[best.values > 0]
    return index // len(y), index % len(y)
