"""Do the capabilities of the mapping (an inverse, levels, a diagnosis) do what they promise?

The checks belong to the group ``structure``; a capability that the mapping does not have is not checked.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from intel_conformance.accelerator import NoArray, OnAnAccelerator
from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.places import usual_rows
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Diagnosable, Invertible, Levelled

_EPS = torch.finfo(torch.float64).eps
_FAR_OUT = 15.0


@check("structure.inverse", "capability: Invertible")
def inverse(candidate: Candidate) -> None:
    """The inverse of g(y) is y up to rounding, and g maps it to g(y) again."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if not candidate.declared.injective:
        raise Broken("it has an inverse, but declares injective=False", likely="Properties(injective=True) is missing")
    y = candidate.draw_wide("inverse", 400)
    # Posteriors can be anywhere in training, not only where the prior is.
    y[::4] *= _FAR_OUT / torch.linalg.vector_norm(y[::4], dim=-1, keepdim=True).clamp(min=1e-9)
    y = usual_rows(candidate.declared, y)[:200]
    if not len(y):
        raise Skipped("every draw is close to a declared seam or centre")
    z = candidate.call(mapping, y)
    back = part.inverse(z.detach())
    if tuple(back.shape) != tuple(y.shape):
        raise Broken(
            f"inverse(z) has shape {tuple(back.shape)} for z of shape {tuple(z.shape)}, expected {tuple(y.shape)}"
        )
    smallest = torch.linalg.svdvals(jacobian(mapping, y).nan_to_num(0))[:, -1]
    # Where z has rounded to the edge of its range, as tanh(20) to 1, there is no y to go back to.
    within = smallest * y.abs().amax(-1) > 64 * _EPS * z.detach().abs().amax(-1)
    if not bool(torch.isfinite(back[within]).all()):
        raise Broken("inverse(g(y)) is not finite", likely="a division by a value that is 0 at the border of the image")
    y, z, back, smallest = y[within], z[within], back[within], smallest[within]
    if not len(y):
        raise Skipped("g contracts so much that z does not show y in float64")
    again = candidate.call(mapping, back)
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
    """log_abs_det_jacobian(y) is log det(J^T J) / 2 with J by autograd; z may have more dimensions than y."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible):
        raise NotApplicable("it is not Invertible")
    if candidate.z_dim < candidate.y_dim:
        raise NotApplicable("z has fewer dimensions than y")
    y = usual_rows(candidate.declared, candidate.draw_wide("volume", 400))[:60]
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
    smallest = values[:, -1].clamp(min=1e-300)
    error = 1e-6 * (1 + expected.abs()) + 10 * _EPS * values[:, 0] / smallest
    # Where z has rounded to the edge of its range, derivatives that are computed from z have lost their digits.
    error = error + 100 * _EPS * candidate.call(mapping, y).detach().abs().amax(-1) / smallest
    wrong = readable & ~((claimed - expected).abs() <= error)
    if int(wrong.sum()) >= 2:
        row = int(wrong.int().argmax())
        raise Broken(
            f"log_abs_det_jacobian is {float(claimed[row]):.6g}, the Jacobian by autograd gives "
            f"{float(expected[row]):.6g} ({int(wrong.sum())} of {len(y)} rows)",
            likely="a missing term of the sum, a wrong sign, log instead of log|.|, or no half of log det(J^T J)",
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


@check("structure.diagnose", "capability: Diagnosable")
def diagnose(candidate: Candidate) -> None:
    """A diagnosis, with labels and without, of one row and of many, is JSON without NaN, and changes nothing."""
    mapping = candidate.mapping(torch.float32)
    part = bare(mapping)
    if not isinstance(part, Diagnosable):
        raise NotApplicable("it is not Diagnosable")
    state = {name: value.clone() for name, value in mapping.state_dict().items() if isinstance(value, torch.Tensor)}
    random = torch.get_rng_state()
    for n in (60, 1):
        y = candidate.draw("diagnose", n).float()
        for labels in (None, torch.arange(n, device=y.device) % 3, torch.zeros(n, dtype=torch.long, device=y.device)):
            about = f"of {n} row{'s' * (n > 1)} {'without' if labels is None else 'with'} labels"
            kept = y.clone()
            try:
                found: Any = part.diagnose(y, labels)
                json.dumps(found, allow_nan=False)
            except Exception as error:
                said = str(error)[:160]
                raise Broken(f"diagnose {about} raised {type(error).__name__}: {said}") from error
            if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
                raise Broken(f"diagnose gives {type(found).__name__}, expected a dict of numbers by name")
            changed = [name for name, value in state.items() if not torch.equal(value, mapping.state_dict()[name])]
            changed += [] if mapping.training else ["the mode: it is in evaluation mode afterwards"]
            changed += [] if torch.equal(y, kept) else ["y"]
            if not torch.equal(torch.get_rng_state(), random):
                torch.set_rng_state(random)
                changed.append("torch's random state, so that a run goes on with other draws")
            if changed:
                raise Broken(
                    f"diagnose {about} changes {changed[0]}",
                    likely="eval() that is not undone, an operation in place, or a random number",
                )
    _on_an_accelerator(candidate, part)


def _on_an_accelerator(candidate: Candidate, part: Diagnosable) -> None:
    """A run diagnoses where it trains: on an accelerator there are no arrays of numpy."""
    y = candidate.draw("diagnose", 60).float()
    labels = torch.arange(60, device=y.device) % 3
    try:
        part.diagnose(*(value.as_subclass(OnAnAccelerator) for value in (y, labels)))
    except NoArray as error:
        raise Broken(
            f"on an accelerator diagnose raises: {error}", likely="numpy() or np.asarray() of a tensor; .cpu() first"
        ) from error
    except Exception:
        return  # not made for such tensors, which no run gives it
