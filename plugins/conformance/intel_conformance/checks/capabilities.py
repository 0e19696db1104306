"""Do the capabilities of the mapping (an inverse, levels, losses, a strength, a diagnosis) do what they promise?

The checks belong to the group ``structure``; a capability that the mapping does not have is not checked.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import allowance, same_kernel, worst_difference
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported
from intel_conformance.places import away_from
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Annealed, Diagnosable, Invertible, Levelled, Regularised

_EPS = torch.finfo(torch.float64).eps


@check("structure.inverse", "capability: Invertible")
def inverse(candidate: Candidate) -> None:
    """The inverse of g(y) is y up to rounding, and g maps it to g(y) again."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if not candidate.declared.injective:
        raise Broken("it has an inverse, but declares injective=False", likely="Properties(injective=True) is missing")
    y = away_from(candidate.declared, candidate.draw_wide("inverse", 400), 0.02)[:100]
    if not len(y):
        raise Skipped("every draw is close to a declared seam or centre")
    z = candidate.call(mapping, y)
    back = part.inverse(z.detach())
    if tuple(back.shape) != tuple(y.shape):
        raise Broken(
            f"inverse(z) has shape {tuple(back.shape)} for z of shape {tuple(z.shape)}, expected {tuple(y.shape)}"
        )
    if not bool(torch.isfinite(back).all()):
        raise Broken("inverse(g(y)) is not finite", likely="a division by a value that is 0 at the border of the image")
    again = candidate.call(mapping, back)
    smallest = torch.linalg.svdvals(jacobian(mapping, y))[:, -1]
    # Rounding of z moves y by more where g contracts; and constants that were rounded to float32 are off by 1e-7.
    allowed = 1e-5 * (1 + y.abs().amax(-1)) + 1e5 * _EPS * z.abs().amax(-1) / smallest.clamp(min=1e-300)
    off = (back - y).abs().amax(-1)
    returned = (again - z).abs().amax(-1) > 1e-6 * z.abs().amax()
    wrong = (off > allowed) | returned.detach()
    if int(wrong.sum()) >= 2:
        row = int((off - allowed).argmax())
        raise Broken(
            f"inverse(g(y)) is off by {float(off[row]):.3g} at y = {[round(v, 4) for v in y[row].tolist()[:6]]} "
            f"({int(wrong.sum())} of {len(y)} rows)",
            likely="the inverse for other settings, for another branch, or with too few iterations",
            off=float(off[row]),
        )


@check("structure.volume", "capability: Invertible")
def volume(candidate: Candidate) -> None:
    """log_abs_det_jacobian(y) agrees with the determinant by autograd."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if candidate.z_dim != candidate.y_dim:
        raise NotApplicable("y and z have different numbers of dimensions")
    y = away_from(candidate.declared, candidate.draw_wide("volume", 400), 0.02)[:60]
    if not len(y):
        raise Skipped("every draw is close to a declared seam or centre")
    claimed = part.log_abs_det_jacobian(y)
    if tuple(claimed.shape) != (len(y),):
        raise Broken(f"log_abs_det_jacobian(y) has shape {tuple(claimed.shape)}, expected {(len(y),)}")
    matrix = jacobian(mapping, y)
    values = torch.linalg.svdvals(matrix)
    expected = values.log().sum(-1)
    # The determinant of nearly parallel columns is lost in rounding.
    readable = values[:, -1] > 1e5 * _EPS * values[:, 0]
    if not bool(readable.any()):
        raise Skipped("g contracts so much that its determinant is lost in rounding")
    error = 1e-6 * (1 + expected.abs()) + 10 * _EPS * values[:, 0] / values[:, -1].clamp(min=1e-300)
    wrong = readable & ~((claimed - expected).abs() <= error)
    if int(wrong.sum()) >= 2:
        row = int(wrong.int().argmax())
        raise Broken(
            f"log_abs_det_jacobian is {float(claimed[row]):.6g}, the determinant by autograd gives "
            f"{float(expected[row]):.6g} ({int(wrong.sum())} of {len(y)} rows)",
            likely="a missing term of the sum, a wrong sign, or log instead of log|.|",
        )


@check("structure.levels", "capability: Levelled")
def levels(candidate: Candidate) -> None:
    """Each dimension belongs to one level, and no level of z depends on a lower level of y."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Levelled):
        raise NotApplicable("it is not Levelled")
    found = sorted(d for level in part.levels for d in level)
    if found != list(range(candidate.y_dim)) or not all(part.levels):
        raise Broken(f"levels are {part.levels}, expected each of {candidate.y_dim} dimensions in exactly one of them")
    if candidate.z_dim != candidate.y_dim:
        raise Broken(
            f"levels need as many dimensions of z as of y, but there are {candidate.z_dim} and {candidate.y_dim}"
        )
    slopes = jacobian(mapping, candidate.draw_wide("levels", 2000)).abs().amax(0)
    for i, upper in enumerate(part.levels):
        for j, lower in enumerate(part.levels[i + 1 :], i + 1):
            if bool(slopes[list(upper)][:, list(lower)].any()):
                raise Broken(
                    f"level {i} of z depends on level {j} of y, which is below it", likely="levels in reverse order"
                )


