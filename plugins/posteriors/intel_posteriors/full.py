r"""How does a Gaussian posterior have correlations? By a Cholesky factor that the encoder gives for each example.

.. math:: q(y|x) = N(y; \mu, L L^T), \qquad L = \mathrm{diag}(\sigma)\,(I + U)

U is strictly lower triangular and sigma positive, so that L has a positive diagonal, and
:math:`\det L = \prod_j \sigma_j`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["FullFamily", "FullGaussian"]


class FullGaussian(NamedTuple):
    """A Gaussian with correlated dimensions for each of n examples.

    Attributes:
        mean: ``(n, y_dim)``.
        log_variance: twice the logs of the diagonal of L, ``(n, y_dim)``.
        strict: U, strictly lower triangular, ``(n, y_dim, y_dim)``.
    """

    mean: Tensor
    log_variance: Tensor
    strict: Tensor

    @property
    def cholesky(self) -> Tensor:
        """L, ``(n, y_dim, y_dim)``: the covariance matrix is L times its transpose."""
        scale = torch.exp(0.5 * self.log_variance)
        return scale.unsqueeze(-1) * self.strict + torch.diag_embed(scale)

    @property
    def std(self) -> Tensor:
        """Standard deviations of the dimensions, ``(n, y_dim)``: the lengths of the rows of L."""
        return torch.exp(0.5 * self.log_variance) * torch.sqrt(1 + self.strict.square().sum(-1))

    def rsample(self, noise: Tensor) -> Tensor:
        """``mean + L noise``, ``(..., n, y_dim) -> (..., n, y_dim)``."""
        # einsum, not matmul, which would copy each example's matrix for every draw.
        mixed = noise + torch.einsum("...ne,nde->...nd", noise, self.strict)
        return torch.addcmul(self.mean, mixed, torch.exp(0.5 * self.log_variance))

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""y, and :math:`\log q = -\frac12 \sum_j (\epsilon_j^2 + \log\sigma_j^2 + \log 2\pi)`, ``(..., n)``, nats."""
        log_q = -0.5 * (noise.square() + self.log_variance + math.log(2 * math.pi)).sum(-1)
        return self.rsample(noise), log_q

    def kl_to_standard(self) -> Tensor:
        r""":math:`\frac12 (\mu^2 + (L L^T)_{jj} - 1 - \log\sigma^2)`, ``(n, y_dim)``: the sum is KL to N(0, I), nats.

        A term is that of q(y_j | x, y_1 ... y_{j-1}) to N(0, 1), in the mean; none is below 0.
        """
        own = torch.expm1(self.log_variance) - self.log_variance
        others = torch.exp(self.log_variance) * self.strict.square().sum(-1)
        return 0.5 * (self.mean.square() + own + others)


class FullFamily(nn.Module):
    """Features are means, log-variances (twice the logs of L's diagonal), then the rows of U below the diagonal.

    Those of U are divided by the number of dimensions: each y is a sum of as many of them, and with their full size the
    noise that they begin with hides what the encoder says of x.

    >>> family = FullFamily(3)
    >>> q = family(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 6.0, 9.0]]))
    >>> q.cholesky.tolist()
    [[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 3.0, 1.0]]]
    """

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.below = y_dim, y_dim * (y_dim - 1) // 2
        self.features, self.noise_dim = 2 * y_dim + self.below, y_dim

    def forward(self, features: Tensor) -> FullGaussian:
        """``(n, features)`` -> q(y|x) of n examples."""
        mean, log_variance, below = torch.split(features, [self.y_dim, self.y_dim, self.below], -1)
        # By looking up, not by writing into a matrix, which torch.func.vmap would refuse.
        is_below = torch.ones(self.y_dim, self.y_dim, dtype=torch.long, device=features.device).tril(-1).flatten()
        place = is_below * is_below.cumsum(0)
        padded = torch.cat([torch.zeros_like(features[..., :1]), below / self.y_dim], -1)
        return FullGaussian(
            mean, log_variance, torch.unflatten(padded.index_select(-1, place), -1, (self.y_dim, self.y_dim))
        )
