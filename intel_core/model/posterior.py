"""What is q(y|x)? Its contract, how the encoder's output becomes one, and the default, a diagonal Gaussian."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["DiagonalFamily", "DiagonalGaussian", "Posterior", "PosteriorFamily"]


@runtime_checkable
class Posterior(Protocol):
    """q(y|x) of n examples: a `NamedTuple` of tensors only, so that `torch.func.vmap` can stack it.

    Attributes:
        mean: what encodings, probes and pictures take for each example, ``(n, y_dim)``.
        std: standard deviations, ``(n, y_dim)``; an approximation where there is no closed form, and said so there.
    """

    @property
    def mean(self) -> Tensor: ...  # noqa: D102
    @property
    def std(self) -> Tensor: ...  # noqa: D102

    def rsample(self, noise: Tensor) -> Tensor:
        """Y as a differentiable function of standard normal noise, ``(..., n, noise_dim) -> (..., n, y_dim)``."""
        ...

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The same y, and ``log q(y|x)`` of each, ``(..., n)``, in nats; no inverse is asked for."""
        ...


@runtime_checkable
class PosteriorFamily(Protocol):
    """How the encoder's output becomes q(y|x); an ``nn.Module`` where it learns.

    Attributes:
        features: width of the encoder's output.
        noise_dim: how many standard normal numbers make a draw.
    """

    features: int
    noise_dim: int

    def __call__(self, features: Tensor) -> Posterior:
        """``(n, features)`` -> q(y|x) of the n examples."""
        ...


class DiagonalGaussian(NamedTuple):
    """A diagonal Gaussian q(y|x) for each example, both of shape ``(n, y_dim)``."""

    mean: Tensor
    log_variance: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviations."""
        return torch.exp(0.5 * self.log_variance)

    def rsample(self, noise: Tensor) -> Tensor:
        """``mean + noise * std``, noise of shape ``(..., n, y_dim)``."""
        return torch.addcmul(self.mean, noise, torch.exp(0.5 * self.log_variance))

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""y, and :math:`\log q = -\frac12 \sum_j (\epsilon_j^2 + \log\sigma_j^2 + \log 2\pi)`."""
        log_q = -0.5 * (noise.square() + self.log_variance + math.log(2 * math.pi)).sum(-1)
        return self.rsample(noise), log_q

    def kl(self) -> Tensor:
        r""":math:`\frac12 (\mu^2 + \sigma^2 - 1 - \log\sigma^2)`, KL to N(0, I) per dimension, ``(n, y_dim)``, nats.

        >>> float(DiagonalGaussian(torch.tensor([[1.0]]), torch.tensor([[0.0]])).kl())
        0.5
        """
        # expm1 keeps a KL near zero exact: it can never come out negative by rounding.
        return 0.5 * (self.mean.square() + (torch.expm1(self.log_variance) - self.log_variance))

    def mean_kl(self) -> Tensor:
        """The KL to N(0, I) summed over dimensions, mean over examples: one scalar, nats per example."""
        doubled = self.mean.square() + (torch.expm1(self.log_variance) - self.log_variance)
        return doubled.sum() * (0.5 / self.mean.shape[0])


class DiagonalFamily(nn.Module):
    """The encoder's output is means, then log-variances.

    >>> family = DiagonalFamily(2)
    >>> family.features, family(torch.tensor([[1.0, 2.0, 0.0, 0.0]])).std.tolist()
    (4, [[1.0, 1.0]])
    """

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.features, self.noise_dim = 2 * y_dim, y_dim

    def forward(self, features: Tensor) -> DiagonalGaussian:
        """See `PosteriorFamily`."""
        mean, log_variance = features.chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance)
