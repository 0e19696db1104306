"""How does a resolved run spec become a model? Each part initialised from a random stream of its own."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.compute.precision import apply_in, order_weights
from intel_core.errors import DataError, PluginError, SpecError
from intel_core.mappings.building import build_mapping
from intel_core.mappings.contract import Mapping, Regularised
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.recipe.runspec import RunSpec

__all__ = [
    "build_model",
]


def build_model(spec: RunSpec, x_shape: Sequence[int]) -> InteLVAE:
    """The model that a resolved run spec describes, initialised from its seed.

    Encoder, mapping and decoder draw their initial weights from separate random streams, so that exchanging one leaves
    the others unchanged; the process's global random state is not changed either.

    Raises:
        SpecError: if the mapping or a network does not fit the latent or the data.
    """
    networks, likelihood_spec = (spec.encoder, spec.decoder), spec.likelihood
    if networks[0] is None or networks[1] is None or likelihood_spec is None or spec.latent is None:
        raise SpecError("the run spec is not resolved; call resolve(spec, dataset) first")
    x_shape = tuple(x_shape)
    with torch.random.fork_rng(devices=[]):
        # The CPU's generator only: torch.manual_seed would reseed every accelerator, whose state nobody restores.
        seed = torch.default_generator.manual_seed
        seed(stream(spec.seed, "mapping"))
        mapping = build_mapping(spec.mapping, spec.latent)
        check_mapping(mapping, spec)
        likelihood = likelihood_spec.build()
        params_shape = (x_shape[0] * likelihood.params_per_value, *x_shape[1:])
        try:
            seed(stream(spec.seed, "encoder"))
            encoder = networks[0].build_encoder(x_shape, 2 * spec.latent)
            seed(stream(spec.seed, "decoder"))
            decoder = networks[1].build_decoder(mapping.z_dim, params_shape)
        except ValueError as error:
            if isinstance(error, SpecError | DataError):
                raise
            raise SpecError(f"the networks do not fit data of shape {list(x_shape)}: {error}") from error
    # Runs from before there was a choice hold no precision; they were in float32.
    precision = "float32" if spec.precision == "auto" else spec.precision
    for network in (encoder, decoder):
        order_weights(network, precision)
    apply = None if precision == "float32" else functools.partial(apply_in, precision)
    return InteLVAE(encoder, mapping, decoder, likelihood, x_shape, apply)


_TAKEN = ("loss", "elbo", "log_likelihood", "kl", "iwae", "lr", "strength")


@torch.no_grad()
def check_mapping(mapping: Mapping, spec: RunSpec) -> None:
    """Try a mapping on two rows before anything is trained.

    Raises:
        PluginError: if its output or its auxiliary losses break the contract.
    """
    label = " then ".join(str(part) for part in spec.mapping) or "identity"
    y = torch.zeros(2, mapping.y_dim)
    z = mapping(y)
    if not isinstance(z, Tensor) or z.shape != (2, mapping.z_dim):
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise PluginError(
            f"mapping {label}: g of shape (2, {mapping.y_dim}) gives {shape}, expected (2, {mapping.z_dim})"
        )
    if not isinstance(mapping, Regularised):
        return
    declared = dict(mapping.regularisers)
    for name, weight in declared.items():
        if name in _TAKEN:
            raise PluginError(f"mapping {label}: an auxiliary loss cannot be called {name!r}, that is another number")
        if not 0 <= weight < math.inf:
            raise PluginError(f"mapping {label}: auxiliary loss {name!r} has weight {weight:g}, expected 0 or more")
    given = mapping.map_with_regularisers(y)[1]
    if set(given) != set(declared):
        raise PluginError(
            f"mapping {label}: declares the auxiliary losses {sorted(declared)}, but returns {sorted(given)}"
        )
