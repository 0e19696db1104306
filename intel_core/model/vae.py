"""How do the parts form a VAE? Encode to y, map to z, decode to x."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from intel_core.errors import SpecError
from intel_core.mappings.contract import Mapping, Regularised
from intel_core.model.likelihood import Likelihood
from intel_core.model.posterior import DiagonalFamily, Posterior, PosteriorFamily
from intel_core.model.prior import FromEncoder, Prior, StandardNormal

__all__ = ["InteLVAE", "beside", "plainly"]

Network = Callable[[Tensor], Tensor]
Apply = Callable[[Network, Tensor], Tensor]
"""A function that calls a network."""


def plainly(network: Network, x: Tensor) -> Tensor:
    """The usual `Apply`."""
    return network(x)


def beside(x: Tensor, conditions: Tensor | None) -> Tensor:
    """X or z with the conditions of its examples behind it, as channels of images; one draw of all follows another."""
    if conditions is None:
        raise SpecError("the model was trained with conditions, and nothing says which ones these examples have")
    c = conditions.to(x)
    c = c if c.shape[0] == x.shape[0] else c.repeat(len(x) // max(1, len(c)), 1)  # by shape it is traced for any n
    return torch.cat([x, c.reshape(*c.shape, *[1] * (x.dim() - 2)).expand(*c.shape, *x.shape[2:])], 1)


class InteLVAE(nn.Module):
    """x → q(y|x) → y → z = g(y) → p(x|z), and p(y) → y → z → p(x|z) for new data.

    Args:
        encoder: module ``(n, *x_shape) -> (n, features)``; by default ``2 y_dim`` means, then log-variances.
        mapping: a `Mapping`, the same object on both paths.
        decoder: module ``(n, z_dim) -> (n, *params_shape)``.
        likelihood: what the decoder's output means.
        x_shape: shape of one example; it is stored only.
        apply: calls encoder and decoder, for instance in another number format; a plain call by default.
        prior: p(y); N(0, I) by default.
        family: how the encoder's output becomes q(y|x); a diagonal Gaussian by default.
        condition_dim: numbers c that encoder and decoder see behind x and z (for images as channels); see `on`.

    Attributes:
        calls: functions that are called instead of the ``encoder`` or the ``decoder``, by that name; usually empty.
        conditions: those of the examples that it is asked about, ``(n, condition_dim)``, as `on` has set them.

    Source: Miao et al., section 4.
    """

    mapping: Mapping
    likelihood: Likelihood
    prior: Prior
    family: PosteriorFamily

    def __init__(
        self,
        encoder: nn.Module,
        mapping: Mapping,
        decoder: nn.Module,
        likelihood: Likelihood,
        x_shape: Sequence[int] = (),
        apply: Apply | None = None,
        *,
        prior: Prior | None = None,
        family: PosteriorFamily | None = None,
        condition_dim: int = 0,
    ) -> None:
        super().__init__()
        self.apply_network = apply or plainly
        self.x_shape = tuple(x_shape)
        self.y_dim, self.z_dim = mapping.y_dim, mapping.z_dim
        self.encoder = encoder
        self.mapping = mapping
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior if prior is not None else StandardNormal(self.y_dim)
        self.family = family if family is not None else DiagonalFamily(self.y_dim)
        self.noise_dim = self.family.noise_dim
        self._asks_encoder = isinstance(self.prior, FromEncoder)
        self.regularisers = dict(mapping.regularisers) if isinstance(mapping, Regularised) else {}
        self.calls: dict[str, Network] = {}
        self.condition_dim = condition_dim
        self.conditions: Tensor | None = None

    def on(self, conditions: Tensor | None) -> InteLVAE:
        """q(y|x, c) and p(x|z, c): the same model for examples with these conditions ``(n, condition_dim)``."""
        if conditions is None:
            return self
        bound = copy.copy(self)  # modules and parameters are shared
        bound.conditions = conditions
        return bound

    def encode(self, x: Tensor) -> Posterior:
        """q(y|x) of each example of ``(n, *x_shape)``."""
        return self.family(self._network("encoder", x))

    def infer(self, x: Tensor) -> tuple[Posterior, Prior]:
        """q(y|x) and p(y), which may depend on the encoder; in training its inputs are encoded in one batch with x."""
        if not self._asks_encoder:
            return self.encode(x), self.prior
        if not self.training:
            return self.encode(x), self.current_prior()
        prior = cast(FromEncoder, self.prior)
        features = self._network("encoder", torch.cat([x, prior.inputs()]))
        return self.family(features[: len(x)]), prior.given(self.family(features[len(x) :]))

    def current_prior(self) -> Prior:
        """p(y), by the encoder's running statistics where it depends on the encoder."""
        return self.prior.given(self.encode(self.prior.inputs())) if isinstance(self.prior, FromEncoder) else self.prior

    def map(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``z = g(y)`` and the mapping's auxiliary losses, computed in the same pass."""
        if self.regularisers:
            mapping = cast(Regularised, self.mapping)
            return mapping.map_with_regularisers(y)
        return self.mapping(y), {}

    def decode(self, z: Tensor) -> Tensor:
        """The likelihood's parameters for z of shape ``(..., z_dim)``; leading dimensions are kept."""
        if z.dim() == 2:
            return self._network("decoder", z)
        params = self._network("decoder", z.flatten(0, -2))
        return params.reshape(*z.shape[:-1], *params.shape[1:])

    def _network(self, name: str, x: Tensor) -> Tensor:
        x = beside(x, self.conditions) if self.condition_dim else x
        return self.apply_network(self.calls.get(name) or getattr(self, name), x)

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of y from the prior, ``(n, y_dim)``."""
        prior = self.current_prior()
        return prior.draw(self.draw_noise(n, prior.noise_dim, generator))

    def draw_noise(self, n: int, dim: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal noise ``(n, dim)`` where the weights are."""
        like = next(self.parameters())
        return torch.randn(n, dim, generator=generator, dtype=like.dtype, device=like.device)
