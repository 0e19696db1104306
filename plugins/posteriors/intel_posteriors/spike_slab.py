r"""How does a posterior switch dimensions off? Each is exactly 0 with a probability that depends on x.

.. math:: q(y_d|x) = \gamma_d\, N(y_d; \mu_d, \sigma_d^2) + (1 - \gamma_d)\, \delta_0(y_d)

Densities are against Lebesgue measure plus an atom of mass 1 at 0, in each dimension.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

__all__ = ["RelaxedSpikeSlab", "SpikeSlab", "SpikeSlabFamily"]


class SpikeSlab(NamedTuple):
    r"""Spike and slab for each of n examples; all fields have the shape ``(n, y_dim)``.

    Of the ``2 y_dim`` numbers of a draw, the first choose, the last are those of the slab: with
    :math:`u = \Phi(\epsilon)`, a dimension is active if :math:`u < \gamma`.

    Attributes:
        slab_mean: mean of the slab.
        slab_log_variance: its log-variance.
        logit: logit of the activity, so that both ``log γ`` and ``log(1 - γ)`` are exact.

    >>> q = SpikeSlab(torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    >>> y, log_q = q.draw(torch.tensor([[[-1.0, 2.0]], [[1.0, 2.0]]]))
    >>> y.flatten().tolist(), round(float(log_q[1, 0]), 4)  # the second is a spike: log(1/2)
    ([3.0, 0.0], -0.6931)
    """

    slab_mean: Tensor
    slab_log_variance: Tensor
    logit: Tensor

    @property
    def activity(self) -> Tensor:
        """γ, the probability of the slab."""
        return torch.sigmoid(self.logit)

    @property
    def mean(self) -> Tensor:
        """γ μ."""
        return self.activity * self.slab_mean

    @property
    def std(self) -> Tensor:
        r""":math:`\sqrt{\gamma \sigma^2 + \gamma (1 - \gamma) \mu^2}`."""
        return _std(self.activity, torch.sigmoid(-self.logit), self.slab_mean, self.slab_log_variance)

    def rsample(self, noise: Tensor) -> Tensor:
        """``(..., n, 2 y_dim) -> (..., n, y_dim)``; inactive dimensions are 0."""
        return self.draw(noise)[0]

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""y, and :math:`\log q = \sum_d [\log \gamma_d + \log N(y_d)]` over active d, plus
        :math:`\log (1 - \gamma_d)` over the others, ``(..., n)``, nats.
        """
        switch, slab_noise = noise.chunk(2, -1)
        active = torch.special.ndtr(switch) < self.activity
        y = torch.addcmul(self.slab_mean, slab_noise, torch.exp(0.5 * self.slab_log_variance))
        slab = -0.5 * (slab_noise.square() + self.slab_log_variance + math.log(2 * math.pi))
        log_q = torch.where(active, logsigmoid(self.logit) + slab, logsigmoid(-self.logit)).sum(-1)
        return torch.where(active, y, 0.0), log_q


class RelaxedSpikeSlab(NamedTuple):
    r"""As `SpikeSlab`, but `rsample` has a gradient in γ, for training.

    .. math:: y = (\mu + \sigma \epsilon)\, \mathrm{sigmoid}(c (\gamma - u))

    Nearly all gates are near 0 or 1, but no y is exactly 0 and such draws have no density against the atom: `draw`
    therefore gives those of `SpikeSlab`.

    Attributes:
        slab_mean: mean of the slab, ``(n, y_dim)``.
        slab_log_variance: its log-variance, ``(n, y_dim)``.
        logit: logit of the activity, ``(n, y_dim)``.
        sharpness: c, ``()``.
    """

    slab_mean: Tensor
    slab_log_variance: Tensor
    logit: Tensor
    sharpness: Tensor

    @property
    def activity(self) -> Tensor:
        """γ, the probability of the slab."""
        return torch.sigmoid(self.logit)

    @property
    def mean(self) -> Tensor:
        """γ μ."""
        return self.activity * self.slab_mean

    @property
    def std(self) -> Tensor:
        """See `SpikeSlab`."""
        return _std(self.activity, torch.sigmoid(-self.logit), self.slab_mean, self.slab_log_variance)

    def rsample(self, noise: Tensor) -> Tensor:
        """Relaxed draws, ``(..., n, 2 y_dim) -> (..., n, y_dim)``."""
        switch, slab_noise = noise.chunk(2, -1)
        gate = torch.sigmoid(self.sharpness * (self.activity - torch.special.ndtr(switch)))
        return torch.addcmul(self.slab_mean, slab_noise, torch.exp(0.5 * self.slab_log_variance)) * gate

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Exact draws with their density, see `SpikeSlab.draw`."""
        return SpikeSlab(self.slab_mean, self.slab_log_variance, self.logit).draw(noise)


class SpikeSlabFamily(nn.Module):
    """Features are the slab's means and log-variances, then logits of the activities.

    In training mode it gives relaxed posteriors, in evaluation mode exact ones.

    Source: Tonolini et al., Variational Sparse Coding, 2019. Its activity is exp(-relu(-a)), which has no gradient
    where a > 0; here it is a sigmoid.

    Args:
        y_dim: number of dimensions.
        sharpness: c of the relaxed draws.

    >>> family = SpikeSlabFamily(2)
    >>> family.features, family.noise_dim, type(family(torch.zeros(1, 6))).__name__
    (6, 4, 'RelaxedSpikeSlab')
    >>> type(family.eval()(torch.zeros(1, 6))).__name__
    'SpikeSlab'
    """

    def __init__(self, y_dim: int, sharpness: float = 100.0) -> None:
        super().__init__()
        self.features, self.noise_dim = 3 * y_dim, 2 * y_dim
        self.sharpness = sharpness

    def forward(self, features: Tensor) -> SpikeSlab | RelaxedSpikeSlab:
        """``(n, features)`` -> q(y|x) of n examples."""
        mean, log_variance, logit = features.chunk(3, -1)
        if not self.training:
            return SpikeSlab(mean, log_variance, logit)
        sharpness = torch.full((), self.sharpness, dtype=features.dtype, device=features.device)
        return RelaxedSpikeSlab(mean, log_variance, logit, sharpness)


def _std(activity: Tensor, inactivity: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return torch.sqrt(activity * (torch.exp(log_variance) + inactivity * mean.square()))
