"""Are values and gradients finite: at the origin, on boundaries, from 1e-30 to 1e6? Clause 4 of the contract."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, NotApplicable
from intel_conformance.places import onto, thinned
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_CLAUSE = "contract, clause 4: values and gradients finite everywhere"
_SIZES = (1e-30, 1e-15, 1e-7, 1e-3, 1e3, 1e6)


def _places(candidate: Candidate, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """The places where values and gradients tend to be infinite, each with a name."""
    base = candidate.draw("places", candidate.size(8, 16, 64))
    eye = torch.eye(candidate.y_dim, dtype=base.dtype, device=base.device)
    axes = torch.cat([eye, -eye])
    equal = torch.ones(2, candidate.y_dim, dtype=base.dtype, device=base.device)
    equal[1] *= -1
    yield "at the origin", torch.zeros(1, candidate.y_dim, dtype=dtype, device=base.device)
    yield "at ordinary points", base.to(dtype)
    yield "on the axes", axes.to(dtype)
    yield "where all coordinates are equal", equal.to(dtype)
    for size in _SIZES:
        yield f"at magnitude {size:g}", (torch.cat([base, axes, equal]) * size).to(dtype)
    partly = base.clone()
    partly[:, 0] = 0
    yield "where y0 = 0", partly.to(dtype)
    for name, value in candidate.mapping(dtype).state_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point() and value.shape[-1:] == (candidate.y_dim,):
            yield f"at the rows of {name}", value.detach().reshape(-1, candidate.y_dim)[:64].to(dtype)
    seams, centres = (thinned(places) for places in (candidate.declared.seams, candidate.declared.centres))
    for name, place in [*(("seam", p) for p in seams), *(("centre", p) for p in centres)]:
        at = onto(place, base).to(dtype)
        yield f"on a declared {name}", at
        yield f"next to a declared {name}", torch.cat([torch.nextafter(at, at + 1), torch.nextafter(at, at - 1)])
        yield f"near a declared {name}", at + 1e-7 * base.to(dtype)


class _Rows(NamedTuple):
    """The rows of all places in one batch, and the place of each."""

    y: Tensor
    where: list[str]


def _rows(candidate: Candidate, dtype: torch.dtype) -> _Rows:
    places = list(_places(candidate, dtype))
    return _Rows(torch.cat([y for _, y in places]), [name for name, y in places for _ in range(len(y))])


def _tell(rows: _Rows, bad: Tensor, what: str, likely: str) -> None:
    wrong = bad.reshape(len(rows.y), -1).any(-1)
    if bool(wrong.any()):
        index = int(wrong.int().argmax())
        row = rows.y[index]
        point = ", ".join(f"{v:.3g}" for v in row.tolist()[:6]) + (", …" if len(row) > 6 else "")
        raise Broken(
            f"{what} is not finite {rows.where[index]}: y = ({point}), {str(row.dtype).removeprefix('torch.')}",
            likely=likely,
            y=row.tolist(),
            dtype=str(row.dtype).removeprefix("torch."),
        )


@check("finite.values", _CLAUSE)
def values(candidate: Candidate) -> None:
    """Wherever y is finite, z is finite."""
    for dtype in candidate.dtypes:
        rows = _rows(candidate, dtype)
        for moved in (True, False):
            z = candidate.call(candidate.mapping(dtype, moved=moved), rows.y, doing="at the origin and far out")
            likely = "a division by a norm, acos or log at the end of its domain, an overflow of exp or a power"
            _tell(rows, ~torch.isfinite(z), "z", likely)


@check("finite.gradients", _CLAUSE)
def gradients(candidate: Candidate) -> None:
    """The gradient with respect to y is finite wherever y is finite."""
    for dtype in candidate.dtypes:
        rows = _rows(candidate, dtype)
        for moved in (True, False):
            mapping = candidate.mapping(dtype, moved=moved)
            y = rows.y.clone().requires_grad_()
            z = candidate.call(mapping, y, doing="at the origin and far out")
            if not z.requires_grad:
                raise Broken("z has no gradient with respect to y", likely="detach(), .data, torch.no_grad(), numpy")
            (gradient,) = torch.autograd.grad(_total(candidate, mapping, y), y, allow_unused=True)
            if gradient is None:
                raise Broken("z has no gradient with respect to y", likely="detach(), .data, numpy")
            _tell(
                rows,
                ~torch.isfinite(gradient),
                "the gradient of z, or of an auxiliary loss,",
                "(y**2).sum()**0.5 at 0 (use torch.linalg.vector_norm, or add a small constant under the root), "
                "sign(t)*abs(t)**a at 0, or a torch.where with an infinite gradient in the branch not taken",
            )


def _total(candidate: Candidate, mapping: nn.Module, y: Tensor) -> Tensor:
    """All coordinates with random weights, as infinities could cancel in a plain sum; and the auxiliary losses."""
    part = bare(mapping)
    if isinstance(part, Regularised):
        z, terms = part.map_with_regularisers(y)
        losses = sum((term for term in terms.values()), z.new_zeros(()))
    else:
        z, losses = mapping(y), y.new_zeros(())
    weight = torch.randn(z.shape, generator=candidate.generator("weights"), dtype=torch.float64).to(z)
    return (z * weight).sum() + losses


@check("finite.parameter_gradients", _CLAUSE)
def parameter_gradients(candidate: Candidate) -> None:
    """The gradient with respect to each parameter is finite wherever y is finite."""
    if not any(p.requires_grad for p in candidate.fresh().parameters()):
        raise NotApplicable("it has no parameters to be learned")
    for dtype in candidate.dtypes:
        for moved in (True, False):
            mapping = candidate.mapping(dtype, moved=moved)
            learned = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
            everywhere = _rows(candidate, dtype).y
            if not _spoiled(candidate, mapping, everywhere, learned):
                continue
            for where, y in _places(candidate, dtype):  # of a sum over all rows nothing can be told
                z = candidate.call(mapping, y, doing=where)
                if not z.requires_grad:
                    continue  # no parameter has a part in z; grad.reach checks that each has one in something
                found = torch.autograd.grad(_total(candidate, mapping, y), list(learned.values()), allow_unused=True)
                for name, gradient in zip(learned, found, strict=True):
                    if gradient is not None and not bool(torch.isfinite(gradient).all()):
                        count = int((~torch.isfinite(gradient)).sum())
                        raise Broken(
                            f"the gradient of {name} is not finite {where} ({count} of {gradient.numel()} values, "
                            f"{str(dtype).removeprefix('torch.')})",
                            likely="a power or a root of a value that is 0 there, where its derivative is infinite",
                            parameter=name,
                            worst=math.inf,
                        )


def _spoiled(candidate: Candidate, mapping: nn.Module, y: Tensor, learned: dict[str, nn.Parameter]) -> bool:
    """Whether some parameter's gradient of a sum over all rows is not finite."""
    total = _total(candidate, mapping, y)
    if not total.requires_grad:
        return False
    found = torch.autograd.grad(total, list(learned.values()), allow_unused=True)
    return not all(bool(torch.isfinite(gradient).all()) for gradient in found if gradient is not None)
