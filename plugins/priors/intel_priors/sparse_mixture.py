"""What is a sparse p(y) with a density? In each dimension, a narrow Gaussian mixed with a wide one."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor, nn

__all__ = ["SparseMixture"]


class SparseMixture(nn.Module):
    r"""Independent dimensions, each of which is nearly 0 most of the time.

    .. math:: p(y) = \prod_d \big[\gamma N(y_d; 0, s^2) + (1 - \gamma) N(y_d; 0, 1)\big]

    A draw takes ``2 y_dim`` numbers: the first half says which dimensions are narrow, the second half is scaled.

    Args:
        y_dim: number of dimensions.
        gamma: γ, the share of the narrow component.
        scale: s, its standard deviation.

    Source: Mathieu et al., 2019, section 5.3, where s² = 0.05² in the code.

    >>> SparseMixture(1, 0.8, 0.05).draw(torch.tensor([[0.0, 1.0], [1.0, 1.0]])).tolist()
    [[0.05...], [1.0]]
    """

    def __init__(self, y_dim: int, gamma: float = 0.8, scale: float = 0.05) -> None:
        super().__init__()
        self.y_dim, self.noise_dim = y_dim, 2 * y_dim
        self.gamma, self.scale = gamma, scale
        self._end = NormalDist().inv_cdf(gamma) if 0 < gamma < 1 else math.copysign(math.inf, gamma - 0.5)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., 2 y_dim) -> (..., y_dim)``."""
        which, values = noise.chunk(2, -1)
        return torch.where(which < self._end, self.scale * values, values)

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        parts = [
            math.log(share) - 0.5 * (y / scale).square() - math.log(scale) - 0.5 * math.log(2 * math.pi)
            for share, scale in ((self.gamma, self.scale), (1 - self.gamma, 1.0))
            if share > 0
        ]
        return (parts[0] if len(parts) == 1 else torch.logaddexp(*parts)).sum(-1)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"gamma={self.gamma:g}, scale={self.scale:g}"
