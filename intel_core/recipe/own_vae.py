"""How does somebody's own VAE, a module with encode and decode, get a mapping between y and z?"""

from __future__ import annotations

import contextlib
import copy
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from intel_core.components.spec import parse_spec
from intel_core.errors import SpecError
from intel_core.helpers.pushforward import image_of
from intel_core.mappings.building import build_mapping
from intel_core.mappings.contract import Mapping, MappingSpec
from intel_core.model.contract import LikelihoodSpec
from intel_core.model.posterior import DiagonalFamily, PosteriorFamily
from intel_core.model.prior import Prior, StandardNormal
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream
from intel_core.recipe.contracts import check_likelihood, check_mapping, made_by
from intel_core.recipe.given import as_given
from intel_core.recipe.latent import in_z

if TYPE_CHECKING:
    from intel_core.model.likelihood import Likelihood

__all__ = ["OwnDecoder", "OwnEncoder", "with_mapping"]

_EXPECTED = "expected means and log-variances, each (n, latent), or a torch.distributions.Normal"


class OwnEncoder(nn.Module):
    """``x -> means, then log-variances``, ``(n, 2 latent)``, by the ``encode`` of a module, whose parts it shares.

    Args:
        vae: the module.
    """

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae
        self.__qualname__ = f"{type(vae).__qualname__}.encode"  # by which a run directory names it

    def forward(self, x: Tensor) -> Tensor:
        """Encode some examples."""
        return torch.cat(_moments(cast(Any, self.vae).encode(x)), dim=-1)


