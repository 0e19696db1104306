"""Are shape, precision and device of z those of y, and is y left unchanged? Clause 1 of the contract."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from intel_conformance.as_part import as_part_converted
from intel_conformance.candidate import Candidate, annealed
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding
from intel_conformance.offered import offered
from intel_conformance.outcomes import Broken, NotApplicable, Skipped, Unsupported, first_line
from intel_core.errors import PluginError, SpecError

_CLAUSE = "contract, clause 1: (..., y_dim) to (..., z_dim), the same dtype and device"

_FEW = 48
"""At most so many of 255 second differences are large if these come from the steps of float32."""
_SHAPES = ((), (0,), (1,), (2,), (33,), (2, 3), (3, 0, 2))


@check("io.shape", _CLAUSE)
def shape(candidate: Candidate) -> None:
    """The leading shape of z is that of y, whatever it is: none and an empty batch included."""
    empty: Broken | None = None
    for dtype in candidate.dtypes:
        mapping = candidate.mapping(dtype)
        for leading in _SHAPES:
            try:
                candidate.call(mapping, candidate.draw("shape", *leading).to(dtype))
            except Broken as error:
                if 0 not in leading or error.__cause__ is None:
                    raise
                empty = error  # some of torch's own functions refuse empty tensors
    if empty is not None:
        raise Unsupported(
            empty.message,
            likely="torch.fft and some other functions refuse empty tensors; in training no batch is empty",
        )


@check("io.dtype", _CLAUSE)
def dtype(candidate: Candidate) -> None:
    """The dtype of z is that of y."""
    for dtype in candidate.dtypes:
        z = candidate.call(candidate.mapping(dtype), candidate.draw("dtype", 5).to(dtype))
        if z.dtype != dtype:
            raise Broken(
                f"z is {z.dtype} for y of {dtype}",
                likely="a tensor made with a fixed dtype; use y.new_tensor(...), torch.zeros_like(y) or a buffer",
            )


@check("io.float64", _CLAUSE)
def float64(candidate: Candidate) -> None:
    """For y in float64, all of the computation is in float64.

    z is computed along lines of 257 points that are 1e-9 apart, a few steps of float32 in all. A smooth function bends
    evenly there, if at all. If g rounds to float32 inside, z stays constant and then moves in steps, so that its second
    differences are a few spikes.
    """
    if torch.float64 not in candidate.dtypes:
        raise NotApplicable("float64 is not among the dtypes of this check")
    mapping = candidate.mapping(torch.float64)
    n = 64
    start = candidate.draw("line", n)
    step = candidate.draw("direction", n)
    step = step / step.abs().amax(-1, keepdim=True) * 1e-9
    points = start[:, None] + torch.arange(257, device=start.device, dtype=start.dtype)[:, None] * step[:, None]
    z = candidate.call(mapping, points)
    eps = torch.finfo(torch.float64).eps
    size = z.abs().amax((0, 1)).clamp(min=1e-300)
    visible = z.diff(dim=1).abs().sum(1) > 1e4 * eps * size  # n, z_dim
    signed = z.diff(n=2, dim=1)
    bends = signed.abs()
    largest = bends.amax(1)
    # A step bends up and at once down again; a kink, of which a ReLU network has many, bends once.
    steps = torch.minimum(bends[:, 1:], bends[:, :-1]) * (signed[:, 1:] * signed[:, :-1] < 0)
    spikes = ((bends > 0.25 * largest[:, None]).sum(1) <= _FEW) & (steps.amax(1) > 0.4 * largest)
    stepped = (visible & spikes & (largest > 64 * eps * size)).sum(0)
    informative = visible.sum(0)
    if int(informative.max()) < n // 8:
        raise Skipped("z hardly changes along any line, so that its precision cannot be seen")
    for coordinate, (seen, bad) in enumerate(zip(informative.tolist(), stepped.tolist(), strict=True)):
        if seen >= n // 8 and bad > 0.3 * seen:
            raise Broken(
                f"z{coordinate} moves in steps along {bad} of {seen} lines of points 1e-9 apart, expected no steps",
                likely="float32 inside: .float(), torch.tensor(...) of floats, a tensor that .double() leaves as it is",
                coordinate=coordinate,
                lines=bad,
            )


@check("io.input", _CLAUSE)
def input(candidate: Candidate) -> None:
    """A call leaves y unchanged."""
    for dtype in candidate.dtypes:
        mapping = candidate.mapping(dtype)
        y = candidate.draw("input", 7).to(dtype)
        before, version = y.clone(), y._version
        candidate.call(mapping, y)
        if y._version != version or not torch.equal(y, before):
            raise Broken(
                "y was changed by the call",
                likely="an in-place operation: y[..., i] = ..., y += ..., y.mul_(...), out=y",
            )


@check("io.layout", _CLAUSE)
def layout(candidate: Candidate) -> None:
    """The layout of y in memory makes no difference to z."""
    for dtype in candidate.dtypes:
        mapping = candidate.mapping(dtype)
        y = candidate.draw("layout", 6).to(dtype)
        z = candidate.call(mapping, y)
        views = {
            "a transposed tensor": y.T.contiguous().T,
            "part of a wider tensor": torch.cat([y, y], -1)[:, : candidate.y_dim],
            "every second row of a tensor": y.repeat_interleave(2, 0)[::2],
            "an expanded tensor": y[None].expand(2, -1, -1)[1],
        }
        for name, view in views.items():
            found = candidate.call(mapping, view, doing=f"as {name}")
            if (worst := beyond_rounding(found, z, mapping, y, candidate.generator("allowance"))) is not None:
                raise Broken(f"z{worst[1][1]} of row {worst[1][0]} is off by {worst[0]:.3g} if y is {name}")


@check("io.dims", _CLAUSE)
def dims(candidate: Candidate) -> None:
    """In any number of dims build() gives a mapping, or a ValueError that says why not; a class's z is finite there."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, with its number of dimensions")
    for y_dim in sorted({1, 2, 3, 4, 5, 8, candidate.y_dim}):
        try:
            z = _of_dims(candidate, y_dim)
        except SpecError:
            continue
        except Broken:
            if candidate.specs is None:
                continue  # a class need not say where there is no mapping
            raise
        if not bool(torch.isfinite(z).all()):
            raise Broken(
                f"in {y_dim} dimensions z is not finite for draws of the prior",
                likely="a deviation over one value, which is NaN; raise ValueError where there is no mapping",
                y_dim=y_dim,
            )


