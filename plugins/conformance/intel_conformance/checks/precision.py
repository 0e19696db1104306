"""Is what trains, in float32, what is checked in float64? Values and gradients of both precisions, side by side.

The checks belong to the groups ``io`` and ``grad``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import nearby
from intel_conformance.outcomes import Broken, Skipped
from intel_conformance.places import usual_rows
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_EPS = torch.finfo(torch.float32).eps
_PROBES = 4
_USUAL = 256
"""Rounding errors of half of the rows stay below so many units in the last place, beside what g makes of y's."""
_GROSS = 1e-3


def _pair(candidate: Candidate, *, training: bool = True) -> tuple[nn.Module, nn.Module]:
    """The mapping in float32, and with the same numbers in float64."""
    single, double = candidate.mapping(torch.float32), candidate.mapping(torch.float64)
    with torch.no_grad():
        for wide, narrow in zip(double.parameters(), single.parameters(), strict=True):
            wide.copy_(narrow)
    return single.train(training), double.train(training)


def _rows(candidate: Candidate) -> Tensor:
    """Where the prior and posteriors have their mass, some far out, some close to 0; float32 numbers."""
    n = candidate.size(500, 1000, 4000)
    y = candidate.draw("single and double", 2 * n + 400)
    y[n : 2 * n] *= 2.5
    y[2 * n : -200] *= 10
    y[-200:] *= 1e-3
    return y.float()


def _groups(candidate: Candidate, rows: int) -> list[slice]:
    """Of `_rows`: draws of the prior, those further out, and all together."""
    n = candidate.size(500, 1000, 4000)
    return [slice(0, n), slice(n, 2 * n), slice(0, rows)]


@check("io.float32", "contract, clause 1: the same g in float32, which trains, as in float64")
@torch.no_grad()
def float32(candidate: Candidate) -> None:
    """In float32 z is that of float64 up to rounding: half of the rows to 256 units in the last place of z."""
    for training in (True, False):
        single, double = _pair(candidate, training=training)
        y = _rows(candidate)
        exact = candidate.call(double, y.double())
        off = (candidate.call(single, y).double() - exact).abs().nan_to_num(torch.inf, torch.inf)
        generator = candidate.generator("units in the last place")
        spread = torch.zeros_like(exact)
        for _ in range(_PROBES):
            moved = candidate.call(double, nearby(y.double(), generator)) - exact
            spread = torch.maximum(spread, moved.abs().nan_to_num(torch.inf))
        # A coordinate that is 0 but for rounding is measured by the others.
        size = exact.abs().median(0).values
        size = torch.maximum(size, 1e-2 * size.max()).clamp(min=1e-300)
        size = torch.maximum(size, exact.abs().amax(-1, keepdim=True))
        mode = "" if training else " in evaluation mode"
        gross = (off > _GROSS * size + 64 * spread).any(-1)
        if int(gross.sum()) >= 2:
            row = int(torch.where(gross, (off / size).amax(-1), -1).argmax())
            point = ", ".join(f"{v:.4g}" for v in y[row].tolist()[:6])
            raise Broken(
                f"z in float32 is off by {float(off[row].max()):.3g} from z in float64{mode} at y = ({point}), and in "
                f"{int(gross.sum())} of {len(y)} rows by more than {_GROSS:g} of its size",
                likely="a branch on the dtype, a random number, a comparison or a constant that float32 cannot "
                "resolve, or an overflow",
                off=float(off[row].max()),
                rows=int(gross.sum()),
            )
        beyond = off > _USUAL * _EPS * size + 4 * spread
        for some in _groups(
            candidate, len(y)
        ):  # each alone: far out z is larger, and hides what is lost near the prior
            share = beyond[some].double().mean(0)
            worst = int(share.argmax())
            if float(share[worst]) > 0.5:
                lost = float((off / size)[some, worst].median())
                raise Broken(
                    f"z{worst} in float32 is off by {lost:.2g} of its size in half of the rows{mode}, expected at most "
                    f"{_USUAL * _EPS:.2g}",
                    likely="cancellation: a difference of large numbers, a sum with a large constant, 1 - cos or expm1 "
                    "written out",
                    off=lost,
                )