class OwnDecoder(nn.Module):
    """``z -> the likelihood's parameters``, ``(n, *shape)``, by the ``decode`` of a module, whose parts it shares.

    Args:
        vae: the module.
        shape: of the parameters of one example; a module that gives them flat is understood.
    """

    def __init__(self, vae: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.vae, self.shape = vae, tuple(shape)
        self.__qualname__ = f"{type(vae).__qualname__}.decode"

    def forward(self, z: Tensor) -> Tensor:
        """Decode some z."""
        out = cast(Any, self.vae).decode(z)
        is_flat = isinstance(out, Tensor) and out.shape == (len(z), torch.Size(self.shape).numel())
        return cast(Tensor, out.reshape(len(z), *self.shape) if is_flat else out)


def with_mapping(
    vae: nn.Module,
    mapping: str | MappingSpec | Mapping | nn.Module | Sequence[str | MappingSpec],
    *,
    x_shape: Sequence[int] | int,
    likelihood: str | LikelihoodSpec | Likelihood = "gaussian:variance=shared",
    seed: int = 0,
) -> InteLVAE:
    """A model with a mapping between the y of somebody's own VAE and the z that it decodes.

    The bound is that of `fit`: where the mapping forgets a part of y and knows the density of z, as circles and spheres
    do, the KL term is in z. The model shares the module's weights, so that training it trains the module. It goes to
    `Trainer` as it is, and its parts to ``fit(encoder=model.encoder, decoder=model.decoder, mapping=…)``, which copies
    them and keeps a run directory; weights that ``encode`` and ``decode`` share are then trained apart.

    Args:
        vae: a module with two methods. ``encode(x)`` returns means and log-variances of q(y|x), each ``(n, latent)``,
            or a ``torch.distributions.Normal`` (also within ``Independent``). ``decode(z)`` returns the likelihood's
            parameters, in the shape of x or flat; of `bernoulli` these are logits, without a sigmoid.
        mapping: a text such as ``"cluster:k=8"``, a spec, a list of these, a `Mapping`, or a module ``(n, latent) ->
            (n, z_dim)``, which is copied.
        x_shape: shape of one example; a number for a vector of that length.
        likelihood: a text, a spec, or an object as `fit` takes one. By default a Gaussian with one variance for all
            values, which is learned: training by squared error, with the weight of the KL term that the data ask for.
        seed: of the mapping's own initial weights.

    Raises:
        SpecError: if a method is missing, fails, or returns something else, or the mapping or the likelihood does not
            fit its dimensions; in one line that says what was expected.

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden, self.mean, self.log_variance = nn.Linear(6, 32), nn.Linear(32, 2), nn.Linear(32, 2)
    ...         self.out = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 6))
    ...
    ...     def encode(self, x):
    ...         hidden = self.hidden(x).tanh()
    ...         return self.mean(hidden), self.log_variance(hidden)
    ...
    ...     def decode(self, z):
    ...         return self.out(z)
    >>> model = with_mapping(Net(), "cluster:k=3", x_shape=[6])
    >>> model.y_dim, model.z_dim, model.encode(torch.zeros(4, 6)).mean.shape
    (2, 2, torch.Size([4, 2]))
    """
    name = type(vae).__name__
    _require_module(vae, name)
    shape, like = _shape(x_shape), next(iter(vae.parameters()), torch.zeros(()))
    modes = {part: part.training for part in vae.modules()}
    vae.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            x = like.detach().new_zeros(2, *shape)
            with made_by(f"{name}.encode on input of shape {tuple(x.shape)}"):
                found = cast(Any, vae).encode(x)
            codes = _checked(name, found)
            torch.default_generator.manual_seed(stream(seed, "mapping"))
            g = _mapping(mapping, codes[0].shape[1])
            of_x = _likelihood(likelihood, shape)
            params_shape = (shape[0] * of_x.params_per_value, *shape[1:])
            z = like.detach().new_zeros(2, g.z_dim)
            with made_by(f"{name}.decode on z of shape {tuple(z.shape)}, as the mapping gives it,"):
                out = cast(Any, vae).decode(z)
            _check_output(name, out, params_shape, of_x)
            encoder = OwnEncoder(_used_by(vae, torch.cat(codes, dim=-1), lambda part: OwnEncoder(part)(x)))
            decoder = OwnDecoder(_used_by(vae, out, lambda part: cast(Any, part).decode(z)), params_shape)
    finally:
        for part, mode in modes.items():
            part.training = mode
    prior: Prior = StandardNormal(g.y_dim)
    family: PosteriorFamily = DiagonalFamily(g.y_dim)
    if image_of(g) is not None:
        prior, family = in_z(g, prior, family)
    model = InteLVAE(encoder, g, decoder, of_x, shape, prior=prior, family=family)
    return model.to(like.device)


def _shape(given: object) -> tuple[int, ...]:
    """The shape of one example, as `with_mapping` takes it.

    Raises:
        SpecError: if it is none.
    """
    try:
        parts = list(cast("Sequence[int]", given)) if hasattr(given, "__len__") else [given]
        shape = tuple(operator.index(cast("int", part)) for part in parts if not isinstance(part, bool))
    except TypeError:
        shape = ()
    if not shape or len(shape) < len(parts) or min(shape) < 1:
        raise SpecError(f"x_shape={given!r:.60}: expected the shape of one example, such as [64] or [1, 28, 28]")
    return shape


def _moments(found: object) -> tuple[Tensor, Tensor]:
    """Means and log-variances, of what an ``encode`` returns.

    Raises:
        TypeError: if it returns anything else.
    """
    if isinstance(found, torch.distributions.Independent):
        found = found.base_dist
    if isinstance(found, torch.distributions.Normal):
        return found.loc, 2 * found.scale.log()
    if isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):
        return found[0], found[1]
    several = f" of {len(found)}" if isinstance(found, tuple | list | dict) else ""
    raise TypeError(f"returns a {type(found).__name__}{several}, {_EXPECTED}")


def _checked(name: str, found: object) -> tuple[Tensor, Tensor]:
    try:
        mean, log_variance = _moments(found)
    except TypeError as error:
        raise SpecError(f"{name}.encode {error}") from None
    if mean.dim() != 2 or len(mean) != 2 or mean.shape != log_variance.shape or not mean.shape[1]:
        shapes = f"{tuple(mean.shape)} and {tuple(log_variance.shape)}"
        raise SpecError(f"{name}.encode returns shapes {shapes} for 2 examples, {_EXPECTED}")
    return mean, log_variance


