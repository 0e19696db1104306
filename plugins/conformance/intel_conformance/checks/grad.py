"""Are the gradients correct, and do they reach every parameter? Clause 4 of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.jacobians import Slopes, slopes
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.places import usual_rows
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Invertible, Regularised

_CLAUSE = "contract, clause 4: sub-differentiable in y and in the parameters"
_BATCHES = 4
"""Of gradients that are compared with one another."""


def _rows(candidate: Candidate, name: str, n: int) -> Tensor:
    """Draws that are not close to a declared seam or centre."""
    return usual_rows(candidate.declared, candidate.draw_wide(name, 4 * n))[:n]


def _learned(mapping: nn.Module) -> dict[str, nn.Parameter]:
    found = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
    if not found:
        raise NotApplicable("it has no parameters to be learned")
    return found


def _total(mapping: nn.Module, y: Tensor, weight: Tensor) -> Tensor:
    """A weighted sum of z plus the auxiliary losses, if there are any: everything through which a gradient can flow."""
    inner = bare(mapping)
    if not isinstance(inner, Regularised):
        total: Tensor = (mapping(y) * weight).sum()
        return total
    z, terms = inner.map_with_regularisers(y)
    return (z * weight).sum() + sum((term for term in terms.values()), torch.zeros_like(weight.sum()))


def _of_batch(
    candidate: Candidate, mapping: nn.Module, number: int, learned: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The gradients with respect to parameters of some loss over 100 draws."""
    y = candidate.draw(f"batch {number}", 100)
    generator = candidate.generator(f"w {number}")
    weight = torch.randn(100, candidate.z_dim, generator=generator, dtype=torch.float64).to(y)
    return _gradients(_total(mapping, y, weight), learned)


@check("grad.input", _CLAUSE)
def input(candidate: Candidate) -> None:
    """The gradient with respect to y agrees with finite differences, in float64."""
    mapping = candidate.mapping()
    y = _rows(candidate, "points", candidate.size(32, 64, 256))
    settled = 0
    for trial in range(3):
        direction = candidate.draw(f"direction {trial}", len(y))
        weight = torch.randn(candidate.z_dim, generator=candidate.generator(f"weight {trial}"), dtype=torch.float64).to(
            y
        )
        at = y.clone().requires_grad_()
        z = candidate.call(mapping, at)
        if not z.requires_grad:
            raise Broken("z has no gradient with respect to y", likely="detach(), .data, torch.no_grad(), numpy")
        (gradient,) = torch.autograd.grad((z * weight).sum(), at)
        with torch.no_grad():
            found = slopes(lambda t, d=direction, w=weight: mapping(y + t * d) @ w)  # type: ignore[misc]
        claimed = (gradient * direction).sum(-1)
        wrong = found.disagree(claimed)
        settled += int(found.settled.sum())
        # A single row may be an undeclared kink that lies within the step of the differences.
        if int(wrong.sum()) >= 2:
            row = int(wrong.int().argmax())
            point = ", ".join(f"{v:.3g}" for v in y[row].tolist()[:6])
            raise Broken(
                f"autograd gives {float(claimed[row]):.6g}, finite differences give {float(found.value[row]):.6g} at "
                f"y = ({point}); the two disagree in {int(wrong.sum())} of {len(y)} rows",
                likely="detach() of a part, a custom backward, or torch.no_grad() around a part of forward",
                y=y[row].tolist(),
            )
    if settled < len(y) // 4:
        raise Skipped("g is so rough that finite differences do not converge at most draws")


