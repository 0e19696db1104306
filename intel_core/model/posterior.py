"""What is q(y|x), and how far is it from the prior? A diagonal Gaussian and its KL term, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Posterior"]


class Posterior(NamedTuple):
    """A diagonal Gaussian q(y|x) for each example, both of shape ``(n, y_dim)``."""

    mean: Tensor
    log_variance: Tensor

    def rsample(self, noise: Tensor) -> Tensor:
        """``mean + noise * std``, noise of shape ``(..., n, y_dim)``."""
        return torch.addcmul(self.mean, noise, torch.exp(0.5 * self.log_variance))

    def kl(self) -> Tensor:
        r""":math:`\frac12 (\mu^2 + \sigma^2 - 1 - \log\sigma^2)`, KL to N(0, I) per dimension, ``(n, y_dim)``, nats.

        >>> float(Posterior(torch.tensor([[1.0]]), torch.tensor([[0.0]])).kl())
        0.5
        """
        # expm1 keeps a KL near zero exact: it can never come out negative by rounding.
        return 0.5 * (self.mean.square() + (torch.expm1(self.log_variance) - self.log_variance))

    def mean_kl(self) -> Tensor:
        """The KL summed over dimensions, mean over examples: one scalar, nats per example."""
        doubled = self.mean.square() + (torch.expm1(self.log_variance) - self.log_variance)
        return doubled.sum() * (0.5 / self.mean.shape[0])
