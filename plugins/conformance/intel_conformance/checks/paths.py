"""Does every way in which training calls g give the same gradients? The check belongs to the group ``grad``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.outcomes import Broken, first_line
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_LEAST = {torch.float64: 1e-7, torch.float32: 1e-3}
_MANY, _FEW = 1024, 128
_SHARE = 0.05
"""Of the rows of a large batch, and of the gradients of its parts: next to a kink rounding decides, and it depends on
the number of rows."""

Gradients = dict[str, Tensor]


@check("grad.paths", "contract, clause 4: sub-differentiable in y and in the parameters, however it is called")
def paths(candidate: Candidate) -> None:
    """Gradients are the same whether y is a leaf or computed, wants one or not, whatever was called before."""
    for dtype in candidate.dtypes:
        for training in (True, False):
            y = candidate.draw("paths", 128).to(dtype)
            weight = torch.randn(
                len(y), candidate.z_dim, generator=candidate.generator("weights"), dtype=torch.float64
            ).to(y)
            about = f"{str(dtype).removeprefix('torch.')}, {'training' if training else 'evaluation'} mode"
            mapping = candidate.mapping(dtype).train(training)
            expected = _gradients(mapping, mapping, _leaf(y), weight)
            for doing, found in _ways(candidate, dtype, training, y, weight):
                _compare(found, expected, doing, about)
            _compare_with_parts(candidate, mapping, dtype, about)
            mapping = candidate.mapping(dtype).train(training)
            if isinstance(part := bare(mapping), Regularised):
                # A parameter may be held constant in g on purpose, and learned through a loss: only y's is the same.
                found = _gradients(mapping, lambda y, g=part: g.map_with_regularisers(y)[0], _leaf(y), weight)  # type: ignore[misc]
                _compare({"": found[""]}, expected, "through map_with_regularisers", about)


def _compare(found: Gradients, expected: Gradients, doing: str, about: str) -> None:
    for name, right in expected.items():
        if name not in found:
            continue
        size = float(right.abs().max())
        off = float((found[name] - right).abs().nan_to_num(torch.inf).max())
        if not off <= _LEAST[right.dtype] * size:
            what = "y" if name == "" else name
            raise Broken(
                f"the gradient of {what} is up to {float(found[name].abs().max()):.4g} {doing}, and up to {size:.4g} "
                f"in a plain step, off by {off:.3g} ({about})",
                likely="a branch on y.requires_grad, y.is_leaf, y.dim() or the gradient mode; clipped gradients; "
                "or a value that is kept from one call to the next, without its gradient",
                parameter=what,
                off=off,
            )


def _compare_with_parts(candidate: Candidate, mapping: nn.Module, dtype: torch.dtype, about: str) -> None:
    """The gradient of a large batch is the sum of those of its parts."""
    y = candidate.draw("many", _MANY).to(dtype)
    generator = candidate.generator("many weights")
    weight = torch.randn(_MANY, candidate.z_dim, generator=generator, dtype=torch.float64).to(y)
    whole = _gradients(mapping, mapping, _leaf(y), weight)
    pairs = zip(torch.split(y, _FEW), torch.split(weight, _FEW), strict=True)
    parts = [_gradients(mapping, mapping, _leaf(some), of_some) for some, of_some in pairs]
    for name, found in whole.items():
        if name == "":
            right = torch.cat([part[name] for part in parts])
            off = (found - right).abs().amax(-1)
            wrong = float((off > _SHARE * right.abs().amax(-1)).double().mean()) > _SHARE
        else:
            right = torch.stack([part[name] for part in parts]).sum(0)
            size = torch.stack([part[name].abs() for part in parts]).sum(0)
            off = (found - right).abs()
            wrong = bool(size.any()) and not float(off.max()) <= _SHARE * float(size.max())
        if wrong:
            what = "y" if name == "" else name
            raise Broken(
                f"the gradient of {what} in a batch of {_MANY} rows is off by {float(off.max()):.3g} from that of the "
                f"same rows in batches of {_FEW} ({about})",
                likely="detach() or no_grad() in a path for many rows, or a custom backward that looks at the batch",
                parameter=what,
            )


def _ways(
    candidate: Candidate, dtype: torch.dtype, training: bool, y: Tensor, weight: Tensor
) -> Iterator[tuple[str, Gradients]]:
    """Other ways to the same gradients: in words, and what they give."""

    def new() -> nn.Module:
        return candidate.mapping(dtype).train(training)

    mapping = new()
    yield "where y wants none", _gradients(mapping, mapping, y, weight)
    for share in (0.5, 1.0):  # of which the sum is exact
        mapping = new()
        leaf = (share * y).requires_grad_()
        doing = "where y is computed from other tensors"
        yield doing, _gradients(mapping, lambda leaf, g=mapping, s=share: g(leaf + (1 - s) * y), leaf, weight)  # type: ignore[misc]
    others = 2 * candidate.draw("before", len(y)).to(y)
    for doing, mode in (("no_grad", torch.no_grad), ("inference_mode", torch.inference_mode)):
        mapping = new()
        with mode():
            candidate.call(mapping, y.clone())
            candidate.call(mapping, others.clone())
            candidate.call(mapping, y.clone())
        yield f"after a call under {doing}", _gradients(mapping, mapping, _leaf(y), weight)
        with mode():
            candidate.call(mapping, y.clone())
        yield f"after a call under {doing}, where y wants none", _gradients(mapping, mapping, y, weight)
    yield "in a second step", _gradients(mapping, mapping, _leaf(y), weight)
    candidate.call(mapping.eval(), y, doing="in evaluation mode")
    mapping.train(training)
    yield "after evaluation", _gradients(mapping, mapping, _leaf(y), weight)
    for leading in ((2, 4, 16), (4, 32)):
        shape = ", ".join(map(str, leading))
        yield (
            f"for y of shape ({shape}, y_dim)",
            _gradients(
                mapping,
                lambda leaf, lead=leading: mapping(leaf.reshape(*lead, -1)).reshape(weight.shape),  # type: ignore[misc]
                _leaf(y),
                weight,
            ),
        )
    # Of a sum over many pixels the gradient that comes in is large, late in training it is small.
    for factor in (1e3, 1e-3):
        found = _gradients(mapping, mapping, _leaf(y), factor * weight)
        doing = f"for a loss {factor:g} times as large, divided by that,"
        yield doing, {name: gradient / factor for name, gradient in found.items()}


def _leaf(y: Tensor) -> Tensor:
    return y.clone().requires_grad_()


def _gradients(mapping: nn.Module, g: Callable[[Tensor], Tensor], y: Tensor, weight: Tensor) -> Gradients:
    """Of a weighted sum of z with respect to each parameter by name, and to y under the name "" if y wants one."""
    wanted = {name: p for name, p in mapping.named_parameters() if p.requires_grad}
    if y.requires_grad:
        wanted[""] = y  # type: ignore[assignment]
    try:
        total = (g(y) * weight).sum()
        if not wanted or not total.requires_grad:
            return {name: torch.zeros_like(value) for name, value in wanted.items()}
        found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    except RuntimeError as error:
        said = first_line(error)
        raise Broken(
            f"a step raised {type(error).__name__}: {said}",
            likely="a tensor that an earlier call computed and kept, with its graph or from inference mode",
        ) from error
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(wanted.items(), found, strict=True)
    }
