"""Is a likelihood the normalised density of its draws, whatever shape outputs have, and is what its spec says true?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor

from intel_conformance.distributions.laws import laws_of, log_density
from intel_conformance.kinds import check
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, first_line
from intel_conformance.parts.calls import compare
from intel_conformance.parts.likelihoods import LikelihoodCandidate, dataset_of
from intel_core.data.dataset import Support
from intel_core.errors import DataError
from intel_core.helpers.advice import ChecksData

_DENSITY = "contract: log_prob is the normalised log density of the draws, nats per example"
_SHAPES = "contract: outputs (..., n, *params_event) and examples (n, *event)"
_SPEC = "contract: a likelihood's spec says which values it explains"
_FINITE = "contract: finite values and gradients"
_PURE = "contract: random numbers come from the generator"
_KIND: Any = ("likelihood",)
_MASS_OFF = 2e-3
_MOST_PAIRS = 4_000_000


def _ask(name: str, call: Callable[[], Any], shape: tuple[int, ...]) -> Tensor:
    """What a method gives, of the expected shape; a ValueError is a refusal and passes.

    Raises:
        Broken: if it raises anything else, or has another shape.
    """
    try:
        found = call()
    except ValueError:
        raise
    except Exception as error:
        said = first_line(error)
        raise Broken(f"{name} raised {type(error).__name__}: {said}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        got = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise Broken(
            f"{name} gives {got}, expected shape {shape}",
            likely="a sum over the wrong dimensions; those of an example are the last x.dim() - 1",
        )
    return found


def _methods(held: Any, params: Tensor, x: Tensor) -> dict[str, tuple[Callable[[], Any], tuple[int, ...]]]:
    """Every method with the shape of its answer, for outputs ``(n, ...)`` and examples of the same number."""
    n, generator = len(x), torch.Generator(x.device).manual_seed(0)
    return {
        "log_prob": (lambda: held.log_prob(params, x), (n,)),
        "log_prob of 3 particles": (lambda: held.log_prob(params.expand(3, *params.shape), x), (3, n)),
        "log_prob of 2 x 3 particles": (lambda: held.log_prob(params.expand(2, 3, *params.shape), x), (2, 3, n)),
        "mean_log_prob": (lambda: held.mean_log_prob(params, x), ()),
        "mean": (lambda: held.mean(params), tuple(x.shape)),
        "sample": (lambda: held.sample(params, generator), tuple(x.shape)),
    }


@check("io.shape", _SHAPES, kinds=_KIND)
def shape(candidate: LikelihoodCandidate) -> None:
    """params_per_value is a whole number; values have the shapes of vectors, images, and several particles."""
    held = candidate.module().held
    count = held.params_per_value
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise Broken(f"params_per_value is {count!r}, expected a whole number, 1 or more")
    for n in (1, 2, 33):
        params = candidate.params("shape", n)
        for name, (call, expected) in _methods(held, params, candidate.drawn("shape", params)).items():
            try:
                _ask(f"{name} of {n} vectors", call, expected)
            except ValueError as error:
                raise Broken(f"{name} of {n} vectors raised ValueError: {str(error)[:160]}") from error
    images = candidate.noise("images", 5, candidate.outputs, 2, 3)
    try:
        x = _ask("sample of images", lambda: held.sample(images, None), (5, candidate.values, 2, 3))
        for name, (call, expected) in _methods(held, images, x).items():
            _ask(f"{name} of images", call, expected)
    except ValueError:  # it is for vectors, and says so
        return


@check("io.particles", _SHAPES, kinds=_KIND)
def particles(candidate: LikelihoodCandidate) -> None:
    """Outputs with leading dimensions, for several particles, give each particle what it has alone."""
    held = candidate.module().held
    params = candidate.params("particles", 21).reshape(3, 7, -1)
    x = candidate.drawn("particles", params[0])
    alone = torch.stack([held.log_prob(part, x) for part in params])
    why = "a sum over the wrong dimensions, or x that is not expanded"
    compare(held.log_prob(params, x), alone, "log_prob of three particles", why)
    compare(held.log_prob(params[:, None], x)[:, 0], alone, "log_prob of particles with two dimensions", why)


@check("io.support", _SPEC, kinds=_KIND)
def support(candidate: LikelihoodCandidate) -> None:
    """Its spec says which values it explains, draws are such values, and data of draws are not refused."""
    if candidate.specs is None:
        raise NotApplicable("the likelihood was given as an object, not as a spec")
    spec: Any = candidate.specs[0]
    known, said = get_args(Support), spec.supports
    if not isinstance(said, tuple) or not said or set(said) - set(known):
        raise Broken(f"supports is {said!r}, expected some of {', '.join(known)} in a tuple")
    x = candidate.drawn("support", 1.5 * candidate.params("support", 2000)).cpu()
    inside = {"binary": (x == 0) | (x == 1), "unit": (x >= 0) & (x <= 1), "real": x.isfinite()}
    wrong = ~torch.stack([inside[name] for name in said]).any(0)
    if bool(wrong.any()):
        raise Broken(
            f"it explains {' or '.join(said)} values, but draws {float(x[wrong][0]):.4g}",
            likely="another support in the spec, or a draw that is not clamped",
        )
    narrowest: Any = next(name for name in known if bool(inside[name].all()))
    if isinstance(spec, ChecksData):
        if hasattr(spec, "for_data"):
            spec = spec.for_data(dataset_of(x, narrowest))
        try:
            spec.check_data(dataset_of(x, narrowest))
        except DataError as error:
            raise Broken(
                f"check_data refuses its own draws: {error}", likely="a condition that is too strict"
            ) from error


@check("mode.draws", _PURE, kinds=_KIND)
def draws_repeat(candidate: LikelihoodCandidate) -> None:
    """The same generator gives the same draws, another gives others, and torch's random state is left alone."""
    held = candidate.module().held.cpu()
    params = candidate.params("generator", 200).cpu()
    state = torch.get_rng_state()
    first, again, other = (held.sample(params, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    moved = not torch.equal(state, torch.get_rng_state())
    torch.set_rng_state(state)
    likely = "randn or bernoulli without generator="
    if not torch.equal(first, again):
        raise Broken("sample gives other draws for a generator of the same seed", likely=likely)
    if torch.equal(first, other):
        raise Broken("sample gives the same draws for every generator", likely="a mean in the place of a draw")
    if moved:
        raise Broken("sample draws from torch's random state", likely=likely)


@check("finite.equal", _FINITE, kinds=_KIND)
def equal(candidate: LikelihoodCandidate) -> None:
    """The loss and its gradients are finite where all rows are equal, and where x is exactly its mean."""
    for dtype in candidate.dtypes:
        module = candidate.module(dtype)
        params = candidate.params("equal", 1).expand(20, -1)
        draw = candidate.drawn("equal", params[:1]).expand(20, -1)
        whole = bool((draw == draw.round()).all())
        for name, x in (("equal rows", draw), *((("x at its mean", None),) if not whole else ())):
            leaf = params.to(dtype).clone().requires_grad_()
            value = module.held.mean(leaf).detach() if x is None else x.to(dtype)
            loss = module.held.mean_log_prob(leaf, value)
            wanted = [leaf, *(p for p in module.parameters() if p.requires_grad)]
            parts = torch.autograd.grad(loss, wanted, allow_unused=True) if loss.requires_grad else ()
            if not all(bool(part.isfinite().all()) for part in (loss, *parts) if part is not None):
                raise Broken(
                    f"mean_log_prob of {name}, or its gradient, is not finite in {dtype}",
                    likely="a deviation of the batch; sqrt, norm or log at 0",
                )


@check("density.mass", _DENSITY, kinds=_KIND)
def mass(candidate: LikelihoodCandidate) -> None:
    """exp(log_prob) sums to one over all values, or integrates to one over those of one dimension, in float64."""
    for law in laws_of(candidate):
        total = float(law.mass.sum())
        if not abs(total - 1) <= _MASS_OFF:
            raise Broken(
                f"the density {'sums' if law.is_discrete else 'integrates'} to {total:.5f}, expected 1, for outputs "
                f"{_shown(law.params)}",
                likely="a missing constant, log 2π or log x! for instance; a scale that is not in the determinant",
                mass=total,
            )


@check("density.values", _DENSITY, kinds=_KIND)
def of_two(candidate: LikelihoodCandidate) -> None:
    """Of examples with two values, exp(log_prob) sums or integrates to one as well."""
    if candidate.least > 1 or candidate.values != 2:
        raise NotApplicable("its values do not stand alone, so that two of them are no other example")
    first, second = laws_of(candidate, coarse=True)[1:3]
    (a, weight_a), (b, weight_b) = (law.likely() for law in (first, second))
    if len(a) * len(b) > _MOST_PAIRS:
        raise Skipped(f"there are {len(a):,} by {len(b):,} pairs of values, too many to be summed")
    params = torch.stack([first.params, second.params], -1).flatten()
    pairs = torch.cat([a.repeat_interleave(len(b), 0), b.repeat(len(a), 1)], -1)
    mass = log_density(candidate, params, pairs).exp() * torch.outer(weight_a, weight_b).flatten()
    total = float(mass.sum())
    if not abs(total - 1) <= _MASS_OFF:
        raise Broken(
            f"the density of two values has the mass {total:.5f}, expected 1, though that of one has mass 1",
            likely="a mean over the values of an example; outputs of one value that are read for another",
            mass=total,
        )


@check("density.draws", _DENSITY, kinds=_KIND)
def draws(candidate: LikelihoodCandidate) -> None:
    """Draws agree with the density: the two distribution functions differ by no more than chance allows."""
    n = candidate.size(10_000, 20_000, 100_000)
    allowed = math.sqrt(math.log(2e9) / (2 * n)) + 2e-3
    for number, law in enumerate(laws_of(candidate)):
        drawn = candidate.narrow().drawn(f"draws {number}", law.params.expand(n, -1).to(candidate.device)).cpu()
        by_mass, own = law.cumulated(drawn)
        found = float((by_mass - own).abs().max())
        if not found <= allowed:
            raise Broken(
                f"the distribution functions of draws and density differ by {found:.4f}, allowed {allowed:.4f}, for "
                f"outputs {_shown(law.params)}",
                likely="another mean or deviation in sample than in log_prob; a draw that is rounded",
                distance=found,
            )


@check("density.mean", _DENSITY, kinds=_KIND)
def mean(candidate: LikelihoodCandidate) -> None:
    """Mean is the expectation of x by the density."""
    narrow = candidate.narrow()
    module = narrow.module()
    tried = 0
    for law in laws_of(candidate):
        if law.heavy():
            continue
        tried += 1
        found = narrow.call(module, "mean", law.params[None].to(candidate.device))[0].detach().cpu()
        expected = (law.mass[:, None] * law.x).sum(0)
        spread = ((law.mass[:, None] * law.x.square()).sum(0) - expected.square()).clamp_min(0).sqrt()
        off = (found - expected).abs()
        if not bool((off <= 1e-2 * spread + 1e-6 * (1 + expected.abs())).all()):
            worst = int(off.nan_to_num(torch.inf).argmax())
            raise Broken(
                f"mean gives {float(found[worst]):.5g}, the density has the expectation {float(expected[worst]):.5g}, "
                f"for outputs {_shown(law.params)}",
                likely="the mode or a parameter in the place of the mean",
            )
    if not tried:
        raise Skipped("its tails are so heavy that no mean can be seen in the density")


@check("density.mean_log_prob", _DENSITY, kinds=_KIND)
def agreement(candidate: LikelihoodCandidate) -> None:
    """mean_log_prob is the mean of log_prob, and a gradient that it gives itself is that of autograd."""
    held = candidate.module().held
    params = candidate.params("agreement", 17).requires_grad_()
    x = candidate.drawn("agreement", params.detach())
    expected, found = held.log_prob(params, x).mean(), held.mean_log_prob(params, x)
    compare(found[None], expected[None], "mean_log_prob", "a mean over the values, or a sum over the rows")
    offered = getattr(held, "mean_log_prob_and_gradient", None)
    given = offered(params.detach(), x) if callable(offered) else None
    if given is None:
        return
    (gradient,) = torch.autograd.grad(expected, params)
    why = "a derivative that was taken by hand"
    compare(given[0][None], expected.detach()[None], "the value of mean_log_prob_and_gradient", why)
    compare(given[1], gradient, "the gradient of mean_log_prob_and_gradient", why, relative=1e-7)


def _shown(params: Tensor) -> str:
    return str([float(f"{value:.4g}") for value in params.tolist()[:6]])
