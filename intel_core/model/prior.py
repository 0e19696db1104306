"""What is p(y)? What a prior can do, and the default N(0, I)."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from intel_core.model.posterior import DiagonalGaussian, Posterior

__all__ = ["ClosedForm", "FromEncoder", "Image", "Mixture", "Prior", "StandardNormal"]


@runtime_checkable
class Prior(Protocol):
    """p(y), an ``nn.Module`` where it learns.

    Attributes:
        noise_dim: how many standard normal numbers make a draw. A mixture of K components may take ``y_dim + 1``, and
            the first of them says which component.
    """

    noise_dim: int

    def draw(self, noise: Tensor) -> Tensor:
        """``(..., noise_dim) -> (..., y_dim)``: a pure function of standard normal noise."""
        ...

    def log_prob(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (...)``: the normalised log density, nats."""
        ...


@runtime_checkable
class ClosedForm(Protocol):
    """A prior that knows KL(q(y|x) || p(y)) of some posteriors without draws."""

    def knows(self, posterior: Posterior) -> bool:
        """Whether it does for this posterior, by its type alone."""
        ...

    def kl(self, posterior: Any) -> Tensor:
        """Its terms by dimension, ``(n, y_dim)``, nats: their sum is the KL divergence of each example."""
        ...


class Image(Protocol):
    """KL(q(z|x) || p(z)) of diagonal Gaussians and N(0, I), as `intel_core.helpers.pushforward.Image` has it."""

    def draw(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...  # noqa: D102
    def weigh(self, posterior: DiagonalGaussian, noise: Tensor) -> tuple[Tensor, Tensor]: ...  # noqa: D102


@runtime_checkable
class FromEncoder(Protocol):
    """A prior that is made of posteriors of inputs of its own, as the VampPrior is.

    The model encodes the inputs, in training in one batch with the data: batch normalisation then sees one batch.
    """

    def inputs(self) -> Tensor:
        """``(K, *x_shape)``."""
        ...

    def given(self, posterior: Any) -> Prior:
        """The prior, given q(y|input) of the K inputs."""
        ...


@runtime_checkable
class Mixture(Protocol):
    """A prior of k components, which are clusters: each y belongs to the one most responsible for it."""

    k: int

    def log_responsibilities(self, y: Tensor) -> Tensor:
        """``(..., y_dim) -> (..., K)``: log p(component|y), nats."""
        ...


class StandardNormal(nn.Module):
    """N(0, I), with the KL in closed form of diagonal Gaussians and whatever has a method `kl_to_standard`.

    Attributes:
        image: what g leaves of that KL, if KL(q(z|x) || p(z)) is known and taken instead.

    >>> import torch
    >>> float(StandardNormal(2).log_prob(torch.zeros(2)))  # -log(2 pi)
    -1.837877...
    """

    def __init__(self, y_dim: int, image: Image | None = None) -> None:
        super().__init__()
        self.noise_dim, self.image = y_dim, image

    def draw(self, noise: Tensor) -> Tensor:
        """The noise itself."""
        return noise

    def log_prob(self, y: Tensor) -> Tensor:
        """See `Prior`."""
        return -0.5 * (y.square() + math.log(2 * math.pi)).sum(-1)

    def knows(self, posterior: Posterior) -> bool:
        """Diagonal Gaussians, and others that say it."""
        return isinstance(posterior, DiagonalGaussian) or hasattr(posterior, "kl_to_standard")

    def kl(self, posterior: Any) -> Tensor:
        """See `DiagonalGaussian.kl`."""
        return posterior.kl() if isinstance(posterior, DiagonalGaussian) else posterior.kl_to_standard()
