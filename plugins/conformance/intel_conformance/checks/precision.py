"""Is what trains, in float32, what is checked in float64? Values and gradients of both precisions, side by side.

The checks belong to the groups ``io`` and ``grad``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, Skipped
from intel_conformance.places import usual_rows
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_EPS = torch.finfo(torch.float32).eps
_ULPS = 8
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


def _nearby(y: Tensor, generator: torch.Generator) -> Tensor:
    """Rows moved by a few units in the last place of float32."""
    noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    return y + _ULPS * _EPS * y.abs().amax(-1, keepdim=True) * noise


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
            moved = candidate.call(double, _nearby(y.double(), generator)) - exact
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
        share = (off > _USUAL * _EPS * size + 4 * spread).double().mean(0)
        worst = int(share.argmax())
        if float(share[worst]) > 0.5:
            lost = float((off / size)[:, worst].median())
            raise Broken(
                f"z{worst} in float32 is off by {lost:.2g} of its size in half of the rows{mode}, expected at most "
                f"{_USUAL * _EPS:.2g}",
                likely="cancellation: a difference of large numbers, a sum with a large constant, 1 - cos or expm1 "
                "written out",
                off=lost,
            )


@check("grad.float32", "contract, clause 4: the same gradients in float32, which trains, as in float64")
def gradients(candidate: Candidate) -> None:
    """In float32 the gradients with respect to y and to each parameter are those of float64 up to rounding."""
    single, double = _pair(candidate)
    y = usual_rows(candidate.declared, candidate.draw_wide("gradients", 600).float())[:300]
    if len(y) < 20:
        raise Skipped(f"only {len(y)} of 600 draws are away from the declared seams and centres")
    weight = torch.randn(candidate.z_dim, generator=candidate.generator("weight"), dtype=torch.float64).to(y.device)
    exact, of_double = _gradients(double, y.double(), weight)
    found, of_single = _gradients(single, y, weight.float())
    generator = candidate.generator("units in the last place")
    probes = [_gradients(double, _nearby(y.double(), generator), weight) for _ in range(_PROBES)]
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
