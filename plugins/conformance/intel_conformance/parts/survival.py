"""Are values and gradients finite and right, and does it survive saving, copying, pickling and stacking?"""

from __future__ import annotations

import copy
import io as streams
import pickle

import torch
from torch import Tensor

from intel_conformance.kinds import Kind, check
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported, first_line
from intel_conformance.parts.calls import compare
from intel_conformance.parts.candidates import Candidate
from intel_conformance.parts.modules import Wrapped

_FINITE = "contract: finite values and gradients"
_GRADIENTS = "contract: gradients"
_MODULE = "contract: a torch module, whose state is its parameters and buffers"
_STACK = "transforms: replicates are stacked by torch.func.vmap"
_ALL: tuple[Kind, ...] = ("prior", "posterior", "likelihood", "network")


@check("finite.values", _FINITE, kinds=_ALL)
def values(candidate: Candidate) -> None:
    """Values are finite at 0, on axes and far out: y and x to 3,000, noise to 9, features to 20, outputs to 100."""
    for dtype in candidate.dtypes:
        module = candidate.module(dtype)
        for function in candidate.functions:
            rows = candidate.extremes(function).to(dtype)
            found = candidate.call(module, function, rows)
            bad = ~found.isfinite().reshape(len(rows), -1).all(-1)
            if function == "log_responsibilities":  # a component may have no share at all
                bad = found.isnan().any(-1)
            if bool(bad.any()):
                row = rows[int(bad.nonzero()[0])]
                raise Broken(
                    f"{function} is not finite in {dtype}, for instance at {_shown(row)}",
                    likely="log of a density that has become 0: use logsumexp; exp of a large number",
                )


@check("finite.gradients", _FINITE, kinds=_ALL)
def gradients(candidate: Candidate) -> None:
    """Gradients are finite at the same places, with respect to rows and to parameters."""
    for dtype in candidate.dtypes:
        module = candidate.module(dtype)
        for function in candidate.functions:
            if function == "log_responsibilities":
                continue
            rows = candidate.extremes(function).to(dtype).requires_grad_()
            found = candidate.call(module, function, rows)
            if not found.requires_grad:
                continue
            wanted = [rows, *(p for p in module.parameters() if p.requires_grad)]
            parts = torch.autograd.grad(found.sum(), wanted, allow_unused=True)
            for index, part in enumerate(parts):
                if part is not None and not bool(part.isfinite().all()):
                    what = "with respect to its parameters" if index else "with respect to its input"
                    bad = (~part.isfinite()).reshape(len(part), -1).any(-1) if part.dim() else part.new_ones(1)
                    where = f", for instance at {_shown(rows[int(bad.nonzero()[0])])}" if not index else ""
                    raise Broken(
                        f"the gradient of {function} {what} is not finite in {dtype}{where}",
                        likely="torch.where whose unused branch is infinite; sqrt, norm or log at 0",
                    )


def _shown(row: Tensor) -> str:
    return str([float(f"{value:.3g}") for value in row.detach().flatten()[:4].tolist()]) + (
        "…" if row.numel() > 4 else ""
    )


@check("grad.input", _GRADIENTS, kinds=_ALL)
def of_input(candidate: Candidate) -> None:
    """The gradient with respect to y or features agrees with finite differences, in float64."""
    module = candidate.module()
    for function in candidate.functions:
        if function in ("draw", "log_responsibilities"):
            continue
        rows = candidate.rows(function, "differences", 24)
        direction = candidate.direction(function, 24)
        leaf = rows.clone().requires_grad_()
        out = candidate.call(module, function, leaf)
        weight = candidate.noise(f"weights {function}", *out.shape)
        (found,) = torch.autograd.grad((out * weight).sum(), leaf) if out.requires_grad else (torch.zeros_like(rows),)
        along = (found * direction).sum(-1)
        h = 1e-5
        ahead, behind = (candidate.call(module, function, rows + s * h * direction).detach() for s in (1, -1))
        expected = ((ahead - behind) * weight).reshape(24, -1).sum(-1) / (2 * h)
        _agree(along, expected, f"the gradient of {function}")