@check("grad.parameters", _CLAUSE)
def parameters(candidate: Candidate) -> None:
    """The gradient with respect to each parameter agrees with finite differences, in float64."""
    mapping = candidate.mapping()
    learned = _learned(mapping)
    y = _rows(candidate, "points", 12)
    weight = torch.randn(candidate.z_dim, generator=candidate.generator("weight"), dtype=torch.float64).to(y)
    total = candidate.call(mapping, y) @ weight
    by_loss, trained = _as_trained(mapping, y, weight, learned)
    by_row = [_gradients(row, learned) for row in total]  # all of them before any parameter is moved in place
    for name, parameter in learned.items():
        generator = candidate.generator(f"direction {name}")
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
        direction = direction / torch.linalg.vector_norm(direction).clamp(min=1e-300) * parameter.numel() ** 0.5
        claimed = torch.stack([(gradients[name] * direction).sum() for gradients in by_row])
        if name in by_loss and not bool(claimed.any()):
            continue  # held constant in g on purpose, and learned through an auxiliary loss
        found = _moved(parameter, direction, lambda: mapping(y) @ weight)
        wrong = found.disagree(claimed)
        if int(wrong.sum()) >= 2:
            row = int(wrong.int().argmax())
            raise Broken(
                f"the gradient of {name} is {float(claimed[row]):.6g} by autograd and {float(found.value[row]):.6g} by "
                f"finite differences; the two disagree in {int(wrong.sum())} of {len(y)} rows",
                likely="parameter.data, .item() or .detach() in forward, or a value that is computed once in __init__",
                parameter=name,
            )
    for name, of_run in trained.items():
        gradient = torch.stack([gradients[name] for gradients in by_row]).sum(0)
        off = float((of_run - gradient).abs().max())
        if off <= 1e-6 * float(gradient.abs().max()) + 1e-9:
            continue
        if name in by_loss and not bool(of_run.any()):
            continue  # held constant where it trains, on purpose, and learned through an auxiliary loss
        raise Broken(
            f"the gradient of {name} through the z of map_with_regularisers, by which a run trains, differs from that "
            f"of a call, {float(gradient.abs().max()):.3g}, by {off:.3g}",
            likely="z is computed in two places, in one of them with detach()",
            parameter=name,
        )


def _as_trained(
    mapping: nn.Module, y: Tensor, weight: Tensor, learned: dict[str, nn.Parameter]
) -> tuple[set[str], dict[str, Tensor]]:
    """How a run trains a mapping with auxiliary losses: the parameters that these teach, and all gradients through z.

    A run takes both from map_with_regularisers, and not from a call. Nothing of a mapping without losses.
    """
    inner = bare(mapping)
    if not isinstance(inner, Regularised):
        return set(), {}
    z, terms = inner.map_with_regularisers(y)
    total = sum((term for term in terms.values()), y.new_zeros(()))
    by_loss = {name for name, gradient in _gradients(total, learned).items() if gradient.any()}
    return by_loss, _gradients((z @ weight).sum(), learned)


