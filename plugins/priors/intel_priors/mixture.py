"""What is a mixture of Gaussians as p(y)? K of them, arranged on a circle, a simplex or a line, fixed or learned."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from intel_priors.densities import NARROWEST, choose, component_log_probs

__all__ = ["GaussianMixture", "arranged"]

Arrangement = Literal["circle", "simplex", "line"]


def arranged(arrangement: Arrangement, k: int, radius: float, y_dim: int) -> Tensor:
    r"""The means of K components, ``(K, y_dim)``; coordinates that the arrangement does not use are 0.

    =========  ==========  ============================================================================
    circle     first 2     :math:`R\,(\cos 2\pi k/K, \sin 2\pi k/K)`; for K = 2 it needs the first axis only
    simplex    first K-1   the vertices of a regular simplex, each at the distance R from 0
    line       first       K points from R to -R at equal distances
    =========  ==========  ============================================================================

    A single component lies at 0.

    Raises:
        ValueError: if there are too few dimensions.

    >>> arranged("circle", 4, 2.0, 3).round(decimals=3).abs().tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    >>> [round(float(distance), 3) for distance in torch.pdist(arranged("simplex", 3, 3.0, 2))]
    [5.196, 5.196, 5.196]
    """
    axes = {"circle": min(k - 1, 2), "simplex": k - 1, "line": min(k - 1, 1)}[arrangement]
    if y_dim < axes:
        raise ValueError(f"{k} components on a {arrangement} need {axes} latent dimensions, there are {y_dim}")
    # In float64, where sines of whole turns are zeros but for 1e-16.
    means = torch.zeros(k, y_dim, dtype=torch.float64)
    if k > 1 and arrangement == "simplex":
        means[:, :axes] = _simplex(k)
    elif k > 1 and axes == 2:
        turns = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
        means[:, :2] = torch.stack([turns.cos(), turns.sin()], -1)
    elif k > 1:
        means[:, 0] = torch.linspace(1, -1, k, dtype=torch.float64)
    return (radius * means).to(torch.get_default_dtype())


def _simplex(k: int) -> Tensor:
    """K vectors of length 1 with the inner products -1/(K-1), ``(K, K-1)``, in float64."""
    # Vertex i: axis by axis, what is left of its length after the axes that it shares with the vertices before it.
    vertices = torch.zeros(k, k - 1, dtype=torch.float64)
    for i in range(k - 1):
        vertices[i, i] = math.sqrt(max(0.0, 1 - float(vertices[i, :i].square().sum())))
        for j in range(i + 1, k):
            vertices[j, i] = (-1 / (k - 1) - float(vertices[i, :i] @ vertices[j, :i])) / float(vertices[i, i])
    return vertices


class GaussianMixture(nn.Module):
    r"""A mixture of K Gaussians with independent dimensions.

    .. math:: p(y) = \sum_k \pi_k N(y; \mu_k, diag(\sigma_k^2))

    A draw takes ``y_dim + 1`` numbers: the first says which component (`intel_priors.densities.choose`), the others
    are scaled by its σ and shifted by its μ.

    It offers `Mixture` and, for what is learned of it, `TakesClusters`.

    Args:
        means: shape ``(K, y_dim)``.
        std: the standard deviation of every component in every dimension, where learning begins.
        learn: whether means, and standard deviations of each component and dimension, are learned.
        learn_weights: whether the shares π are learned; they are equal at first.

    Source: Miao et al., section 7 (MoG-VAE).

    >>> prior = GaussianMixture(torch.tensor([[3.0], [-3.0]]), 0.5)
    >>> prior.draw(torch.tensor([[-1.0, 0.0], [1.0, 1.0]])).tolist()
    [[3.0], [-2.5]]
    >>> prior.log_responsibilities(torch.tensor([3.0])).exp().tolist()
    [1.0, ...]
    """

    means: Tensor
    logits: Tensor

    def __init__(self, means: Tensor, std: float, *, learn: bool = False, learn_weights: bool = False) -> None:
        super().__init__()
        self.k, y_dim = means.shape
        self.noise_dim = y_dim + 1
        self.std = std
        logits = means.new_zeros(self.k)
        self.log_stds: Tensor | None = None
        if learn:
            self.means = nn.Parameter(means.clone())
            self.log_stds = nn.Parameter(torch.full_like(means, math.log(std)))
        else:
            self.register_buffer("means", means.clone())
        if learn_weights:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits)

    def log_shares(self) -> Tensor:
        """The logs of the shares π, ``(K,)``."""
        return torch.log_softmax(self.logits, -1)

    def _log_stds(self) -> Tensor:
        """Log σ, which broadcasts to ``(K, y_dim)``."""
        if self.log_stds is not None:
            return self.log_stds
        return torch.full((), math.log(self.std), dtype=torch.float64).to(self.means)

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., y_dim + 1) -> (..., y_dim)``."""
        component = choose(noise[..., 0], self.log_shares())
        stds = self._log_stds().exp().expand_as(self.means)
        return self.means[component] + stds[component] * noise[..., 1:]

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``, nats."""
        return torch.logsumexp(self._joint(y), -1).to(y.dtype)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``: log p(component|y), nats."""
        return torch.log_softmax(self._joint(y), -1).to(y.dtype)

    def _joint(self, y: Tensor) -> Tensor:
        """Log p(y, component), ``(..., K)``."""
        parts = component_log_probs(y, self.means, self._log_stds())
        return parts + self.log_shares().to(parts.dtype)

    def forget_clusters(self) -> None:
        """See `intel_core.helpers.shares.TakesClusters`; means that are fixed stay where they are."""
        self._become(torch.zeros_like(self.means), torch.ones_like(self.means), torch.ones_like(self.logits))

    def take_clusters(self, means: Tensor, stds: Tensor, proportions: Tensor) -> None:
        """See there."""
        self._become(means, stds, proportions)

    @torch.no_grad()
    def _become(self, means: Tensor, stds: Tensor, proportions: Tensor) -> None:
        if self.log_stds is not None:
            self.means.copy_(means)
            self.log_stds.copy_(stds.clamp(min=NARROWEST).log())
        if self.logits.requires_grad:
            self.logits.copy_(proportions.log())

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"k={self.k}, std={self.std:g}"
