"""How does a resolved run spec become a model? Each part initialised from a random stream of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import nn

from intel_core.compute.precision import apply_in, order_weights
from intel_core.errors import DataError, SpecError
from intel_core.mappings.building import build_mapping
from intel_core.model.prior import FromEncoder
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.recipe.contracts import check_likelihood, check_mapping, check_network, made_by
from intel_core.recipe.latent import build_family, build_prior, check_pair, in_z
from intel_core.recipe.runspec import RunSpec

__all__ = [
    "build_model",
]


def build_model(spec: RunSpec, x_shape: Sequence[int], condition_dim: int = 0) -> InteLVAE:
    """The model that a resolved run spec describes, initialised from its seed.

    With conditions of `condition_dim` numbers, the encoder is built for as many further values (of images: channels),
    and the decoder for as many further dimensions of z.

    Encoder, mapping and decoder draw their initial weights from separate random streams, so that exchanging one leaves
    the others unchanged; the process's global random state is not changed either.

    Raises:
        SpecError: if the mapping or a network does not fit the latent or the data.
        PluginError: if a part breaks its contract (`intel_core.recipe.contracts`).
    """
    networks, likelihood_spec = (spec.encoder, spec.decoder), spec.likelihood
    if networks[0] is None or networks[1] is None or likelihood_spec is None or spec.latent is None:
        raise SpecError("the run spec is not resolved; call resolve(spec, dataset) first")
    x_shape = tuple(x_shape)
    with torch.random.fork_rng(devices=[]):
        # The CPU's generator only: torch.manual_seed would reseed every accelerator, whose state nobody restores.
        seed = torch.default_generator.manual_seed
        seed(stream(spec.seed, "mapping"))
        with made_by(f"mapping {' then '.join(str(part) for part in spec.mapping) or 'identity'}"):
            mapping = build_mapping(spec.mapping, spec.latent)
        check_mapping(mapping, spec.mapping)
        what = f"likelihood {likelihood_spec}"
        with made_by(what):
            likelihood = likelihood_spec.build()
        check_likelihood(what, likelihood, x_shape)
        params_shape = (x_shape[0] * likelihood.params_per_value, *x_shape[1:])
        seed(stream(spec.seed, "prior"))
        prior = build_prior(spec.prior, spec.latent, x_shape)
        seed(stream(spec.seed, "posterior"))
        family = build_family(spec.posterior, spec.latent)
        check_pair(spec)
        if condition_dim and isinstance(prior, FromEncoder):
            raise SpecError(
                f"prior {spec.prior} encodes inputs of its own, which have no conditions; choose another one"
            )
        if spec.kl == "z":
            prior, family = in_z(mapping, prior, family)
        seed(stream(spec.seed, "encoder"))
        what, codes = f"encoder {networks[0]}", family.features
        seen = (x_shape[0] + condition_dim, *x_shape[1:])
        encoder = _network(what, functools.partial(networks[0].build_encoder, seen, codes), seen)
        meaning = "means, then log-variances" if spec.posterior.is_usual else f"for posterior {spec.posterior}"
        check_network(what, encoder, seen, (codes,), meaning)
        seed(stream(spec.seed, "decoder"))
        what, width = f"decoder {networks[1]}", mapping.z_dim + condition_dim
        decoder = _network(what, functools.partial(networks[1].build_decoder, width, params_shape), x_shape)
        check_network(what, decoder, (width,), params_shape, f"the parameters of {likelihood_spec}")
    # Runs from before there was a choice hold no precision; they were in float32.
    precision = "float32" if spec.precision == "auto" else spec.precision
    for network in (encoder, decoder):
        order_weights(network, precision)
    apply = None if precision == "float32" else functools.partial(apply_in, precision)
    parts = (encoder, mapping, decoder, likelihood, x_shape, apply)
    return InteLVAE(*parts, prior=prior, family=family, condition_dim=condition_dim)


def _network(what: str, build: Callable[[], nn.Module], x_shape: tuple[int, ...]) -> nn.Module:
    """What a network's spec builds.

    Raises:
        SpecError: if there is none for the shapes.
        PluginError: if building it fails otherwise.
    """
    with made_by(what):
        try:
            return build()
        except ValueError as error:
            if isinstance(error, SpecError | DataError):
                raise
            raise SpecError(f"the networks do not fit data of shape {list(x_shape)}: {error}") from error
