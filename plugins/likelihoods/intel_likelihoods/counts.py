r"""How likely are counts given the decoder's output? Poisson and negative binomial distributions.

The mean :math:`\mu` of a count is :math:`e^\eta` of an output :math:`\eta`, or, with the library size of x, its share
:math:`\mu_i = (\sum_j x_j)\, \mathrm{softmax}(\eta)_i`. A library size is taken from x itself, as a covariate and not
as something that is modelled: each value is normalised given it, and likelihoods compare with those of models that are
given it as well.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intel_core.model.likelihood import Likelihood
from intel_likelihoods.saddle_point import HALF_LOG_2PI, deviance, stirling_error

__all__ = ["NegativeBinomial", "Poisson"]

_STEEPEST = 20.0
"""Outputs above are continued in a straight line: e^20 is half a billion counts."""
_LEAST_THETA = 1e-4
"""Added to a theta that is not fixed, so that the density stays bounded."""


def _log_of_mean(output: Tensor) -> Tensor:
    r"""The output :math:`\eta`; above :math:`c = 20` it is :math:`\log(e^c (1 + \eta - c))`, and nothing overflows."""
    above = output > _STEEPEST
    return torch.where(above, _STEEPEST + torch.log1p(torch.where(above, output - _STEEPEST, 0.0)), output)


def _shares(output: Tensor, event_dims: int) -> Tensor:
    """The logarithm of each value's share of an example's total."""
    return torch.log_softmax(output.flatten(-event_dims), -1).view_as(output)


class _Counts(Likelihood):
    """Counts with a mean.

    Args:
        size: with the library size of x, the total for which `mean` and `sample` are given; None if the mean is the
            exponential of an output.
    """

    def __init__(self, size: float | None) -> None:
        super().__init__()
        self.size = size

    def _log_mean(self, output: Tensor, x: Tensor) -> Tensor:
        """The logarithm of the mean of each value of x; the total of an example without counts is taken as 1."""
        if self.size is None:
            return _log_of_mean(output)
        event_dims = x.dim() - 1
        total = x.sum(tuple(range(-event_dims, 0)), keepdim=True)
        return _shares(output, event_dims) + torch.log(total.clamp(min=1.0))

    def _own_log_mean(self, output: Tensor) -> Tensor:
        """That of an example without an x."""
        if self.size is None:
            return _log_of_mean(output)
        return _shares(output, output.dim() - 1) + math.log(self.size)


class Poisson(_Counts):
    r""":math:`\log p = x \log\mu - \mu - \log x!`; normalised over x in {0, 1, 2, …}.

    >>> x = torch.arange(60.0)[:, None]
    >>> round(float(Poisson().log_prob(torch.full_like(x, 1.5), x).exp().sum()), 5)
    1.0
    >>> Poisson(size=10.0).mean(torch.zeros(1, 4))  # a total of 10 counts in equal shares
    tensor([[2.5000, 2.5000, 2.5000, 2.5000]])
    """

    def __init__(self, size: float | None = None) -> None:
        super().__init__(size)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The probability of each value."""
        log_mean = self._log_mean(params, x)
        mean, some = torch.exp(log_mean), x > 0
        count = torch.where(some, x, 1.0)
        constant = HALF_LOG_2PI + 0.5 * torch.log(count) + stirling_error(count)
        return torch.where(some, -deviance(count, torch.log(count) - log_mean, mean) - constant, -mean)

    def mean(self, params: Tensor) -> Tensor:
        """The mean, of an example with the given size if it depends on that."""
        return torch.exp(self._own_log_mean(params))

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Counts, for an example of the given size if it depends on that."""
        return torch.poisson(self.mean(params), generator=generator)


class NegativeBinomial(_Counts):
    r"""Counts of mean :math:`\mu` and variance :math:`\mu + \mu^2 / \theta`; normalised over x in {0, 1, 2, …}.

    .. math:: \log p = \log\frac{\Gamma(x + \theta)}{\Gamma(\theta)\, x!}
        + \theta \log\frac{\theta}{\theta + \mu} + x \log\frac{\mu}{\theta + \mu}

    Args:
        size: as of `Poisson`.
        dispersion: ``"fixed"``, ``"shared"`` (one learned theta) or ``"learned"`` (the decoder gives the logarithm of
            theta for each value).
        theta: the inverse dispersion, or where a shared one begins; a learned one is 0.0001 at least.

    >>> x = torch.arange(4000.0)[:, None]
    >>> likelihood = NegativeBinomial(None, "fixed", 0.5)
    >>> round(float(likelihood.log_prob(torch.full_like(x, 3.0), x).exp().sum()), 4)
    1.0
    """

    def __init__(self, size: float | None = None, dispersion: str = "learned", theta: float = 10.0) -> None:
        super().__init__(size)
        self.dispersion, self.theta = dispersion, theta
        self.params_per_value = 2 if dispersion == "learned" else 1
        if dispersion == "shared":
            self.log_theta = nn.Parameter(torch.tensor(math.log(theta - _LEAST_THETA)))

    def _split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        """The outputs that make the mean, and log theta."""
        if self.dispersion == "fixed":
            return params, torch.full_like(params, math.log(self.theta))
        output, raw = params.chunk(2, dim=-event_dims) if self.dispersion == "learned" else (params, self.log_theta)
        least = torch.full_like(raw, math.log(_LEAST_THETA))
        return output, _log_of_mean(torch.logaddexp(raw, least)).expand_as(output)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The probability of each value."""
        output, log_theta = self._split(params, x.dim() - 1)
        log_mean = self._log_mean(output, x)
        theta, mean = torch.exp(log_theta), torch.exp(log_mean)
        apart = log_mean - log_theta
        none = -theta * torch.logaddexp(apart, torch.zeros_like(apart))
        some = x > 0
        count = torch.where(some, x, 1.0)
        # A binomial of count out of `both`, which would be `both` times mean / (mean + theta) on average.
        both = count + theta
        difference = (mean - count) / both
        close = difference.abs() < 0.5
        log_ratio = torch.where(
            close, torch.log1p(torch.where(close, difference, 0.0)), torch.log(theta + mean) - torch.log(both)
        )
        log_count = torch.log(count)
        spread = 0.5 * (log_theta - torch.log(both) - log_count) - HALF_LOG_2PI
        errors = stirling_error(both) - stirling_error(theta) - stirling_error(count)
        of_count = deviance(count, log_count - log_mean + log_ratio, both * torch.sigmoid(apart))
        of_theta = deviance(theta, log_ratio, both * torch.sigmoid(-apart))
        return torch.where(some, spread + errors - of_count - of_theta, none)

    def mean(self, params: Tensor) -> Tensor:
        """The mean, of an example with the given size if it depends on that."""
        return torch.exp(self._own_log_mean(self._split(params, params.dim() - 1)[0]))

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Counts: a Poisson distribution whose rate is drawn from a gamma distribution."""
        output, log_theta = self._split(params, params.dim() - 1)
        theta = torch.exp(log_theta)
        gamma = torch._standard_gamma(theta.contiguous(), generator=generator)
        return torch.poisson(gamma * torch.exp(self._own_log_mean(output) - log_theta), generator=generator)
