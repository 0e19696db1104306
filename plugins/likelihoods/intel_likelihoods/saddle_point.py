r"""How are densities of counts computed without cancellation? By their saddle points.

:math:`\log x!` and :math:`x \log \mu` are large numbers whose difference is small: in float32 nothing is left of it at
some thousand counts. Here factorials are replaced by Stirling's formula and its error, and the rest is a deviance.

Source: Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["HALF_LOG_2PI", "deviance", "log_gamma_step", "stirling_error"]

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_LARGE = 16.0
"""From here on the series below are exact to 14 digits."""


def stirling_error(x: Tensor) -> Tensor:
    r""":math:`\log\Gamma(x + 1) - (x + \tfrac12) \log x + x - \tfrac12 \log 2\pi` for x > 0.

    >>> round(float(stirling_error(torch.tensor(1.0))), 6)  # 1 - log(2 pi) / 2
    0.081061
    """
    large = x > _LARGE
    few, many = torch.where(large, _LARGE, x), torch.where(large, x, _LARGE)
    exact = torch.lgamma(few + 1) - (few + 0.5) * torch.log(few) + few - HALF_LOG_2PI
    one = 1 / many
    square = one * one
    series = one * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    return torch.where(large, series, exact)


def deviance(a: Tensor, log_ratio: Tensor, m: Tensor) -> Tensor:
    r""":math:`a \log(a / m) + m - a` for a > 0, given also the logarithm of a / m.

    >>> deviance(torch.tensor(2.0), torch.tensor(0.0), torch.tensor(2.0))
    tensor(0.)
    """
    near = log_ratio.abs() < 1
    small = torch.where(near, log_ratio, 0.0)
    return torch.where(near, a * (small + torch.expm1(-small)), a * (log_ratio - 1) + m)


def log_gamma_step(a: Tensor) -> Tensor:
    r""":math:`\log\Gamma(a + \tfrac12) - \log\Gamma(a)` for a > 0.

    >>> round(float(log_gamma_step(torch.tensor(0.5)).exp()) ** -2 * math.pi, 5)  # Gamma(1/2) is the root of pi
    9.8696
    """
    large = a > _LARGE
    few, many = torch.where(large, _LARGE, a), torch.where(large, a, _LARGE)
    one = 1 / many
    square = one * one
    bracket = 1 / 8 - square * (1 / 192 - square * (1 / 640 - square * (17 / 14336 - square * (31 / 18432))))
    return torch.where(large, 0.5 * torch.log(many) - one * bracket, torch.lgamma(few + 0.5) - torch.lgamma(few))