@check("structure.regularisers", "capability: Regularised")
def regularisers(candidate: Candidate) -> None:
    """Auxiliary losses are finite scalars with weights of 0 or more, and come with the same z as a plain call."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Regularised) or not part.regularisers:
        raise NotApplicable("it has no auxiliary losses")
    weights = dict(part.regularisers)
    bad = [name for name, weight in weights.items() if not 0 <= weight < math.inf]
    if bad:
        raise Broken(f"the weight of {bad[0]!r} is {weights[bad[0]]}, expected 0 or more")
    for n in (1, 40):
        y = candidate.draw("losses", n)
        z = candidate.call(mapping, y)
        given, terms = part.map_with_regularisers(y)
        if (worst := worst_difference(given, z, same_kernel(z))) is not None:
            raise Broken(
                f"map_with_regularisers gives a z that differs from that of a call by {worst[0]:.3g}: training and "
                "generation would use two mappings",
                likely="z is computed in two places, in different ways",
                moved=worst[0],
            )
        if set(terms) != set(weights):
            raise Broken(f"map_with_regularisers gives {sorted(terms)}, but regularisers names {sorted(weights)}")
        for name, term in terms.items():
            if weights[name] > 0 and not term.requires_grad and any(p.requires_grad for p in mapping.parameters()):
                raise Unsupported(
                    f"the auxiliary loss {name!r} has no gradient with respect to the parameters", likely="detach()"
                )
            if term.shape != () or not bool(torch.isfinite(term)):
                raise Broken(f"the auxiliary loss {name!r} of {n} rows is {term!r:.80}, expected a finite scalar")


@check("structure.strength", "capability: Annealed")
def strength(candidate: Candidate) -> None:
    """Z is finite at every strength, strength 1 is the mapping of the spec, and the state includes the strength."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Annealed):
        raise NotApplicable("it is not Annealed")
    y = candidate.draw("strength", 40)
    whole = candidate.call(mapping, y)
    for value in (0.0, 0.3, 1.0):
        part.set_strength(value)
        z = candidate.call(mapping, y, doing=f"at strength {value}")
        if not bool(torch.isfinite(z).all()):
            raise Broken(f"z is not finite at strength {value}")
    if (
        worst := worst_difference(z, whole, allowance(mapping, y, whole, candidate.generator("allowance")))
    ) is not None:
        raise Broken(f"after set_strength(1) z differs from that of the spec's mapping by {worst[0]:.3g}")
    if candidate.given is None:
        part.set_strength(0.5)
        other = candidate.mapping()
        other.load_state_dict(mapping.state_dict())
        half = candidate.call(mapping, y)
        if worst_difference(candidate.call(other, y), half, same_kernel(half)) is not None:
            raise Broken("load_state_dict does not restore the strength", likely="keep it in a buffer")


@check("structure.diagnose", "capability: Diagnosable")
def diagnose(candidate: Candidate) -> None:
    """A diagnosis, with labels and without, can be written as JSON."""
    part = bare(candidate.mapping(torch.float32))
    if not isinstance(part, Diagnosable):
        raise NotApplicable("it is not Diagnosable")
    y = candidate.draw("diagnose", 60).float()
    labels = torch.arange(60, device=y.device) % 3
    for given in (None, labels):
        try:
            found: Any = part.diagnose(y, given)
            json.dumps(found)
        except Exception as error:
            about = "with labels" if given is not None else "without labels"
            raise Broken(f"diagnose {about} raised {type(error).__name__}: {str(error)[:160]}") from error
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise Broken(f"diagnose gives {type(found).__name__}, expected a dict of numbers by name")
