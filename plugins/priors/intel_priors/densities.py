"""How dense is y under each of K Gaussians, and which of them does a draw come from?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["NARROWEST", "choose", "component_log_probs", "widest"]

NARROWEST = 1e-3
"""Standard deviation that a component has at least where it is put on a cluster."""


def widest(device: torch.device) -> torch.dtype:
    """The number format in which squares are expanded: float64, but for devices that have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def component_log_probs(y: Tensor, means: Tensor, log_stds: Tensor) -> Tensor:
    r"""The log densities of K Gaussians with independent dimensions at each y, by matrix products.

    .. math:: -\frac12 \sum_d \Big[\frac{y_d^2}{\sigma_{kd}^2} - \frac{2 y_d \mu_{kd}}{\sigma_{kd}^2}
        + \frac{\mu_{kd}^2}{\sigma_{kd}^2} + 2 \log \sigma_{kd} + \log 2\pi\Big]

    No tensor of shape (n, K, D) is made. The three terms of the square nearly cancel where y is near a mean that is
    many standard deviations from 0: with σ = 0.001 and means of size 3, float32 would be wrong by a nat. They are
    therefore summed in float64, but for devices that have none (Apple's), where float32 with the means centred has to
    do.

    Args:
        y: shape ``(..., D)``.
        means: shape ``(K, D)``.
        log_stds: log σ, of a shape that broadcasts to ``(K, D)``.

    Returns:
        Shape ``(..., K)``, in nats, in the format of the sums (`widest`).

    >>> y, means = torch.tensor([[3.0, 0.001]]), torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    >>> log_std = torch.tensor(0.001).log()
    >>> round(float(component_log_probs(y, means, log_std)[0, 0]), 2)  # -1/2 - log(2 pi 0.001^2)
    11.48
    """
    wide = widest(y.device)
    y, means = y.to(wide), means.to(wide)
    log_stds = log_stds.to(wide).expand_as(means)
    if wide != torch.float64:
        centre = means.mean(0)
        y, means = y - centre, means - centre
    precisions = torch.exp(-2 * log_stds)
    pulls = means * precisions
    constants: Tensor = (0.5 * means * pulls + log_stds).sum(-1) + 0.5 * means.shape[-1] * math.log(2 * math.pi)
    squares = y.square() @ precisions.transpose(-1, -2)
    found: Tensor = y @ pulls.transpose(-1, -2) - 0.5 * squares - constants
    return found


def choose(noise: Tensor, log_shares: Tensor) -> Tensor:
    """The component that a standard normal number stands for, whose distribution function is cut by their shares.

    Args:
        noise: shape ``(...)``.
        log_shares: logs of K shares that sum to 1, shape ``(K,)``.

    Returns:
        Whole numbers in [0, K), shape ``(...)``.

    >>> choose(torch.tensor([-3.0, -0.1, 0.1, 9.0]), torch.tensor([0.25, 0.25, 0.5]).log()).tolist()
    [0, 1, 2, 2]
    """
    ends = torch.exp(log_shares).cumsum(-1)[..., :-1]
    # In float64, since in float32 large values of the distribution function come in steps.
    heights: Tensor = torch.special.ndtr(noise.to(widest(noise.device)))
    return (heights.unsqueeze(-1) >= ends).sum(-1)
