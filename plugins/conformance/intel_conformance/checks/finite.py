"""Is everything finite? Values and gradients, at the origin, on boundaries, from 1e-30 to 1e6. Clause 4."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from intel_conformance.check import check
from intel_conformance.outcomes import Broken, NotApplicable
from intel_conformance.places import onto
from intel_conformance.subject import Subject
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_CLAUSE = "contract, clause 4: values and gradients finite everywhere"
_SIZES = (1e-30, 1e-15, 1e-7, 1e-3, 1e3, 1e6)


def _places(subject: Subject, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Where things go wrong, by name."""
    base = subject.draw("places", subject.size(8, 16, 64))
    eye = torch.eye(subject.y_dim, dtype=base.dtype, device=base.device)
    axes = torch.cat([eye, -eye])
    equal = torch.ones(2, subject.y_dim, dtype=base.dtype, device=base.device)
    equal[1] *= -1
    yield "at the origin", torch.zeros(1, subject.y_dim, dtype=dtype, device=base.device)
    yield "at ordinary points", base.to(dtype)
    yield "on the axes", axes.to(dtype)
    yield "where all coordinates are equal", equal.to(dtype)
    for size in _SIZES:
        yield f"at magnitude {size:g}", (torch.cat([base, axes, equal]) * size).to(dtype)
    partly = base.clone()
    partly[:, 0] = 0
    yield "where y0 = 0", partly.to(dtype)
    for name, value in subject.mapping(dtype).state_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point() and value.shape[-1:] == (subject.y_dim,):
            yield f"at the rows of {name}", value.detach().reshape(-1, subject.y_dim)[:64].to(dtype)
    declared = subject.declared
    for name, place in [*(("seam", p) for p in declared.seams), *(("centre", p) for p in declared.centres)]:
        at = onto(place, base).to(dtype)
        yield f"on a declared {name}", at
        yield f"next to a declared {name}", torch.cat([torch.nextafter(at, at + 1), torch.nextafter(at, at - 1)])
        yield f"near a declared {name}", at + 1e-7 * base.to(dtype)


def _tell(y: Tensor, bad: Tensor, what: str, where: str, likely: str) -> None:
    rows = bad.reshape(len(y), -1).any(-1)
    if bool(rows.any()):
        row = y[int(rows.int().argmax())]
        point = ", ".join(f"{v:.3g}" for v in row.tolist()[:6]) + (", …" if len(row) > 6 else "")
        raise Broken(
            f"{what} is not finite {where}: y = ({point}), {str(y.dtype).removeprefix('torch.')}",
            likely=likely,
            y=row.tolist(),
            dtype=str(y.dtype).removeprefix("torch."),
        )


@check("finite.values", _CLAUSE)
def values(subject: Subject) -> None:
    """Wherever y is finite, so is z."""
    for dtype in subject.dtypes:
        for moved in (True, False):
            mapping = subject.mapping(dtype, moved=moved)
            for where, y in _places(subject, dtype):
                z = subject.call(mapping, y, doing=where)
                _tell(y, ~torch.isfinite(z), "z", where, "a division by a norm, acos or log at its end, exp or a power")


@check("finite.gradients", _CLAUSE)
def gradients(subject: Subject) -> None:
    """The gradient with respect to y is finite wherever y is."""
    for dtype in subject.dtypes:
        for moved in (True, False):
            mapping = subject.mapping(dtype, moved=moved)
            for where, y in _places(subject, dtype):
                y = y.clone().requires_grad_()
                z = subject.call(mapping, y, doing=where)
                if not z.requires_grad:
                    raise Broken(
                        "z has no gradient with respect to y", likely="detach(), .data, torch.no_grad(), numpy"
                    )
                (gradient,) = torch.autograd.grad(_total(subject, mapping, y), y, allow_unused=True)
                if gradient is None:
                    raise Broken("z has no gradient with respect to y", likely="detach(), .data, numpy")
                _tell(
                    y.detach(),
                    ~torch.isfinite(gradient),
                    "the gradient of z, or of an auxiliary loss,",
                    where,
                    "(y**2).sum()**0.5 at 0 (use torch.linalg.vector_norm or add a floor under the root), "
                    "sign(t)*abs(t)**a at 0, or a torch.where whose unused branch is infinite",
                )


def _total(subject: Subject, mapping: nn.Module, y: Tensor) -> Tensor:
    """A random sum of all coordinates, since in a plain one infinities could cancel; and the auxiliary losses."""
    part = bare(mapping)
    if isinstance(part, Regularised):
        z, terms = part.map_with_regularisers(y)
        losses = sum((term for term in terms.values()), z.new_zeros(()))
    else:
        z, losses = mapping(y), y.new_zeros(())
    weight = torch.randn(z.shape, generator=subject.generator("weights"), dtype=torch.float64).to(z)
    return (z * weight).sum() + losses


@check("finite.parameter_gradients", _CLAUSE)
def parameter_gradients(subject: Subject) -> None:
    """The gradient with respect to each parameter is finite wherever y is."""
    if not any(p.requires_grad for p in subject.fresh().parameters()):
        raise NotApplicable("it has no parameters that are learned")
    for dtype in subject.dtypes:
        for moved in (True, False):
            mapping = subject.mapping(dtype, moved=moved)
            learned = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
            for where, y in _places(subject, dtype):
                z = subject.call(mapping, y, doing=where)
                if not z.requires_grad:
                    continue  # it has no part in z; grad.reach asks whether it has one in anything
                found = torch.autograd.grad(_total(subject, mapping, y), list(learned.values()), allow_unused=True)
                for name, gradient in zip(learned, found, strict=True):
                    if gradient is not None and not bool(torch.isfinite(gradient).all()):
                        count = int((~torch.isfinite(gradient)).sum())
                        raise Broken(
                            f"the gradient of {name} is not finite {where} ({count} of {gradient.numel()} values, "
                            f"{str(dtype).removeprefix('torch.')})",
                            likely="a power or a root of something that is 0 there, whose derivative is infinite",
                            parameter=name,
                            worst=math.inf,
                        )
