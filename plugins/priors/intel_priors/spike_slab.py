r"""What is a p(y) in which dimensions are exactly 0? In each, a spike at 0 or a slab, N(0, 1)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["SpikeSlab", "SpikeSlabPosterior"]


@runtime_checkable
class SpikeSlabPosterior(Protocol):
    """A posterior of spikes at 0 and Gaussian slabs; whatever has these three, each ``(n, y_dim)``, is one.

    Attributes:
        activity: probability of the slab.
        slab_mean: mean of the slab, not of y.
        slab_log_variance: log-variance of the slab.
    """

    @property
    def activity(self) -> Tensor: ...  # noqa: D102
    @property
    def slab_mean(self) -> Tensor: ...  # noqa: D102
    @property
    def slab_log_variance(self) -> Tensor: ...  # noqa: D102


class SpikeSlab(nn.Module):
    r"""Independent dimensions, each of which is 0 but with probability α, and then N(0, 1).

    .. math:: \alpha\, N(y_d; 0, 1) + (1 - \alpha)\, \delta_0(y_d)

    Its density is that against Lebesgue measure plus an atom of mass 1 at 0: ``1 - α`` at 0 itself, and
    ``α N(y_d; 0, 1)`` elsewhere. A draw takes ``2 y_dim`` numbers: the first half says which dimensions are active, the
    second half are the slabs.

    It offers `ClosedForm` for posteriors of spikes and slabs.

    Args:
        y_dim: number of dimensions.
        alpha: α, in (0, 1).

    Source: Tonolini et al., Variational sparse coding, 2019, with the fixed prior of its replications.

    >>> SpikeSlab(2, 0.2).draw(torch.tensor([-1.0, 1.0, 0.5, 0.5])).tolist()
    [0.5, 0.0]
    >>> round(float(SpikeSlab(1, 0.2).log_prob(torch.zeros(1)).exp()), 4)
    0.8
    """

    def __init__(self, y_dim: int, alpha: float) -> None:
        super().__init__()
        self.y_dim, self.noise_dim = y_dim, 2 * y_dim
        self.alpha = alpha
        self._end = NormalDist().inv_cdf(alpha)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., 2 y_dim) -> (..., y_dim)``."""
        which, values = noise.chunk(2, -1)
        return torch.where(which < self._end, values, torch.zeros_like(values))

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats; against Lebesgue measure plus an atom at 0."""
        slab = math.log(self.alpha) - 0.5 * (y.square() + math.log(2 * math.pi))
        return torch.where(y == 0, torch.full_like(y, math.log1p(-self.alpha)), slab).sum(-1)

    def knows(self, posterior: Any) -> bool:
        """Posteriors of spikes and slabs."""
        return isinstance(posterior, SpikeSlabPosterior)

    def kl(self, posterior: SpikeSlabPosterior) -> Tensor:
        r"""The KL divergence by dimension, ``(n, y_dim)``, nats.

        .. math:: \frac{a}{2} (\mu^2 + \sigma^2 - 1 - \log \sigma^2)
            + a \log\frac{a}{\alpha} + (1 - a) \log\frac{1 - a}{1 - \alpha}

        a is the activity. The logarithms are those of activities in [1e-6, 1 - 1e-6], so that gradients are finite at
        0 and 1 as well; the value changes by less than 2e-5.
        """
        activity, log_variance = posterior.activity, posterior.slab_log_variance
        slab = 0.5 * (posterior.slab_mean.square() + (torch.expm1(log_variance) - log_variance))
        kept = activity.clamp(1e-6, 1 - 1e-6)
        spike = activity * (kept.log() - math.log(self.alpha))
        return activity * slab + spike + (1 - activity) * (torch.log1p(-kept) - math.log1p(-self.alpha))

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"alpha={self.alpha:g}"
