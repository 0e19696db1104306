"""Is g right in other dimensions too, and while its strength grows? Checks of ``variants`` and ``structure``."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from intel_conformance.as_part import as_part_loaded
from intel_conformance.candidate import Candidate, annealed
from intel_conformance.catalogue import all_checks
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding, same_kernel, worst_difference
from intel_conformance.continuity.scan import scan
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported
from intel_conformance.variants import check_variant
from intel_core.errors import PluginError, SpecError
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_NOT_AGAIN = (
    *("io.preflight", "io.dims", "mode.process", "deploy.compile", "deploy.cost", "deploy.fit"),
    *("deploy.spec", "thm1.inequality", "cont.parameters"),
    *("structure.betti", "structure.strength", "structure.schedules", "image.mass", "image.kl", "image.histogram"),
    *("variants", "plugin", "mode.memory", "mode.building", "mode.side_effects"),
)
"""Not repeated in a second number of dimensions: they take long, or are not about numbers of dimensions."""
_LIGHT = (
    *("rows.alone", "rows.replace_others", "mode.train_eval", "io.float32", "finite.values", "grad.input"),
    *(
        "grad.reach",
        "cont.scan",
        "thm1.injective",
        "structure.places",
        "structure.norm_bound",
        "structure.inverse",
        "structure.volume",
    ),
)
"""In others."""
_MANY = 24
"""With more dimensions of y, the others are smaller ones."""
_STRENGTHS = (0.5, 0.0, 0.07, 0.25, 0.9)
_NEAR_THE_ENDS = (1e-6, 1e-4, 1e-3, 0.01, 0.99, 0.999)
"""Where schedules begin and end."""
_AT_HALF = (
    *("io.shape", "io.dtype", "io.device", "io.float64", "io.float32", "rows", "finite.values"),
    *("mode.repeat", "mode.train_eval", "mode.state", "mode.grad_mode", "mode.side_effects", "mode.settings"),
    *("finite.gradients", "cont.scan", "cont.centres", "grad.input", "grad.paths", "deploy.state"),
    *("structure.protocols", "structure.inverse", "structure.volume", "structure.calls", "structure.assigned"),
    *("structure.norm_bound", "structure.proportions", "structure.regularisers", "thm1.injective", "image.histogram"),
)
_STEP = 1e-3
"""A jump of z in the strength counts from this share of z on: strengths may be kept in float32."""
_BETWEEN = (
    *("io.dtype", "rows.replace_others", "rows.alone", "mode.train_eval", "finite.values"),
    *("structure.regularisers", "cont.scan"),
)
_TRAININGS = 3
_TRAINED = (
    *("thm1.injective", "structure.places", "structure.norm_bound", "structure.inverse", "structure.volume"),
    "structure.proportions",
)


@check("variants.dims", "contract: a mapping for each number of dimensions in which it can be built")
def more_dims(candidate: Candidate) -> None:
    """In other numbers of dimensions it passes most of the other checks as well, with fewer draws."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, with its number of dimensions")
    thorough = [one.id for one in all_checks() if one.id not in _NOT_AGAIN and one.group not in _NOT_AGAIN]
    for number, other in enumerate(_others(candidate)):
        check_variant(other, _LIGHT if number else thorough, f"in {other.y_dim} dimensions of y")


def _others(candidate: Candidate) -> Iterator[Candidate]:
    """The mapping in the next three larger numbers of dimensions that there are, and in one of 8 or more."""
    d = candidate.y_dim
    if d > _MANY:
        ranges = [[*range(2, 9)], [*range(12, 20)]]
    else:
        near = [d + 1, d + 2, d + 3, d + 4, 2 * d, d - 1, d - 2]
        ranges = [near, near[1:4], near[2:4], [n for n in (8, 9, 10, 12, 16, 32) if n > d + 1]]
    tried: set[int] = {d}
    for sizes in ranges:
        for y_dim in sizes:
            if y_dim in tried or y_dim < 1:
                continue
            tried.add(y_dim)
            try:
                other = candidate.in_dims(y_dim)
            except (SpecError, PluginError):
                continue  # there is none, and io.dims says whether its author says so
            yield other
            break