def _of_dims(candidate: Candidate, y_dim: int) -> torch.Tensor:
    """Three draws of the prior, mapped in so many dimensions.

    Raises:
        SpecError: if it says that there is no mapping.
        Broken: if it ends otherwise.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            mapping = candidate.built_unseeded(y_dim)
    except SpecError:
        raise
    except PluginError as error:
        raise Broken(str(error)) from error
    except Exception as error:
        raise Broken(
            f"build({y_dim}) raised {type(error).__name__}: {str(error)[:200]}",
            likely="a number of dimensions for which there is no mapping; raise ValueError with the reason",
            y_dim=y_dim,
        ) from error
    try:
        z: torch.Tensor = mapping(torch.randn(3, y_dim, generator=candidate.generator("dims")))
        shape, expected = tuple(z.shape), (3, mapping.z_dim)
    except Exception as error:
        raise Broken(f"in {y_dim} dimensions it raised {type(error).__name__}: {str(error)[:200]}") from error
    if shape != expected:
        raise Broken(f"in {y_dim} dimensions z has shape {shape}, expected {expected}")
    return z


class _OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations on tensors of two devices, which torch allows for some operations on the meta device."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs or {})) if isinstance(t, torch.Tensor) and t.dim() > 0]
        if len({t.device.type for t in tensors}) > 1 and "copy" not in str(function):
            raise _TwoDevices(f"{function} met tensors on {' and '.join(sorted({str(t.device) for t in tensors}))}")
        return function(*args, **(kwargs or {}))


class _TwoDevices(RuntimeError):
    pass


@check("io.device", _CLAUSE, level="standard")
def device(candidate: Candidate) -> None:
    """The device of z is that of y, and so with capabilities. Tried on the meta device, which needs no accelerator."""
    mapping = candidate.fresh()
    own, weaker = offered(mapping), annealed(mapping)  # before it is moved: a property may need values to be read
    as_part_converted(mapping, "meta")
    y = torch.empty(4, candidate.y_dim, device="meta")
    z = _elsewhere("", lambda: mapping(y))
    if z.device.type != "meta":
        raise Broken(f"z is on {z.device} for y on another device", likely=_MADE_ON_CPU)

    def at_half() -> Any:
        for part in weaker:
            part.set_strength(0.5)
        return mapping(y)

    calls = {"set_strength": at_half} if weaker else {}
    calls |= {name: functools.partial(call, z if name == "inverse" else y) for name, call in own.items()}
    for name, call in calls.items():
        try:
            _elsewhere(f"{name}() ", call)
        except Unsupported:
            continue  # it may look at values; a run calls it seldom, or not at all


_MADE_ON_CPU = "a tensor that is made on the CPU and is not a buffer; use y.new_tensor(...) or register_buffer"


def _elsewhere(what: str, call: Callable[[], Any]) -> Any:
    try:
        with _OneDevice():  # type: ignore[no-untyped-call]
            return call()
    except _TwoDevices as error:
        raise Broken(f"moved to another device, {what}{error}", likely=_MADE_ON_CPU) from error
    except Exception as error:
        said = first_line(error)
        # An error about two devices names both of them; an error about a missing value mentions item().
        if "cpu" in said and "meta" in said and "item" not in said:
            raise Broken(
                f"moved to another device {what or 'it '}raised {type(error).__name__}: {said}", likely=_MADE_ON_CPU
            ) from error
        raise Unsupported(
            f"without values it raised {type(error).__name__}: {said}",
            likely="a branch on a value (.item(), bool(tensor)), .cpu(), or a fixed device: an accelerator waits",
        ) from error
