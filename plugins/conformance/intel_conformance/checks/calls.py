"""Do capabilities keep the contract of g: any leading shape, each row alone, both precisions, both modes?

The checks belong to the group ``structure``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import nearby
from intel_conformance.offered import Call, offered
from intel_conformance.outcomes import Broken, NotApplicable, first_line
from intel_conformance.places import usual_rows
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Clustering, Regularised

_ROWS = 120
_TIMES = 10
"""A path for many rows is tried with so many times as many."""
_RELATIVE = {torch.float64: 1e-7, torch.float32: 2e-3}
_SHARE = 0.02
"""Of the rows, so few may differ: next to a border, or where rounding counts for more."""


@check("structure.calls", "capability: Invertible, Clustering, Regularised")
def calls(candidate: Candidate) -> None:
    """inverse, log_abs_det_jacobian, assign and map_with_regularisers take any leading shape, dtype and mode."""
    reference = candidate.mapping(torch.float64)
    own = _offered(candidate, reference)
    if not own:
        raise NotApplicable("it has none of these capabilities")
    y = usual_rows(candidate.declared, candidate.draw("calls", 2 * _ROWS))[:_ROWS]
    y = y.float().double()
    z = candidate.call(reference, y).detach()
    z = z.float().double()
    expected = {name: call(z if name == "inverse" else y).detach() for name, call in own.items()}
    generator = candidate.generator("units in the last place")
    spread = {name: _spread(call, z if name == "inverse" else y, generator) for name, call in own.items()}
    for dtype in candidate.dtypes:
        for training in (True, False):
            mapping = candidate.mapping(dtype).train(training)
            before = {name: value.clone() for name, value in _tensors(mapping).items()}
            for name, call in _offered(candidate, mapping).items():
                rows = (z if name == "inverse" else y).to(dtype)
                random = torch.get_rng_state()
                _try(name, call, rows, expected[name], spread[name], training)
                if training:
                    _try_many(name, call, rows, expected[name], spread[name])
                changed = [key for key, value in before.items() if not torch.equal(value, _tensors(mapping)[key])]
                if changed or mapping.training != training or not torch.equal(random, torch.get_rng_state()):
                    torch.set_rng_state(random)
                    what = changed[0] if changed else "the mode" if mapping.training != training else "the random state"
                    raise Broken(
                        f"a call of {name} changes {what}",
                        likely="a cache in a buffer, eval() that is not undone, or a random number",
                    )


@check("structure.fresh", "capability: Invertible, Clustering, Regularised")
def fresh(candidate: Candidate) -> None:
    """After parameters have changed, as each step changes them, capabilities are those of the changed mapping."""
    used = candidate.mapping(torch.float64)
    own = _offered(candidate, used)
    if not own:
        raise NotApplicable("it has none of these capabilities")
    learned = [name for name, p in used.named_parameters() if p.requires_grad and p.is_floating_point()]
    if not learned:
        raise NotApplicable("it has no parameters to be learned")
    y = usual_rows(candidate.declared, candidate.draw("fresh calls", 2 * _ROWS))[:_ROWS]
    new = candidate.mapping(torch.float64)  # never called before its parameters are as they stay
    _call_all(own, candidate, used, y)
    with torch.no_grad():
        for name, parameter in used.named_parameters():
            if name in learned:
                generator = candidate.generator(f"changed {name}")
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter)
                # By way of .data, which does not count as a change: no more do the steps of a fused optimiser.
                parameter.data.add_(0.1 * (1 + parameter.abs()) * noise)
        for name, parameter in new.named_parameters():
            parameter.copy_(used.get_parameter(name))
    found = _call_all(own, candidate, used, y)
    expected = _call_all(_offered(candidate, new), candidate, new, y)
    for name, right in expected.items():
        off = (found[name] - right).abs().double()
        off = torch.where(found[name] == right, 0.0, off)
        if float(off.max()) > 1e-6 * float(right.abs().double().nan_to_num(0, 0, 0).max()):
            raise Broken(
                f"after the parameters were changed, {name} is off by {float(off.max()):.3g}: it is that of parameters "
                "before, as it was called before",
                likely="a value that __init__ or an earlier call computed from a parameter, and kept",
                off=float(off.max()),
            )


def _call_all(own: dict[str, Call], candidate: Candidate, mapping: nn.Module, y: Tensor) -> dict[str, Tensor]:
    """What all capabilities give, those of the whole mapping among them."""
    part: Any = bare(mapping)
    with torch.no_grad():
        z = candidate.call(mapping, y)
        found = {name: call(z if name == "inverse" else y).detach() for name, call in own.items()}
        if isinstance(part, Clustering):
            found["proportions"] = part.proportions().detach()
        if isinstance(part, Regularised):
            found |= {f"the loss {name!r}": term.detach() for name, term in part.map_with_regularisers(y)[1].items()}
    return found


def _tensors(mapping: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in mapping.state_dict().items() if isinstance(value, Tensor)}


def _offered(candidate: Candidate, mapping: nn.Module) -> dict[str, Call]:
    found = offered(mapping)
    if candidate.y_dim != candidate.z_dim:
        found.pop("log_abs_det_jacobian", None)
    return found


@torch.no_grad()
def _spread(call: Call, rows: Tensor, generator: torch.Generator) -> Tensor:
    """By how much the result changes when rows change by a few units in the last place of float32."""
    exact = call(rows)
    found = torch.zeros_like(exact, dtype=torch.float64)
    for _ in range(8):
        moved = call(nearby(rows, generator))
        found = torch.maximum(found, (moved - exact).abs().double().nan_to_num(torch.inf))
    # Where that is a good part of the result itself, float32 cannot hold what is asked for.
    return torch.where(found > 0.05 * exact.abs(), torch.inf, found) if exact.is_floating_point() else found


def _try(name: str, call: Call, rows: Tensor, expected: Tensor, spread: Tensor, training: bool) -> None:
    about = _about(rows.dtype, training)
    order = torch.arange(len(rows) - 1, -1, -1, device=rows.device)
    ways: dict[str, tuple[Tensor, Callable[[Tensor], Tensor]]] = {
        "rows": (rows, lambda found: found),
        "rows again": (rows, lambda found: found),
        "rows in reverse order": (rows[order], lambda found: found[order]),
        "a single row without a leading dimension": (rows[3], lambda found: found[None]),
        "one row": (rows[3:4], lambda found: found),
    }
    n = len(rows)
    if n % 6 == 0:
        for leading in ((2, 3, n // 6), (n // 6, 6), (1, n), (n, 1)):
            ways[f"leading shape {leading}"] = (
                rows.reshape(*leading, -1),
                lambda found, lead=leading: found.reshape(n, *found.shape[len(lead) :]),  # type: ignore[misc]
            )
    for way, (given, back) in ways.items():
        before = given.clone()
        alone = given.numel() == given.shape[-1] and len(rows) > 1
        right, width = (expected[3:4], spread[3:4]) if alone else (expected, spread)
        shape = (*given.shape[:-1], *expected.shape[1:])
        try:
            found = call(given)
        except Exception as error:
            said = first_line(error, 160)
            raise Broken(
                f"{name} raised {type(error).__name__} for {way} ({about}): {said}",
                likely="y[:, i] where y[..., i] is meant, or a tensor of a fixed dtype",
            ) from error
        if not isinstance(found, Tensor) or tuple(found.shape) != shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise Broken(f"{name} gives {got} for {way} ({about}), expected the shape {shape}")
        if expected.is_floating_point() and found.dtype != rows.dtype:
            raise Broken(f"{name} gives {found.dtype} for {rows.dtype}", likely="a tensor made with a fixed dtype")
        if not torch.equal(given, before):
            raise Broken(f"{name} changes its argument", likely="an in-place operation")
        width = width if rows.dtype == torch.float32 else 1e-6 * width
        _compare(name, back(found.detach()).to(right.dtype), right, width, f"for {way} ({about})", rows.dtype)


def _try_many(name: str, call: Call, rows: Tensor, expected: Tensor, spread: Tensor) -> None:
    many, right, width = (part.repeat(_TIMES, *(1,) * (part.dim() - 1)) for part in (rows, expected, spread))
    found = call(many).detach().to(right.dtype)
    width = width if rows.dtype == torch.float32 else 1e-6 * width
    _compare(name, found, right, width, f"for {len(many)} rows ({_about(rows.dtype, True)})", rows.dtype)


def _about(dtype: torch.dtype, training: bool) -> str:
    return f"{str(dtype).removeprefix('torch.')}, {'training' if training else 'evaluation'} mode"


def _compare(name: str, found: Tensor, right: Tensor, spread: Tensor, about: str, dtype: torch.dtype) -> None:
    off = (found - right).abs().double()
    finite = torch.isfinite(right)
    if right.is_floating_point():
        size = right.abs()[finite].median() if bool(finite.any()) else right.new_ones(())
        allowed = _RELATIVE[dtype] * (right.abs() + size) + 64 * spread
    else:
        allowed = torch.full_like(off, 0.5)
    wrong = ~(off <= allowed) & finite
    wrong = wrong.reshape(len(wrong), -1).any(-1)
    if int(wrong.sum()) > _SHARE * len(wrong):
        worst = float(torch.where(finite, off, 0.0).nan_to_num(torch.inf).max())
        raise Broken(
            f"{name} is off by {worst:.3g} {about}, in {int(wrong.sum())} of {len(wrong)} rows",
            likely="a statistic of the batch, self.training, a branch on the dtype or on the number of dimensions, or "
            "sums that float32 cannot hold",
            off=worst,
        )
