r"""How likely are values with outliers given the decoder's output? Student's t."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intel_core.model.likelihood import Likelihood
from intel_likelihoods.saddle_point import log_gamma_step

__all__ = ["StudentT"]


class StudentT(Likelihood):
    r"""A normalised density of real values, with the tails of a power law.

    .. math:: \log p = \log\frac{\Gamma(\frac{\nu+1}2)}{\Gamma(\frac\nu2) \sqrt{\pi\nu}\, s}
        - \frac{\nu+1}2 \log\Big(1 + \frac{(x - m)^2}{\nu s^2}\Big)

    Args:
        spread: ``"fixed"`` (the scale s), ``"shared"`` (one learned number) or ``"learned"`` (the decoder gives
            :math:`\log s^2` for each value).
        scale: s, or where a shared one begins.
        floor: a square of s that is not fixed is ``floor**2 + exp(output)``, so that the density stays bounded.
        df: the degrees of freedom :math:`\nu`, or where learned ones begin.
        learn_df: whether they are one learned number; they are more than 1 then, so that there is a mean.

    >>> x = torch.linspace(-2000, 2000, 400_001, dtype=torch.float64)[:, None]
    >>> density = StudentT("fixed", 1.0, 0.0, 3.0).log_prob(torch.zeros_like(x), x).exp()
    >>> round(float(torch.trapezoid(density, x[:, 0])), 6)
    1.0
    """

    def __init__(
        self,
        spread: str = "learned",
        scale: float = 1.0,
        floor: float = 1e-3,
        df: float = 5.0,
        *,
        learn_df: bool = False,
    ) -> None:
        super().__init__()
        self.spread, self.scale, self.floor, self.df = spread, scale, floor, df
        self.params_per_value = 2 if spread == "learned" else 1
        if spread == "shared":
            self.log_square = nn.Parameter(torch.tensor(2 * math.log(scale)))
        self.log_df = nn.Parameter(torch.tensor(math.log(df - 1))) if learn_df else None

    def _split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        """The location, and the logarithm of the square of the scale."""
        if self.spread == "fixed":
            return params, torch.full((), 2 * math.log(self.scale), dtype=params.dtype, device=params.device)
        mean, raw = params.chunk(2, dim=-event_dims) if self.spread == "learned" else (params, self.log_square)
        if self.floor > 0:
            raw = torch.logaddexp(raw, torch.full_like(raw, 2 * math.log(self.floor)))
        return mean, raw

    def _degrees(self, like: Tensor) -> Tensor:
        if self.log_df is None:
            return torch.full((), self.df, dtype=like.dtype, device=like.device)
        return 1 + torch.exp(self.log_df)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """The density of each value."""
        mean, log_square = self._split(params, x.dim() - 1)
        df = self._degrees(mean)
        size = (x - mean) * torch.exp(-0.5 * log_square) / torch.sqrt(df)
        constant = log_gamma_step(0.5 * df) - 0.5 * (torch.log(df) + math.log(math.pi))
        return constant - 0.5 * log_square - 0.5 * (df + 1) * _log_one_and_square(size)

    def mean(self, params: Tensor) -> Tensor:
        """The location: the mean if there are more than 1 degrees of freedom, and the median always."""
        return self._split(params, params.dim() - 1)[0]

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Location plus noise, a normal variable over the root of a gamma variable."""
        mean, log_square = self._split(params, params.dim() - 1)
        half = (0.5 * self._degrees(mean)).expand_as(mean).contiguous()
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        gamma = torch._standard_gamma(half, generator=generator).clamp_(min=torch.finfo(mean.dtype).tiny)
        return mean + torch.exp(0.5 * log_square) * noise * torch.sqrt(half / gamma)


def _log_one_and_square(size: Tensor) -> Tensor:
    """``log(1 + size**2)``, also where the square is more than a float holds."""
    large = size.abs() > 1
    inside, outside = torch.where(large, 0.0, size), torch.where(large, size, 1.0)
    far = 2 * torch.log(outside.abs()) + torch.log1p((1 / outside).square())
    return torch.where(large, far, torch.log1p(inside.square()))
