"""Are gradients right, and do they reach every parameter? Clause 4 of the contract."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intel_conformance.check import check
from intel_conformance.jacobians import slopes
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.places import away_from
from intel_conformance.subject import Subject
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_CLAUSE = "contract, clause 4: sub-differentiable in y and in the parameters"
_MARGIN = 0.02


def _rows(subject: Subject, name: str, n: int) -> Tensor:
    """Draws that are not next to a declared seam."""
    y = away_from(subject.declared, subject.draw_wide(name, 30 * n), _MARGIN)[:n]
    if len(y) < n // 2:
        raise Skipped(f"only {len(y)} of {30 * n} draws are further than {_MARGIN} from the declared seams and centres")
    return y


def _learned(mapping: nn.Module) -> dict[str, nn.Parameter]:
    found = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
    if not found:
        raise NotApplicable("it has no parameters that are learned")
    return found


def _total(mapping: nn.Module, y: Tensor, weight: Tensor) -> Tensor:
    """A weighted sum of z, and the auxiliary losses where there are any: what a gradient can come through."""
    inner = bare(mapping)
    if not isinstance(inner, Regularised):
        total: Tensor = (mapping(y) * weight).sum()
        return total
    z, terms = inner.map_with_regularisers(y)
    return (z * weight).sum() + sum((term for term in terms.values()), torch.zeros_like(weight.sum()))


@check("grad.input", _CLAUSE)
def input(subject: Subject) -> None:
    """The gradient with respect to y is the one that differences show, in float64."""
    mapping = subject.mapping()
    y = _rows(subject, "points", subject.size(32, 64, 256))
    settled = 0
    for trial in range(3):
        direction = subject.draw(f"direction {trial}", len(y))
        weight = torch.randn(subject.z_dim, generator=subject.generator(f"weight {trial}"), dtype=torch.float64).to(y)
        at = y.clone().requires_grad_()
        z = subject.call(mapping, at)
        if not z.requires_grad:
            raise Broken("z has no gradient with respect to y", likely="detach(), .data, torch.no_grad(), numpy")
        (gradient,) = torch.autograd.grad((z * weight).sum(), at)
        with torch.no_grad():
            found = slopes(lambda t, d=direction, w=weight: mapping(y + t * d) @ w)  # type: ignore[misc]
        claimed = (gradient * direction).sum(-1)
        wrong = found.disagree(claimed)
        settled += int(found.settled.sum())
        # One row alone may be an undeclared kink that lies within the step.
        if int(wrong.sum()) >= 2:
            row = int(wrong.int().argmax())
            point = ", ".join(f"{v:.3g}" for v in y[row].tolist()[:6])
            raise Broken(
                f"autograd says {float(claimed[row]):.6g}, differences {float(found.value[row]):.6g}, at y = ({point}) "
                f"and in {int(wrong.sum())} of {len(y)} rows altogether",
                likely="detach() of a part, a custom backward, or torch.no_grad() around a part of forward",
                y=y[row].tolist(),
            )
    if settled < len(y) // 4:
        raise Skipped("g is so rough that differences do not settle in most draws")


@check("grad.parameters", _CLAUSE)
def parameters(subject: Subject) -> None:
    """The gradient with respect to each parameter is the one that differences show, in float64."""
    mapping = subject.mapping()
    learned = _learned(mapping)
    y = _rows(subject, "points", 12)
    weight = torch.randn(subject.z_dim, generator=subject.generator("weight"), dtype=torch.float64).to(y)
    total = subject.call(mapping, y) @ weight
    by_loss = _through_losses(mapping, y, learned)
    by_row = [_gradients(row, learned) for row in total]  # all of them before any parameter is moved in place
    for name, parameter in learned.items():
        generator = subject.generator(f"direction {name}")
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
        direction = direction / torch.linalg.vector_norm(direction).clamp(min=1e-300) * parameter.numel() ** 0.5
        claimed = torch.stack([(gradients[name] * direction).sum() for gradients in by_row])
        if name in by_loss and not bool(claimed.any()):
            continue  # held constant in g on purpose, and learned through a loss of its own
        before = parameter.detach().clone()

        def moved(t: float, p: Tensor = parameter, start: Tensor = before, d: Tensor = direction) -> Tensor:
            with torch.no_grad():
                p.copy_(start + t * d)
                return mapping(y) @ weight  # type: ignore[no-any-return]

        found = slopes(moved)
        moved(0.0)
        wrong = found.disagree(claimed)
        if int(wrong.sum()) >= 2:
            row = int(wrong.int().argmax())
            raise Broken(
                f"the gradient of {name} is {float(claimed[row]):.6g} by autograd and {float(found.value[row]):.6g} by "
                f"differences, in {int(wrong.sum())} of {len(y)} rows",
                likely="parameter.data, .item() or .detach() in forward, or a value computed once in __init__",
                parameter=name,
            )


def _through_losses(mapping: nn.Module, y: Tensor, learned: dict[str, nn.Parameter]) -> set[str]:
    """The parameters that auxiliary losses reach."""
    inner = bare(mapping)
    if not isinstance(inner, Regularised):
        return set()
    _, terms = inner.map_with_regularisers(y)
    total = sum((term for term in terms.values()), y.new_zeros(()))
    return {name for name, gradient in _gradients(total, learned).items() if gradient.any()}


def _gradients(total: Tensor, learned: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Of a scalar with respect to each parameter, zeros where it has no part in it."""
    if not total.requires_grad:
        return {name: torch.zeros_like(parameter) for name, parameter in learned.items()}
    found = torch.autograd.grad(total, list(learned.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(learned.items(), found, strict=True)
    }


@check("grad.reach", _CLAUSE)
def reach(subject: Subject) -> None:
    """Every parameter gets a gradient that is not zero, through z or through an auxiliary loss."""
    mapping = subject.mapping()
    if subject.given is not None:
        subject.move(mapping)  # an object may be given with a last layer of zeros
    _require_registered(mapping, subject.draw("graph", 5).requires_grad_())
    learned = _learned(mapping)
    missing = set(learned)
    for batch in range(8):
        y = subject.draw(f"batch {batch}", 100)
        weight = torch.randn(100, subject.z_dim, generator=subject.generator(f"w {batch}"), dtype=torch.float64).to(y)
        found = _gradients(_total(mapping, y, weight), learned)
        missing -= {name for name, gradient in found.items() if bool(gradient.any())}
        if not missing:
            return
    raise Broken(
        f"{', '.join(sorted(missing)[:4])} got no gradient in 8 batches of 100",
        likely="detach(), .data or .item() in forward; a parameter that is never used, or a unit that no draw reaches",
        parameters=sorted(missing),
    )


def _require_registered(mapping: nn.Module, y: Tensor) -> None:
    """Whatever a gradient would flow into is y or a registered parameter: nothing else is trained, moved or saved."""
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
                f"a tensor of shape {tuple(leaf.shape)} that requires a gradient is no registered parameter: it would "
                "not be trained, moved or saved",
                likely="parameters kept in a list or a dict; use nn.ParameterList, nn.ParameterDict or nn.Parameter",
            )
        waiting += [following for following, _ in node.next_functions]


@check("grad.fresh", _CLAUSE)
def fresh(subject: Subject) -> None:
    """A parameter that an optimiser has changed is used by the next call, and so is one that is passed in."""
    mapping = subject.mapping()
    learned = _learned(mapping)
    y = subject.draw("fresh", 100)
    z = subject.call(mapping, y)
    gradients = _gradients(z.square().sum(), learned)
    for name, parameter in learned.items():
        if not bool(gradients[name].any()):
            continue  # it has no part in z that a change could show
        before = parameter.detach().clone()
        noise = torch.randn(before.shape, generator=subject.generator(f"change {name}"), dtype=torch.float64)
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
                    likely="something computed from the parameter is kept in __init__ or from an earlier call",
                    parameter=name,
                )