def _gradients(total: Tensor, learned: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The gradient of a scalar with respect to each parameter; zeros if it does not depend on the parameter."""
    if not total.requires_grad:
        return {name: torch.zeros_like(parameter) for name, parameter in learned.items()}
    found = torch.autograd.grad(total, list(learned.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(learned.items(), found, strict=True)
    }


@check("grad.reach", _CLAUSE)
def reach(candidate: Candidate) -> None:
    """Every parameter gets a gradient other than zero, through z or through an auxiliary loss."""
    mapping = candidate.mapping()
    if candidate.given is not None:
        candidate.move(mapping)  # an object may come with a last layer of zeros, which stops gradients
    _require_registered(mapping, candidate.draw("graph", 5).requires_grad_())
    learned = _learned(mapping)
    missing = set(learned)
    for batch in range(8):
        found = _of_batch(candidate, mapping, batch, learned)
        missing -= {name for name, gradient in found.items() if bool(gradient.any())}
        if not missing:
            return
    raise Broken(
        f"{', '.join(sorted(missing)[:4])} got no gradient in 8 batches of 100",
        likely="detach(), .data or .item() in forward, a parameter that is never used, a unit that is never active",
        parameters=sorted(missing),
    )


def _require_registered(mapping: nn.Module, y: Tensor) -> None:
    """Gradients flow into y and registered parameters only: nothing else would be trained, moved or saved."""
    z = mapping(y)
    known = {id(p) for p in mapping.parameters()} | {id(y)}
    waiting, seen = [z.grad_fn], set()
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            raise Broken(
                f"a tensor of shape {tuple(leaf.shape)} that requires a gradient is not a registered parameter: it "
                "would not be trained, moved or saved",
                likely="parameters kept in a list or a dict; use nn.ParameterList, nn.ParameterDict or nn.Parameter",
            )
        waiting += [following for following, _ in node.next_functions]


@check("grad.fresh", _CLAUSE)
def fresh(candidate: Candidate) -> None:
    """A parameter that was changed in place, or passed to functional_call, takes effect in the next call."""
    mapping = candidate.mapping()
    learned = _learned(mapping)
    y = candidate.draw("fresh", 100)
    z = candidate.call(mapping, y)
    gradients = _gradients(z.square().sum(), learned)
    for name, parameter in learned.items():
        if not bool(gradients[name].any()):
            continue  # z does not depend on it
        before = parameter.detach().clone()
        noise = torch.randn(before.shape, generator=candidate.generator(f"change {name}"), dtype=torch.float64)
        changed = before + (0.3 * (1 + before.abs()) * noise.to(before))
        ways = {"passed to functional_call": torch.func.functional_call(mapping, {name: changed}, (y,)).detach()}
        with torch.no_grad():
            parameter.copy_(changed)
            ways["changed in place"] = mapping(y)
            parameter.copy_(before)
        for way, found in ways.items():
            if torch.equal(found, z.detach()):
                raise Broken(
                    f"z stays the same when {name} is {way}",
                    likely="a value that __init__ or an earlier call computed from the parameter, and kept",
                    parameter=name,
                )


@check("grad.symmetry", _CLAUSE)
def symmetry(candidate: Candidate) -> None:
    """Rows of a parameter that begin as one get different gradients: otherwise they stay one row for ever."""
    mapping = candidate.mapping(moved=False)
    several = {
        name: parameter
        for name, parameter in _learned(mapping).items()
        if parameter.dim() > 1 and len(parameter) > 1 and bool((parameter == parameter[:1]).all())
    }
    if not several:
        raise NotApplicable("it has no parameter whose rows begin as one")
    found = [_of_batch(candidate, mapping, batch, several) for batch in range(_BATCHES)]
    for name in several:
        if all(_is_one_row(gradients[name]) for gradients in found):
            raise Broken(
                f"the {len(several[name])} rows of {name} begin as one and get one gradient, so that every optimiser "
                "keeps them one row for ever",
                likely="zeros() or ones() for centres or components; begin at random, or with different places",
                parameter=name,
            )


def _is_one_row(gradient: Tensor) -> bool:
    """Whether all rows of a gradient are one, and not 0, as behind a last layer of zeros, where nothing is known."""
    size = float(gradient.abs().max())
    return size > 0 and float((gradient - gradient[:1]).abs().max()) <= 1e-9 * size


@check("grad.volume", "capability: Invertible")
def volume(candidate: Candidate) -> None:
    """The gradient of log_abs_det_jacobian(y) with respect to each parameter agrees with finite differences."""
    mapping = candidate.mapping()
    part = bare(mapping)
    if not isinstance(part, Invertible) or candidate.y_dim != candidate.z_dim:
        raise NotApplicable("it has no log-volume")
    learned = _learned(mapping)
    y = _rows(candidate, "points", 12)
    by_row = [_gradients(row, learned) for row in part.log_abs_det_jacobian(y)]
    for name, parameter in learned.items():
        generator = candidate.generator(f"direction {name}")
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
        claimed = torch.stack([(gradients[name] * direction).sum() for gradients in by_row])
        found = _moved(parameter, direction, lambda: part.log_abs_det_jacobian(y))
        wrong = found.disagree(claimed)
        if int(wrong.sum()) >= 2:
            row = int(wrong.int().argmax())
            raise Broken(
                f"the gradient of the log-volume with respect to {name} is {float(claimed[row]):.6g} by autograd and "
                f"{float(found.value[row]):.6g} by finite differences; the two disagree in {int(wrong.sum())} of "
                f"{len(y)} rows",
                likely="detach() in log_abs_det_jacobian: a density that is trained by it learns something else",
                parameter=name,
            )


def _moved(parameter: nn.Parameter, direction: Tensor, call: Callable[[], Tensor]) -> Slopes:
    """How a result changes while a parameter is moved in a direction; afterwards it is where it was."""
    before = parameter.detach().clone()

    def at(t: float) -> Tensor:
        with torch.no_grad():
            parameter.copy_(before + t * direction)
            return call()

    found = slopes(at)
    at(0.0)
    return found
