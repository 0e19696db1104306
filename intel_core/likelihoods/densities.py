r"""How likely is an example given the decoder's output? Normalised densities of independent values."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intel_core.model.likelihood import Likelihood

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Laplace"]

_LOG_2PI = math.log(2 * math.pi)


class Bernoulli(Likelihood):
    r""":math:`\log p = x \eta - \log(1 + e^\eta)` with logits :math:`\eta`; normalised over x in {0, 1}.

    >>> p = Bernoulli().log_prob(torch.tensor([[0.3]]), torch.tensor([[1.0]])).exp()
    >>> q = Bernoulli().log_prob(torch.tensor([[0.3]]), torch.tensor([[0.0]])).exp()
    >>> round(float(p + q), 6)
    1.0
    """

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Minus the cross-entropy."""
        return -F.binary_cross_entropy_with_logits(params, x.expand_as(params), reduction="none")

    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """As in `Likelihood`, summed inside the kernel."""
        return F.binary_cross_entropy_with_logits(params, x, reduction="sum") / -x.shape[0]

    def mean_log_prob_and_gradient(self, params: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""The former, and its gradient with respect to the logits, :math:`(x - 1/(1 + e^{-\eta})) / n`.

        >>> Bernoulli().mean_log_prob_and_gradient(torch.zeros(1, 1), torch.ones(1, 1))[1]
        tensor([[0.5000]])
        """
        return self.mean_log_prob(params, x), (x - torch.sigmoid(params)).mul_(1 / x.shape[0])

    def mean(self, params: Tensor) -> Tensor:
        """The probability of a one."""
        return torch.sigmoid(params)

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Zeros and ones."""
        return torch.bernoulli(torch.sigmoid(params), generator=generator)


class ContinuousBernoulli(Likelihood):
    r""":math:`\log p = x \eta - \log\frac{e^\eta - 1}{\eta}`, a normalised density on [0, 1].

    :math:`\eta` is the natural parameter, the logit of the Bernoulli that it extends.

    Source: Loaiza-Ganem & Cunningham, "The continuous Bernoulli", 2019.

    >>> x = torch.linspace(0, 1, 10_001, dtype=torch.float64).unsqueeze(-1)
    >>> density = ContinuousBernoulli().log_prob(torch.full_like(x, 2.5), x).exp()
    >>> round(float(torch.trapezoid(density, x[:, 0])), 6)
    1.0
    """

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The density of each value."""
        # log((e^n - 1)/n) = n/2 + log(sinh(n/2) / (n/2)), even in n but for the first part.
        return (x - 0.5) * params - _log_sinh_ratio(0.5 * params)

    def mean(self, params: Tensor) -> Tensor:
        r""":math:`1/(1 - e^{-\eta}) - 1/\eta`."""
        small = params.abs() < 1e-2
        # For |eta|, where nothing overflows; the mean for -eta is one minus that for eta.
        size = torch.where(small, torch.ones_like(params), params).abs()
        positive = -1 / torch.expm1(-size) - 1 / size
        return torch.where(small, 0.5 + params / 12, torch.where(params > 0, positive, 1 - positive))

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """By inversion of the distribution function."""
        u = torch.empty_like(params).uniform_(generator=generator)
        small = params.abs() < 1e-2
        safe = torch.where(small, torch.ones_like(params), params)
        # Solve (e^{nx} - 1)/(e^n - 1) = u; written for the sign of n that cannot overflow.
        size = safe.abs()
        x = 1 + torch.log(u + (1 - u) * torch.exp(-size)) / size
        near_zero = u + params * (0.5 * u * (1 - u))
        return torch.where(small, near_zero, torch.where(safe > 0, x, 1 - x)).clamp(0, 1)


def _log_sinh_ratio(half: Tensor) -> Tensor:
    """``log(sinh(a) / a)``, accurate and smooth for every a."""
    a = half.abs()
    small = a < 0.1
    safe = torch.where(small, torch.ones_like(a), a)
    large = safe + torch.log1p(-torch.exp(-2 * safe)) - torch.log(2 * safe)
    square = half * half
    return torch.where(small, square * (1 / 6 - square * (1 / 180 - square / 2835)), large)


class Gaussian(Likelihood):
    r""":math:`\log p = -\frac12 [(x - m)^2 / v + \log v + \log 2\pi]` with a fixed, shared or decoded variance.

    Args:
        variance: ``"fixed"`` (``scale**2``), ``"shared"`` (one learned number) or ``"learned"`` (the decoder gives a
            log-variance for each value).
        scale: standard deviation, or the initial value of a shared one.
        floor: a variance that is not fixed is ``floor**2 + exp(log-variance)``, so that the density stays bounded.
    """

    log_floor: Tensor

    def __init__(self, variance: str, scale: float, floor: float) -> None:
        super().__init__()
        self.variance = variance
        self.scale = scale
        self.floor = floor
        self.params_per_value = 2 if variance == "learned" else 1
        if variance == "shared":
            self.log_variance = nn.Parameter(torch.tensor(2 * math.log(scale)))
        if floor > 0:
            self.register_buffer("log_floor", torch.tensor(2 * math.log(floor)), persistent=False)

    def _split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance; None for the latter if the variance is a constant."""
        if self.variance == "fixed":
            return params, None
        mean, raw = params.chunk(2, dim=-event_dims) if self.variance == "learned" else (params, self.log_variance)
        return mean, torch.logaddexp(raw, self.log_floor) if self.floor > 0 else raw

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The density of each value."""
        mean, log_variance = self._split(params, x.dim() - 1)
        square = (x - mean).square()
        if log_variance is None:
            return square * (-0.5 / self.scale**2) - (0.5 * _LOG_2PI + math.log(self.scale))
        return -0.5 * (square * torch.exp(-log_variance) + (log_variance + _LOG_2PI))

    def mean_log_prob_and_gradient(self, params: Tensor, x: Tensor) -> tuple[Tensor, Tensor] | None:
        r"""`mean_log_prob`, and its gradient with respect to the parameters; None if the variance is shared.

        With a decoded :math:`\log v = \log(f^2 + e^r)`, f the floor, it is :math:`(x - m) / n v` for the mean, and
        :math:`((x - m)^2 / v - 1) e^r / 2 n v` for r.

        >>> Gaussian("fixed", 2.0, 0.0).mean_log_prob_and_gradient(torch.zeros(1, 1), torch.ones(1, 1))[1]
        tensor([[0.2500]])
        """
        if self.variance == "shared":
            return None
        n, event_dims = x.shape[0], x.dim() - 1
        mean, log_variance = self._split(params, event_dims)
        error = x - mean
        square = error.square()
        if log_variance is None:
            factor = -0.5 / self.scale**2
            value = (square * factor - (0.5 * _LOG_2PI + math.log(self.scale))).sum() / n
            return value, error.mul_(_one_over(n, x.dtype) * factor * -2)
        half, precision = _one_over(2 * n, x.dtype), torch.exp(-log_variance)
        value = (-0.5 * (square * precision + (log_variance + _LOG_2PI))).sum() / n
        of_mean = (precision * half).mul_(error.mul_(2.0))
        of_log_variance = square.mul_(half).mul_(precision).sub_(half)
        if self.floor > 0:
            raw = params.chunk(2, dim=-event_dims)[1]
            of_log_variance /= torch.exp(self.log_floor - raw).add_(1.0)
        return value, torch.cat([of_mean, of_log_variance], dim=-event_dims)

    def mean(self, params: Tensor) -> Tensor:
        """The mean."""
        return self._split(params, _event_dims(params))[0]

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean plus noise."""
        mean, log_variance = self._split(params, _event_dims(params))
        scale = self.scale if log_variance is None else torch.exp(0.5 * log_variance)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + scale * noise


@functools.lru_cache(maxsize=64)
def _one_over(n: int, dtype: torch.dtype) -> Tensor:
    return torch.ones((), dtype=dtype) / n


def _event_dims(params: Tensor) -> int:
    """Dimensions of one example in ``(n, D)`` or ``(n, C, H, W)``."""
    return params.dim() - 1


class Laplace(Likelihood):
    r""":math:`\log p = -|x - m| / b - \log 2b` with a fixed scale b: the absolute error, normalised."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The density of each value."""
        return (x - params).abs() * (-1 / self.scale) - math.log(2 * self.scale)

    def mean(self, params: Tensor) -> Tensor:
        """The mean, which is also the median."""
        return params

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean plus noise, which is the difference of two exponentials."""
        above, below = (torch.empty_like(params).exponential_(generator=generator) for _ in range(2))
        return params + self.scale * (above - below)
