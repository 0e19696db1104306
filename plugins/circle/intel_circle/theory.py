"""How much of a Gaussian's KL does the projection keep? The density of the projected normal, and its KL."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["kl_to_uniform", "projected_normal_log_density"]


def projected_normal_log_density(angle: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    r"""Log density of the direction of ``y ~ N(mean, covariance)`` in the plane.

    With u the unit vector at the angle, :math:`A = u^T Σ^{-1} u` and :math:`D = u^T Σ^{-1} μ / \sqrt A`,

    .. math:: p(θ) = \frac{e^{-\frac12 μ^T Σ^{-1} μ}}{2 π A |Σ|^{1/2}} \left[1 + D \frac{Φ(D)}{φ(D)}\right].

    Args:
        angle: θ in radians, any shape.
        mean: μ, shape ``(2,)``.
        covariance: Σ, shape ``(2, 2)``, positive definite; computed in float64.

    Returns:
        Nats, the shape of `angle`.

    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> density = projected_normal_log_density(torch.zeros(1, dtype=torch.float64), torch.zeros(2), eye).exp()
    >>> round(float(density) * 2 * math.pi, 12)
    1.0
    """
    like, angle = angle, angle.double()
    mean, covariance = mean.to(angle), covariance.to(angle)
    u = torch.stack([angle.cos(), angle.sin()], dim=-1)
    precision = torch.linalg.inv(covariance)
    a = ((u @ precision) * u).sum(-1)
    d = (u @ precision @ mean) / a.sqrt()
    # 1 + D Φ(D)/φ(D) by erfcx; for large D by logarithms, since Φ/φ overflows from D = 38 on.
    middle = d.clamp(min=-1e3, max=5)
    small = torch.log1p(middle * math.sqrt(math.pi / 2) * torch.special.erfcx(-middle / math.sqrt(2)))
    # For very negative D, 1 + D Φ/φ would cancel; it is 1/D² - 3/D⁴ + …
    falling = d.clamp(max=-1e3)
    opposite = torch.log1p(-3 / falling.square()) - 2 * torch.log(-falling)
    rising = d.clamp(min=5)
    large = torch.log(rising) + torch.special.log_ndtr(rising) + 0.5 * rising.square() + 0.5 * math.log(2 * math.pi)
    large = torch.logaddexp(large, torch.zeros_like(large))
    bracket = torch.where(d < 5, torch.where(d < -1e3, opposite, small), large)
    exponent = -0.5 * (mean @ precision @ mean)
    log_density: Tensor = exponent - math.log(2 * math.pi) - a.log() - 0.5 * torch.logdet(covariance) + bracket
    return log_density.to(like.dtype if like.is_floating_point() else torch.get_default_dtype())


def kl_to_uniform(mean: Tensor, covariance: Tensor, points: int = 20_000) -> Tensor:
    r"""KL of the projected normal from the uniform distribution on the circle, in nats.

    It is :math:`\int p \log(2 π p)\, dθ`, the part of :math:`KL(N(μ, Σ) \| N(0, I))` that belongs to the direction, and
    thus KL(q(z|x) ‖ p(z)) for the circle with ε → 0. The other part, that of the radius given the direction, is lost.

    The integral is computed by the trapezoidal rule, which for a periodic integrand is exact up to rounding if the
    density is wider than a few steps.

    Args:
        mean: μ, shape ``(2,)``.
        covariance: Σ, shape ``(2, 2)``.
        points: number of equally spaced angles.

    Raises:
        ValueError: if the density is too narrow for so many points.

    >>> float(kl_to_uniform(torch.tensor([1.0, 0.0]), torch.eye(2)).round(decimals=4))  # the KL of y is 0.5
    0.3421
    """
    angle = torch.arange(points, dtype=torch.float64, device=mean.device) * (2 * math.pi / points)
    log_density = projected_normal_log_density(angle, mean.double(), covariance.double())
    mass = float(log_density.exp().sum()) * 2 * math.pi / points
    if not abs(mass - 1) < 1e-6:
        raise ValueError(f"the density of the direction is too narrow for {points:,} points; give more")
    integrand = log_density.exp() * (log_density + math.log(2 * math.pi))
    total: Tensor = integrand.sum() * (2 * math.pi / points)
    return total
