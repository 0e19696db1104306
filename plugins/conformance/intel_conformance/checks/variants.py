"""Is g right in other dimensions too, and while its strength grows? Checks of ``variants`` and ``structure``."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from intel_conformance.candidate import Candidate, annealed
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding, same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable
from intel_conformance.variants import check_variant
from intel_core.errors import PluginError, SpecError

_THOROUGH = (
    *("io.shape", "io.dtype", "io.float64", "io.float32", "io.input", "rows", "mode.repeat", "mode.train_eval"),
    *("mode.grad_mode", "finite.values", "finite.gradients", "cont.scan", "cont.seams", "cont.hoelder", "grad.input"),
    *("grad.parameters", "grad.reach", "grad.paths", "grad.float32", "deploy.state", "thm1.same_map", "thm1.injective"),
    *("structure.protocols", "structure.places", "structure.norm_bound", "structure.clusters"),
    *("structure.proportions", "structure.assigned", "structure.inverse", "structure.volume", "structure.levels"),
    *("structure.calls", "structure.regularisers", "structure.diagnose"),
    *("image.contract", "image.gradients", "image.same_z", "image.scale_free", "image.directions"),
)
"""In a second number of dimensions."""
_LIGHT = (
    *("rows.alone", "rows.replace_others", "mode.train_eval", "io.float32", "finite.values", "grad.input"),
    *("grad.reach", "structure.places", "structure.inverse", "structure.volume"),
)
"""In others."""
_MANY = 24
"""With more dimensions of y, the others are smaller ones."""
_STRENGTHS = (0.5, 0.0, 0.07, 0.25, 0.9)
_AT_HALF = (
    *("io.shape", "io.dtype", "io.device", "io.float64", "io.float32", "rows", "finite.values"),
    *("mode.repeat", "mode.train_eval", "mode.state", "mode.grad_mode", "mode.side_effects", "mode.settings"),
    *("finite.gradients", "cont.scan", "cont.centres", "grad.input", "grad.paths", "deploy.state"),
)
_BETWEEN = ("io.dtype", "rows.replace_others", "rows.alone", "mode.train_eval", "finite.values", "cont.scan")


@check("variants.dims", "contract: a mapping for each number of dimensions in which it can be built")
def more_dims(candidate: Candidate) -> None:
    """In other numbers of dimensions it passes most of the other checks as well, with fewer draws."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, with its number of dimensions")
    for number, other in enumerate(_others(candidate)):
        check_variant(other, _LIGHT if number else _THOROUGH, f"in {other.y_dim} dimensions of y")


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


@check("structure.strength", "capability: Annealed")
def strength(candidate: Candidate) -> None:
    """At every strength it is a valid mapping; 1 is the mapping of the spec, and the state includes the strength."""
    mapping = candidate.mapping()
    if not annealed(mapping):
        raise NotApplicable("it is not Annealed")
    y = candidate.draw("strength", 40)
    whole = candidate.call(mapping, y)
    for value in (0.0, 0.3, 1.0):
        for part in annealed(mapping):
            part.set_strength(value)
        z = candidate.call(mapping, y, doing=f"at strength {value}")
        if not bool(torch.isfinite(z).all()):
            raise Broken(f"z is not finite at strength {value}")
    if (worst := beyond_rounding(z, whole, mapping, y, candidate.generator("allowance"))) is not None:
        raise Broken(f"after set_strength(1) z differs from that of the spec's mapping by {worst[0]:.3g}")
    if candidate.given is None:
        for value in (0.5, 0.0):
            mapping = candidate.at_strength(value).mapping()
            other = candidate.mapping()
            other.load_state_dict(mapping.state_dict())
            half = candidate.call(mapping, y)
            if worst_difference(candidate.call(other, y), half, same_kernel(half)) is not None:
                raise Broken("load_state_dict does not restore the strength", likely="keep it in a buffer")
    drawn = float(torch.rand((), generator=candidate.generator("strengths")))
    for value in (*_STRENGTHS, round(drawn, 3)):
        ids = _AT_HALF if value == 0.5 else _BETWEEN
        check_variant(candidate.at_strength(value), ids, f"at strength {value:g}")
