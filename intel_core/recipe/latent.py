"""How do the specs of a prior and a posterior become what a model takes, and do the two go together?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.errors import IntelError, PluginError, SpecError
from intel_core.helpers.pushforward import image_of, scaled_family
from intel_core.mappings.contract import Mapping
from intel_core.model.contract import PosteriorSpec, PriorSpec
from intel_core.model.posterior import DiagonalFamily, Posterior, PosteriorFamily
from intel_core.model.prior import FromEncoder, Prior, StandardNormal
from intel_core.recipe.contracts import check_state, made_by, require_count, require_tensor
from intel_core.recipe.runspec import RunSpec

__all__ = ["build_family", "build_prior", "check_pair", "in_z"]


def build_prior(spec: PriorSpec, y_dim: int, x_shape: Sequence[int]) -> Prior:
    """The prior that a spec describes, held to its contract on three draws.

    Raises:
        SpecError: if there is none for those dimensions.
        PluginError: if it breaks its contract.
    """
    what = f"prior {spec}"
    with made_by(what):
        try:
            prior: object = spec.build(y_dim, tuple(x_shape))
        except ValueError as error:
            raise _refused(what, error) from error
    if isinstance(prior, FromEncoder):
        with made_by(f"{what}: inputs()"):
            inputs: object = prior.inputs()
        if not isinstance(inputs, Tensor) or inputs.dim() < 1 or inputs.shape[1:] != tuple(x_shape) or not len(inputs):
            shown = f"shape {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else f"a {type(inputs).__name__}"
            raise PluginError(f"{what}: inputs() gives {shown}, expected (K, {', '.join(map(str, x_shape))})")
        check_state(what, prior)
        return prior  # type: ignore[return-value]  # what it gives for an encoder is a Prior
    if not isinstance(prior, Prior):
        raise PluginError(f"{what}: build() returned a {type(prior).__name__}, which lacks noise_dim, draw or log_prob")
    require_count(what, prior, "noise_dim")
    with torch.no_grad(), made_by(f"{what}: draw"):
        y: object = prior.draw(torch.zeros(3, prior.noise_dim))
    require_tensor(f"{what}: draw gives", y, (3, y_dim), f", expected shape {(3, y_dim)}")
    with torch.no_grad(), made_by(f"{what}: log_prob"):
        value: object = prior.log_prob(torch.zeros(2, 3, y_dim))
    require_tensor(f"{what}: log_prob of shape (2, 3, {y_dim}) gives", value, (2, 3), ", expected shape (2, 3)")
    check_state(what, prior)
    return prior


def build_family(spec: PosteriorSpec, y_dim: int) -> PosteriorFamily:
    """The family of posteriors that a spec describes, held to its contract on two examples and three draws of each.

    Raises:
        SpecError: if there is none for that many dimensions.
        PluginError: if it breaks its contract.
    """
    what = f"posterior {spec}"
    with made_by(what):
        try:
            family: object = spec.build(y_dim)
        except ValueError as error:
            raise _refused(what, error) from error
    if not isinstance(family, PosteriorFamily):
        raise PluginError(f"{what}: build() returned a {type(family).__name__}, which lacks features or noise_dim")
    for name in ("features", "noise_dim"):
        require_count(what, family, name)
    with torch.no_grad(), made_by(what):
        posterior: object = family(torch.zeros(2, family.features))
    if not isinstance(posterior, Posterior):
        raise PluginError(f"{what}: gives a {type(posterior).__name__}, which lacks mean, std, rsample or draw")
    noise = torch.zeros(3, 2, family.noise_dim)
    with torch.no_grad(), made_by(what):
        y, log_q = posterior.draw(noise)
        drawn = posterior.rsample(noise)
    for name, value, shape in (
        ("mean", posterior.mean, (2, y_dim)),
        ("std", posterior.std, (2, y_dim)),
        ("rsample", drawn, (3, 2, y_dim)),
        ("draw", y, (3, 2, y_dim)),
        ("log q of draw", log_q, (3, 2)),
    ):
        require_tensor(f"{what}: {name} gives", value, shape, f", expected shape {shape}")
    check_state(what, family)
    return family


def check_pair(spec: RunSpec) -> None:
    """Refuse a prior, a posterior and an objective that have no meaning together.

    Raises:
        SpecError: naming them.
    """
    prior, posterior, objective = spec.prior, spec.posterior, spec.objective
    if prior.measure != posterior.measure:
        raise SpecError(
            f"prior {prior} and posterior {posterior} have densities of different kinds ({prior.measure} and "
            f"{posterior.measure}), so there is no KL divergence; take both from one kind, e.g. both spike_slab"
        )
    if (prior.is_usual and posterior.is_usual) or prior.measure in objective.measures:
        return
    rival = f"prior {prior}" if not prior.is_usual else f"posterior {posterior}"
    if objective.measures:
        raise SpecError(f"objective {objective} cannot be trained with {rival}, which has an atom at 0; use elbo")
    raise SpecError(f"objective {objective} is for prior standard and posterior gaussian, not for {rival}; use elbo")


def in_z(mapping: Mapping, prior: Prior, family: PosteriorFamily) -> tuple[Prior, PosteriorFamily]:
    """N(0, I) and diagonal Gaussians whose KL divergence is that of their images under a mapping.

    Raises:
        SpecError: if the prior or the posterior is another one, or the mapping forgets nothing whose density is known.
    """
    if type(prior) is not StandardNormal or type(family) is not DiagonalFamily:
        raise SpecError("kl=z is for prior standard and posterior gaussian; use kl=y")
    image = image_of(mapping)
    if image is None:
        raise SpecError(
            "kl=z is for a mapping that forgets a part of y and knows the density of z, such as circle, sphere, torus "
            "or holes; for a bijection KL in z is that in y: use kl=y"
        )
    return StandardNormal(mapping.y_dim, image), scaled_family(mapping) or family


def _refused(what: str, error: ValueError) -> Exception:
    return error if isinstance(error, IntelError) else SpecError(f"{what}: {error}")
