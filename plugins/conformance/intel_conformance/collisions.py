"""Do two different y have the same z? A search among near pairs, refined by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_conformance.jacobians import jacobian

__all__ = ["find_collision"]

_PAIRS = 64
_STEPS = 12


def find_collision(g: nn.Module, y: Tensor, *, apart: float = 1e-2) -> tuple[Tensor, Tensor, float] | None:
    """Two points that are apart in y and one in z, and how far they are from one in z; None if none are found.

    Of all pairs, those that are nearest in z for how far they are apart in y; the second of each is then moved by
    Gauss-Newton steps towards the z of the first. If g is injective it runs to the first itself. A pair counts where
    z agrees to rounding, and g leaves z on the straight way between them: what rounding merges along the whole way is
    squeezed rather than folded, unless g does not see that direction at all.

    Args:
        g: the mapping.
        y: draws ``(n, y_dim)``, float64.
        apart: least distance of the two points.

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
            step = torch.nan_to_num(step * (0.5 / length.clamp(min=0.5)))  # no leaps
            # Halve a step that does not help.
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
    """Pairs that are far apart in y for how near they are in z, the most suspicious first."""
    near = torch.cdist(z, z)
    far = torch.cdist(y, y)
    near.fill_diagonal_(torch.inf)
    ratio = far / near.clamp(min=1e-300)
    ratio = torch.where(far > 0.1, ratio, 0.0).triu()
    count = min(_PAIRS, ratio.numel())
    best = ratio.flatten().topk(count)
    index = best.indices[best.values > 0]
    return index // len(y), index % len(y)