def _agree(found: Tensor, expected: Tensor, what: str) -> None:
    """A kink or a jump next to a row may spoil the difference of a few."""
    off = (found - expected).abs() > 1e-4 * (1 + expected.abs())
    if int(off.sum()) > max(1, len(found) // 12):
        row = int(off.nonzero()[0])
        raise Broken(
            f"{what} is {float(found[row]):.6g} in row {row}, finite differences say {float(expected[row]):.6g}",
            likely="detach(), .data, no_grad or a gradient of one's own",
        )


@check("grad.parameters", _GRADIENTS, kinds=_ALL)
def of_parameters(candidate: Candidate) -> None:
    """Every learned parameter gets a gradient other than 0, and it agrees with finite differences."""
    module = candidate.module()
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not learned:
        raise NotApplicable(f"the {candidate.kind} has no learned parameters")
    reached, other = dict.fromkeys(learned, False), copy.deepcopy(module)
    for function in candidate.losses:
        rows = candidate.rows(function, "parameters", 32)
        with torch.no_grad():
            if candidate.kind == "prior":
                rows = torch.cat([rows, candidate.call(module, "draw", candidate.rows("draw", "parameters", 32))])
        out = candidate.call(module, function, rows)
        weight = candidate.noise(f"weights {function}", *out.shape)
        if not out.requires_grad:
            continue
        parts = torch.autograd.grad((out * weight).sum(), list(learned.values()), allow_unused=True)
        generator = candidate.generator("steps")
        gradients: list[Tensor | None] = list(parts)
        for (name, parameter), part in zip(learned.items(), gradients, strict=True):
            if part is None:  # it may be reached by the other function
                continue
            reached[name] |= bool((part != 0).any())
            step = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
            sums = []
            moving, before = dict(other.named_parameters())[name], parameter.detach().clone()
            with torch.no_grad():
                for sign in (1, -1):
                    moving.copy_(before + sign * 1e-6 * step)
                    sums.append(float((candidate.call(other, function, rows) * weight).sum()))
                moving.copy_(before)
            expected, found = (sums[0] - sums[1]) / 2e-6, float((part * step).sum())
            # Splines and layers have kinks at some of the rows.
            if abs(found - expected) > 2e-2 * (1 + abs(expected)) + 5e-3 * float((part * step).norm()):
                raise Broken(
                    f"the gradient of {function} with respect to {name} is {found:.6g} along a random direction, "
                    f"finite differences say {expected:.6g}",
                    likely="detach(), .data, or a value that is cached",
                )
    missing = [name for name, found in reached.items() if not found]
    if missing:
        raise Broken(
            f"parameter {missing[0]} never gets a gradient", likely="detach(), .data, or a parameter that is not used"
        )


@check("grad.features", _GRADIENTS, kinds=("posterior", "likelihood"))
def of_features(candidate: Candidate) -> None:
    """Every feature that a network gives makes a difference: it gets a gradient other than 0."""
    module = candidate.module()
    width = module.width("mean")
    reached = torch.zeros(width, dtype=torch.bool, device=candidate.device)
    for function in candidate.losses:
        rows = candidate.rows(function, "reach", 16).requires_grad_()
        out = candidate.call(module, function, rows)
        if out.requires_grad:
            (part,) = torch.autograd.grad((out * candidate.noise(f"reach {function}", *out.shape)).sum(), rows)
            reached |= (part[:, :width] != 0).any(0)
    if not bool(reached.all()):
        missing = (~reached).nonzero().flatten().tolist()
        # A likelihood of several kinds of values may leave outputs unused for some of them.
        outcome = Unsupported if candidate.kind == "likelihood" else Broken
        raise outcome(
            f"{len(missing)} of {width} features make no difference, the first of them feature {missing[0]}",
            likely="detach(), or a number of features that is larger than what is used",
        )


# --- state and transforms ----------------------------------------------------------------------------------------


def _same(candidate: Candidate, other: Wrapped, module: Wrapped, what: str, likely: str) -> None:
    for function in candidate.functions:
        rows = candidate.rows(function, "same", 20)
        compare(
            candidate.call(other, function, rows), candidate.call(module, function, rows), f"{function} {what}", likely
        )


@check("deploy.state", _MODULE, kinds=_ALL)
def saved(candidate: Candidate) -> None:
    """Its state, saved with weights_only and loaded, makes another instance the same."""
    if candidate.given is not None:
        raise NotApplicable(f"the {candidate.kind} was given as an object, so that no second one can be built")
    module, other = candidate.fresh().double(), candidate.fresh("another").double()
    file = streams.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    try:
        other.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:
        said = str(error).strip().replace("\n", " ")[:200]
        raise Broken(f"loading its state raised {type(error).__name__}: {said}") from error
    _same(candidate, other, module, "after loading the state", "a random tensor that is neither parameter nor buffer")


@check("deploy.copy", _MODULE, kinds=_ALL)
def copied(candidate: Candidate) -> None:
    """A deep copy is the same, and changing it does not change the original."""
    module = candidate.fresh().double()
    try:
        other = copy.deepcopy(module)
    except Exception as error:
        raise Broken(f"copy.deepcopy raised {type(error).__name__}: {str(error)[:160]}") from error
    kept = {f: candidate.call(module, f, candidate.rows(f, "copy", 9)).detach().clone() for f in candidate.functions}
    _same(candidate, other, module, "of a deep copy", "__deepcopy__, or state outside the module")
    with torch.no_grad():
        for value in [*other.parameters(), *other.buffers()]:
            if value.is_floating_point():
                value.add_(0.5)
    for function, before in kept.items():
        now = candidate.call(module, function, candidate.rows(function, "copy", 9)).detach()
        compare(now, before, f"{function} after the copy was changed", "tensors that copies share")


@check("deploy.pickle", _MODULE, kinds=_ALL)
def pickled(candidate: Candidate) -> None:
    """After pickling and unpickling, as for other processes, it is the same."""
    module = candidate.fresh().double()
    try:
        other = pickle.loads(pickle.dumps(module))
    except Exception as error:
        raise Unsupported(f"cannot be pickled: {type(error).__name__}: {str(error)[:160]}") from error
    _same(candidate, other, module, "after pickling", "__getstate__, or state outside the module")


@check("deploy.vmap", _STACK, kinds=_ALL)
def stacked(candidate: Candidate) -> None:
    """torch.func.vmap gives the same results over single rows and over the parameters of two replicates."""
    first = candidate.fresh().double()
    second = candidate.fresh("another").double() if candidate.given is None else copy.deepcopy(first)
    for function in candidate.functions:
        rows = candidate.rows(function, "vmap", 12)
        if candidate.kind == "prior":  # any leading shape, none included
            found = _mapped(candidate, lambda row, f=function: first(f, row), rows, function, "rows")
        else:
            found = _mapped(candidate, lambda row, f=function: first(f, row[None])[0], rows, function, "rows")
        compare(found, candidate.call(first, function, rows), f"{function} under vmap over rows", "a branch on values")
        both = torch.stack([rows, 0.5 * rows])
        expected = torch.stack([candidate.call(m, function, r) for m, r in zip((first, second), both, strict=True)])
        parameters, buffers = torch.func.stack_module_state([first, second])

        def one(p: dict[str, Tensor], b: dict[str, Tensor], r: Tensor, f: str = function) -> Tensor:
            found: Tensor = torch.func.functional_call(first, (p, b), (f, r))
            return found

        try:
            together = torch.func.vmap(one)(parameters, buffers, both)
        except Exception as error:
            said = first_line(error, 160)
            raise Unsupported(
                f"replicates of {function} cannot be stacked: {type(error).__name__}: {said}",
                likely=".item(), a branch on values, an operation in place; replicates then run one after another",
            ) from error
        compare(together, expected, f"{function} of stacked replicates", "a value that is cached outside the state")


def _mapped(candidate: Candidate, call: object, rows: Tensor, function: str, over: str) -> Tensor:
    try:
        found: Tensor = torch.func.vmap(call)(rows)  # type: ignore[arg-type]
    except Exception as error:
        said = first_line(error, 160)
        raise Unsupported(
            f"{function} does not work under vmap over {over}: {type(error).__name__}: {said}",
            likely=".item(), a branch on values, an operation in place",
        ) from error
    return found