def _require_module(vae: object, name: str) -> None:
    if not isinstance(vae, nn.Module):
        raise SpecError(f"with_mapping() takes a torch.nn.Module with encode and decode, not a {name}")
    for method in ("encode", "decode"):
        if not callable(getattr(vae, method, None)):
            raise SpecError(
                f"{name} has no method {method}: with_mapping() takes a module with encode and decode; where they are "
                "modules, give these to fit(encoder=…, decoder=…)"
            )


def _mapping(given: object, y_dim: int) -> Mapping:
    """The mapping, held to its contract."""
    parts = list(given) if isinstance(given, list | tuple) else [given]
    specs = [as_given("mapping", parse_spec("mappings", part) if isinstance(part, str) else part) for part in parts]
    if other := [part for part in specs if not isinstance(part, MappingSpec)]:
        raise SpecError(f"mapping: expected a text such as 'cluster:k=3', a spec or a module, not {other[0]!r:.60}")
    known = cast("list[MappingSpec]", specs)
    with made_by(f"mapping {' then '.join(map(str, known))}"):
        made = build_mapping(known, y_dim)
    check_mapping(made, known)
    return made


def _likelihood(given: object, x_shape: tuple[int, ...]) -> Likelihood:
    """The likelihood, held to its contract."""
    spec = as_given("likelihood", parse_spec("likelihoods", given) if isinstance(given, str) else given)
    if not isinstance(spec, LikelihoodSpec):
        raise SpecError(f"likelihood: expected a text such as 'bernoulli', a spec or an object, not {given!r:.60}")
    with made_by(f"likelihood {spec}"):
        made = spec.build()
    check_likelihood(f"likelihood {spec}", made, x_shape)
    return made


def _check_output(name: str, out: object, shape: tuple[int, ...], likelihood: Likelihood) -> None:
    if isinstance(out, Tensor) and out.shape in {(2, *shape), (2, torch.Size(shape).numel())}:
        return
    gives = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
    each = likelihood.params_per_value
    why = f", {each} numbers for each value, as {type(likelihood).__name__} needs" if each > 1 else ""
    raise SpecError(f"{name}.decode returns {gives} for 2 examples, expected {(2, *shape)}{why}")


# --- parts of a module -------------------------------------------------------------------------------------------


def _used_by(vae: nn.Module, output: Tensor, again: Callable[[nn.Module], Tensor]) -> nn.Module:
    """The module without those of its parts on whose weights an output does not depend; what is left is shared with it.

    So that a copy of the encoder holds no second decoder, which nothing would train. Where it is needed all the same,
    the whole module is taken.
    """
    learned = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    if not learned or not output.requires_grad:
        return vae
    found = torch.autograd.grad(output.sum(), learned, retain_graph=True, allow_unused=True)
    unused = {id(parameter) for parameter, gradient in zip(learned, found, strict=True) if gradient is None}
    kept = _without(vae, unused)
    with contextlib.suppress(Exception):
        if torch.equal(again(kept), output):
            return kept
    return vae


def _without(module: nn.Module, unused: set[int]) -> nn.Module:
    """A module whose weights are all unused is left out; of a container of one's own its parts are looked at."""
    kept = copy.copy(module)
    kept._parameters = {n: p for n, p in module._parameters.items() if p is None or id(p) not in unused}
    kept._modules = {}
    for name, part in module._modules.items():
        weights = [] if part is None else list(part.parameters())
        if part is None or not weights or any(id(weight) not in unused for weight in weights):
            is_own = part is not None and not type(part).__module__.startswith("torch.nn.modules.")
            is_named = isinstance(part, nn.ModuleDict)
            kept._modules[name] = _without(part, unused) if part is not None and (is_own or is_named) else part
    return kept