@check("grad.float32", "contract, clause 4: the same gradients in float32, which trains, as in float64")
def gradients(candidate: Candidate) -> None:
    """In float32 auxiliary losses and the gradients of y and parameters are those of float64 up to rounding."""
    single, double = _pair(candidate)
    y = usual_rows(candidate.declared, candidate.draw_wide("gradients", 600).float())[:300]
    if len(y) < 20:
        raise Skipped(f"only {len(y)} of 600 draws are away from the declared seams and centres")
    weight = torch.randn(candidate.z_dim, generator=candidate.generator("weight"), dtype=torch.float64).to(y.device)
    exact, of_double = _gradients(double, y.double(), weight)
    found, of_single = _gradients(single, y, weight.float())
    generator = candidate.generator("units in the last place")
    probes = [_gradients(double, nearby(y.double(), generator), weight) for _ in range(_PROBES)]
    spread = torch.stack([(rows - exact).abs() for rows, _ in probes]).amax(0).nan_to_num(torch.inf)
    off = (found.double() - exact).abs().nan_to_num(torch.inf)
    size = torch.maximum(exact.abs().amax(-1, keepdim=True), exact.abs().median())
    # Where rounding decides on which side of a kink a row lies it has another gradient; of many rows that is one.
    # A gradient that is 0 but for rounding, as that of a direction along itself, is measured by z.
    floor = 1e-5 * candidate.call(double, y.double()).detach().abs().median()
    wrong = (off > 1e-2 * size + 64 * spread + floor).any(-1)
    if int(wrong.sum()) >= max(2, len(y) // 50):
        row = int(torch.where(wrong, (off / size.clamp(min=1e-300)).amax(-1), -1).argmax())
        point = ", ".join(f"{v:.4g}" for v in y[row].tolist()[:6])
        raise Broken(
            f"the gradient with respect to y is off by {float(off[row].max()):.3g} in float32 at y = ({point}); in "
            f"{int(wrong.sum())} of {len(y)} rows it is not that of float64",
            likely="a branch on the dtype, a custom backward, or a constant that float32 cannot resolve",
            rows=int(wrong.sum()),
        )
    for name, right in of_double.items():
        allowed = 1e-2 * right.abs().max() + 64 * max(float((of[name] - right).abs().max()) for _, of in probes)
        worst = float((of_single[name].double() - right).abs().max())
        if not worst <= allowed + len(y) * floor:
            raise Broken(
                f"the gradient of {name} is off by {worst:.3g} in float32, in float64 it is up to "
                f"{float(right.abs().max()):.3g}",
                likely="a branch on the dtype, a custom backward, or a sum in which float32 loses the smaller terms",
                parameter=name,
            )

    _compare_losses(single, double, y, candidate.generator("units in the last place"))


def _compare_losses(single: nn.Module, double: nn.Module, y: Tensor, generator: torch.Generator) -> None:
    """Each auxiliary loss, and its gradient with respect to y, in both precisions."""
    exact, found = _losses(double, y.double()), _losses(single, y)
    probes = [_losses(double, nearby(y.double(), generator)) for _ in range(_PROBES)]
    for name, (right, of_right) in exact.items():
        value, slopes = found[name]
        spread = max(abs(float(probe[name][0] - right)) for probe in probes)
        if not abs(float(value.double() - right)) <= 1e-2 * abs(float(right)) + 64 * spread + 1e-6:
            raise Broken(
                f"the auxiliary loss {name!r} is {float(value):.6g} in float32, {float(right):.6g} in float64",
                likely="a branch on the dtype, or a sum in which float32 loses the smaller terms",
            )
        around = torch.stack([(probe[name][1] - of_right).abs() for probe in probes]).amax(0).nan_to_num(torch.inf)
        off = (slopes.double() - of_right).abs().nan_to_num(torch.inf)
        size = torch.maximum(of_right.abs().amax(-1, keepdim=True), of_right.abs().median())
        wrong = (off > 1e-2 * size + 64 * around + 1e-6 * of_right.abs().max() + 1e-9).any(-1)
        if int(wrong.sum()) >= max(2, len(y) // 50):
            largest = float(of_right.abs().max())
            raise Broken(
                f"the gradient of the auxiliary loss {name!r} with respect to y is off by {float(off.max()):.3g} in "
                f"float32, in {int(wrong.sum())} of {len(y)} rows; in float64 it is up to {largest:.3g}",
                likely="a branch on the dtype, detach() in one of its branches, or a custom backward",
                rows=int(wrong.sum()),
            )


def _losses(mapping: nn.Module, y: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Each auxiliary loss by name: its value, and its gradient with respect to each row."""
    part = bare(mapping)
    if not isinstance(part, Regularised):
        return {}
    y = y.detach().clone().requires_grad_()
    _, terms = part.map_with_regularisers(y)
    found = {}
    for name, term in terms.items():
        gradient = None
        if term.requires_grad:
            (gradient,) = torch.autograd.grad(term, y, retain_graph=True, allow_unused=True)
        found[name] = term.detach(), torch.zeros_like(y) if gradient is None else gradient
    return found


def _gradients(mapping: nn.Module, y: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Of a weighted sum of z plus auxiliary losses: with respect to each row, and to each parameter by name."""
    y = y.detach().clone().requires_grad_()
    part = bare(mapping)
    terms: dict[str, Tensor] = {}
    if isinstance(part, Regularised):
        z, terms = part.map_with_regularisers(y)
    else:
        z = mapping(y)
    total = (z * weight).sum()
    learned = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
    rows = torch.zeros_like(y)
    if z.requires_grad:
        (given,) = torch.autograd.grad(total, y, retain_graph=True, allow_unused=True)
        rows = rows if given is None else given
    total = sum((term for term in terms.values()), total)
    if not learned or not total.requires_grad:
        return rows, {}
    found = torch.autograd.grad(total, list(learned.values()), allow_unused=True)
    return rows, {
        name: torch.zeros_like(p) if gradient is None else gradient
        for (name, p), gradient in zip(learned.items(), found, strict=True)
    }