@check("variants.trained", "contract: a mapping whatever values training gives its parameters", level="standard")
def trained(candidate: Candidate) -> None:
    """With parameters changed by about their own size, as after a long training, it passes some checks as well."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, whose parameters are not changed")
    if not any(parameter.requires_grad for parameter in candidate.fresh().parameters()):
        raise NotApplicable("it has no parameters to be learned")
    for number in range(_TRAININGS if candidate.y_dim <= _MANY else 1):
        about = "with parameters changed by about their own size"
        other = candidate.trained(number)
        y = other.draw_wide("after training", 200)
        if not bool(torch.isfinite(other.call(other.mapping(), y, doing=about)).all()):
            raise Broken(
                f"{about} z is not finite for draws of the prior",
                likely="a logarithm, a root or a power of a parameter that may become negative; learn its logarithm",
            )
        check_variant(other, _TRAINED if candidate.y_dim <= _MANY else _TRAINED[1:], about)


@check("structure.strength", "capability: Annealed")
def strength(candidate: Candidate) -> None:
    """At every strength it is a valid mapping; 1 is the mapping of the spec, and the state includes the strength."""
    mapping = candidate.mapping()
    if not annealed(mapping):
        raise NotApplicable("it is not Annealed")
    y = candidate.draw("strength", 40)
    whole = candidate.call(mapping, y)
    for value in (0.0, 0.3, *_NEAR_THE_ENDS, 1.0):
        z = _at(candidate, mapping, value, y)
        if not bool(torch.isfinite(z).all()):
            raise Broken(f"z is not finite at strength {value}")
    if (worst := beyond_rounding(z, whole, mapping, y, candidate.generator("allowance"))) is not None:
        raise Broken(f"after set_strength(1) z differs from that of the spec's mapping by {worst[0]:.3g}")
    downwards = {value: _at(candidate, mapping, value, y) for value in (0.7, 0.3, 0.0)}
    for value, z in reversed(downwards.items()):
        if worst_difference(_at(candidate, mapping, value, y), z, same_kernel(z)) is not None:
            raise Broken(
                f"at strength {value} z is another after a smaller strength than after a larger one",
                likely="a strength that is added up, multiplied, or never falls",
            )
    if candidate.given is None:
        for value in (0.5, 0.0):
            mapping = candidate.at_strength(value).mapping()
            other = candidate.mapping()
            as_part_loaded(other, mapping.state_dict())
            half = candidate.call(mapping, y)
            if worst_difference(candidate.call(other, y), half, same_kernel(half)) is not None:
                raise Broken("load_state_dict does not restore the strength", likely="keep it in a buffer")
        first, second = candidate.fresh().to(y), candidate.fresh().to(y)
        z = candidate.call(first, y)
        _at(candidate, second, 0.4, y)
        if worst_difference(candidate.call(first, y), z, same_kernel(z)) is not None:
            raise Broken(
                "set_strength of one instance changes another", likely="an attribute of the class or the module"
            )
    _same_weights(candidate)
    drawn = float(torch.rand((), generator=candidate.generator("strengths")))
    few = candidate.y_dim <= _MANY  # in many, a scan at each strength takes long, and so do derivatives
    for value in (*_STRENGTHS, round(drawn, 3)):
        ids = (_AT_HALF if value == 0.5 else _BETWEEN) if few else _BETWEEN[:-1]
        check_variant(candidate.at_strength(value), ids, f"at strength {value:g}")
    if torch.equal(_at(candidate, mapping, 0.0, y), whole.detach()) and not _losses(candidate, mapping):
        raise Unsupported(
            "set_strength changes nothing: z is the same at strength 0 and 1", likely="a strength that is never used"
        )


def _same_weights(candidate: Candidate) -> None:
    """A run reads the weights of auxiliary losses once, when the model is made."""
    weights = [
        dict(part.regularisers)
        for strength in (1.0, 0.5)
        if isinstance(part := bare(candidate.at_strength(strength).mapping()), Regularised)
    ]
    if len(weights) == 2 and weights[0] != weights[1]:
        raise Broken(
            f"regularisers is {weights[0]} at strength 1 and {weights[1]} at strength 0.5, but a run reads the weights "
            "once",
            likely="a factor that belongs into the term, or into a schedule of that name",
        )


def _losses(candidate: Candidate, mapping: torch.nn.Module) -> bool:
    """Whether the strength changes an auxiliary loss."""
    part, y = bare(mapping), candidate.draw("strength", 40)
    if not isinstance(part, Regularised):
        return False
    found = []
    for value in (0.0, 1.0):
        _at(candidate, mapping, value, y)
        found.append({name: float(term) for name, term in part.map_with_regularisers(y)[1].items()})
    return found[0] != found[1]


def _at(candidate: Candidate, mapping: torch.nn.Module, strength: float, y: torch.Tensor) -> torch.Tensor:
    for part in annealed(mapping):
        part.set_strength(strength)
    return candidate.call(mapping, y, doing=f"at strength {strength:g}").detach()


@check("structure.gradual", "capability: Annealed, by which a bias is turned on gradually")
def gradual(candidate: Candidate) -> None:
    """While the strength grows from 0 to 1, z moves without jumps."""
    mapping = candidate.mapping()
    if not annealed(mapping):
        raise NotApplicable("it is not Annealed")
    y = candidate.draw("gradual", 12)

    def g(strengths: torch.Tensor) -> torch.Tensor:
        return torch.stack([_at(candidate, mapping, float(value), y).flatten() for value in strengths[:, 0]])

    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    (found,) = scan(g, ends[:1], ends[1:], windows=2, resolution=_STEP)
    if found.kind == "jump":
        for beside in (-_STEP, _STEP):  # on either side it may be another mapping, which nothing has looked at
            value = min(max(float(found.where) + beside, 0.0), 1.0)
            check_variant(candidate.at_strength(value), _BETWEEN, f"at strength {value:.4g}")
        raise Unsupported(
            f"at strength {float(found.where):.4g} z jumps by {found.size:.3g}: a run does not turn the bias on "
            "gradually there",
            likely="a threshold, or a number of parts that is rounded",
            strength=float(found.where),
        )
