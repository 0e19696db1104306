"""What is a model's own prior, where it is not N(0, I)? Its draws, its density and its clusters, on the CPU.

All code that draws, measures or judges a run asks here; where it gets None, the prior is N(0, I).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from intel_core.mappings.contract import Clustering
from intel_core.model.prior import FromEncoder, Mixture, Prior, StandardNormal
from intel_core.model.vae import InteLVAE

__all__ = ["MixtureClusters", "OwnPrior", "UnderPrior", "clusters_of_prior", "mixture_of", "own_prior"]

_COUNTED = 50_000
"""Draws of the prior from which shares of clusters are counted: their error is at most 0.0022."""
_ROWS = 10_000


class OwnPrior:
    """A prior with the tensors of its model's device and type inside, and float32 or float64 on the CPU outside.

    Args:
        prior: p(y).
        like: any tensor of the model.

    Attributes:
        noise_dim: as of a `Prior`.
    """

    def __init__(self, prior: Prior, like: Tensor) -> None:
        self.prior, self._like = prior, like.detach()
        self.noise_dim = prior.noise_dim

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Tensor:
        """``(n, noise_dim) -> (n, y_dim)``."""
        return torch.cat([self.prior.draw(self._in(rows)).cpu() for rows in torch.split(noise, _ROWS)]).to(noise.dtype)

    @torch.no_grad()
    def log_prob(self, y: Tensor) -> Tensor:
        """``(n, y_dim) -> (n,)``, nats."""
        return torch.cat([self.prior.log_prob(self._in(rows)).cpu() for rows in torch.split(y, _ROWS)]).to(y.dtype)

    @torch.no_grad()
    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(n, y_dim) -> (n, K)`` of a mixture."""
        mixture = cast(Mixture, self.prior)
        return torch.cat([mixture.log_responsibilities(self._in(rows)).cpu() for rows in torch.split(y, _ROWS)])

    def draws(self, n: int, generator: torch.Generator) -> Tensor:
        """`n` draws with noise from a generator on the CPU, ``(n, y_dim)``, float32."""
        return self.draw(torch.randn(n, self.noise_dim, generator=generator))

    def _in(self, values: Tensor) -> Tensor:
        return values.to(self._like)


@torch.no_grad()
def own_prior(model: InteLVAE) -> OwnPrior | None:
    """The prior of a model; None if it is N(0, I).

    >>> from intel_core.mappings.compose import Identity
    >>> model = InteLVAE(torch.nn.Linear(3, 4), Identity(2), torch.nn.Linear(2, 3), None)
    >>> own_prior(model) is None
    True
    """
    prior = model.current_prior()
    return None if isinstance(prior, StandardNormal) else OwnPrior(prior, next(model.parameters()))


class MixtureClusters:
    """The components of a mixture prior as clusters of y: each y belongs to the one most responsible for it.

    It offers `Clustering`.
    """

    def __init__(self, prior: OwnPrior) -> None:
        self._prior = prior
        self.n_clusters = int(cast(Mixture, prior.prior).k)

    def assign(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``."""
        return self._prior.log_responsibilities(y.reshape(-1, y.shape[-1])).argmax(-1).reshape(y.shape[:-1])

    def proportions(self) -> Tensor:
        """The prior's mass in each cluster, counted: where components overlap, it is not their weight."""
        return _counted(self, self._prior)


def mixture_of(prior: object) -> Mixture | None:
    """A prior whose components are clusters, at least two; None for any other.

    The components of a prior that is made of the encoder's posteriors are many and no clusters.
    """
    return prior if isinstance(prior, Mixture) and not isinstance(prior, FromEncoder) and prior.k > 1 else None


def clusters_of_prior(model: InteLVAE) -> MixtureClusters | None:
    """The clusters of a mixture prior; None if it has none (see `mixture_of`)."""
    if mixture_of(model.prior) is None:
        return None
    return MixtureClusters(OwnPrior(model.prior, next(model.parameters())))


class UnderPrior:
    """The clusters of a mapping, whose shares are counted in draws of a prior: those it declares are of N(0, I)."""

    def __init__(self, clustering: Clustering, dims: tuple[int, ...], prior: OwnPrior) -> None:
        self._clustering, self._dims, self._prior = clustering, list(dims), prior
        self.n_clusters = clustering.n_clusters

    def assign(self, y: Tensor) -> Tensor:
        """As the mapping's."""
        return self._clustering.assign(y)

    def proportions(self) -> Tensor:
        """The own prior's mass in each cluster."""
        return _counted(self, self._prior, self._dims)


@torch.no_grad()
def _counted(clusters: Clustering, prior: OwnPrior, dims: list[int] | None = None) -> Tensor:
    y = prior.draws(_COUNTED, torch.Generator().manual_seed(0))
    cluster = clusters.assign(y if dims is None else y[:, dims])
    return torch.bincount(cluster.flatten(), minlength=clusters.n_clusters).double() / len(y)
