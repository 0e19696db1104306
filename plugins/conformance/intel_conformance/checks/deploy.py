"""Can it be saved, copied, compiled and moved? What everything around a model does to its parts."""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from intel_conformance.check import check
from intel_conformance.closeness import allowance, same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported
from intel_conformance.subject import Subject
from intel_core.helpers.fewest_dims import build_seeded
from intel_core.mappings.compose import as_module
from intel_core.randomness import stream

_CLAUSE = "contract: a torch module, whose state is its parameters and buffers"


def _compare(found: Tensor, expected: Tensor, allowed: Tensor, what: str, likely: str) -> None:
    if found.shape != expected.shape:
        raise Broken(f"{what} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}", likely=likely)
    if (worst := worst_difference(found, expected, allowed)) is not None:
        raise Broken(f"{what} is off by {worst[0]:.3g} in row {worst[1][0]}", likely=likely, moved=worst[0])


@check("deploy.state", _CLAUSE)
def state(subject: Subject) -> None:
    """What state_dict() holds makes another instance the same mapping, one that was in use already included."""
    if subject.given is not None:
        raise NotApplicable("the mapping was given as an object, so that no second one can be built")
    y = subject.draw("state", 40)
    mapping = subject.fresh().to(y)
    other = subject.another().to(y)
    subject.call(other, y)
    saved = {k: v.clone() if isinstance(v, Tensor) else v for k, v in mapping.state_dict().items()}
    try:
        other.load_state_dict(saved)
    except Exception as error:
        said = str(error).strip().replace("\n", " ")[:200]
        raise Broken(f"load_state_dict raised {type(error).__name__}: {said}", likely="state made on use") from error
    z = subject.call(mapping, y)
    _compare(
        subject.call(other, y),
        z,
        same_kernel(z),
        "z after load_state_dict",
        "a random tensor that is neither parameter nor buffer, register_buffer(persistent=False), or a stale cache",
    )


@check("deploy.copy", _CLAUSE)
def copies(subject: Subject) -> None:
    """A deep copy is the same mapping, and changing it does not change the original."""
    mapping, y = subject.fresh().to(subject.device, torch.float64), subject.draw("copy", 40)
    z = subject.call(mapping, y).detach()
    try:
        other = copy.deepcopy(mapping)
    except Exception as error:
        raise Broken(f"copy.deepcopy raised {type(error).__name__}: {str(error)[:200]}") from error
    _compare(subject.call(other, y), z, same_kernel(z), "z of a deep copy", "__deepcopy__, or state outside the module")
    with torch.no_grad():
        for value in [*other.parameters(), *other.buffers()]:
            if value.is_floating_point():
                value.add_(1.0)
    _compare(
        subject.call(mapping, y),
        z,
        same_kernel(z),
        "z, after a deep copy's parameters were changed,",
        "tensors shared between instances: a class attribute, a module-level cache",
    )


@check("deploy.pickle", _CLAUSE)
def pickled(subject: Subject) -> None:
    """Pickled and unpickled, as worker processes do, it is the same mapping."""
    mapping, y = subject.fresh().to(subject.device, torch.float64), subject.draw("pickle", 40)
    z = subject.call(mapping, y)
    try:
        other = pickle.loads(pickle.dumps(mapping))
    except Exception as error:
        raise Unsupported(
            f"pickle raised {type(error).__name__}: {str(error)[:200]}",
            likely="a lambda or a class defined in a function, kept as an attribute",
        ) from error
    _compare(subject.call(other, y), z, same_kernel(z), "z after pickling", "__getstate__ or __reduce__ forgets a part")


@check("deploy.spec", "contract: everything that must survive on disk is in the spec")
def spec(subject: Subject) -> None:
    """The spec read back from its JSON is equal and builds the same mapping."""
    if subject.specs is None:
        raise NotApplicable("the mapping was given as an object, not as a spec")
    y = subject.draw("spec", 20)
    again = []
    for part in subject.specs:
        before = part.model_dump_json()
        with (
            torch.random.fork_rng(devices=[]),
            contextlib.suppress(ValueError),
        ):  # a later part of a composition gets another number of dimensions
            part.build(len(part.dims) if part.dims else subject.y_dim)
        if part.model_dump_json() != before:
            raise Broken(
                f"build() changed the spec from {before[:120]}", likely="a list or dict field is changed in place"
            )
        try:
            read = type(part).model_validate_json(before)
        except Exception as error:
            raise Broken(f"its JSON {before[:120]} cannot be read back: {str(error)[:160]}") from error
        if read != part:
            raise Broken(
                f"read back from JSON it is {read!r}, expected {part!r}",
                likely="a validator that changes a value each time, or a field that is not written",
            )
        again.append(read)
    seed = stream(subject.seed, "mapping")
    mapping, other = (as_module(build_seeded(specs, subject.y_dim, seed)).to(y) for specs in (subject.specs, again))
    z = subject.call(mapping, y)
    _compare(subject.call(other, y), z, same_kernel(z), "z of the spec read back from JSON", "a private attribute")


@check("deploy.seeded", "contract: the same seed gives the same mapping")
def seeded(subject: Subject) -> None:
    """Built twice after torch.manual_seed with one seed, it is the same mapping."""
    if subject.given is not None:
        raise NotApplicable("the mapping was given as an object, so that no second one can be built")
    y = subject.draw("seeded", 20)
    first, second = (subject.fresh(moved=False).to(subject.device, torch.float64) for _ in range(2))
    z = subject.call(first, y)
    _compare(
        subject.call(second, y),
        z,
        same_kernel(z),
        "z of a second instance from the same seed",
        "numpy's, Python's or another generator in __init__; draw initial values with torch",
    )


@check("deploy.vmap", "transforms: torch.func.vmap")
def vmap(subject: Subject) -> None:
    """torch.func.vmap over single rows gives what the batch gives."""
    for dtype in subject.dtypes:
        for training in (True, False):
            mapping = subject.mapping(dtype).train(training)
            y = subject.draw("vmap", 9).to(dtype)
            z = subject.call(mapping, y)
            allowed = allowance(mapping, y, z, subject.generator("allowance"))
            found = _tried("torch.func.vmap", torch.func.vmap(mapping), y)
            _compare(found, z, allowed, "z under vmap", "something over dimension 0, which is not the batch here")


@check("deploy.compile", "transforms: torch.compile", level="standard")
def compiled(subject: Subject) -> None:
    """torch.compile makes one graph of it, which gives the same z; no compiler of the machine is needed."""
    dtype = subject.dtypes[0]
    mapping, y = subject.mapping(dtype), subject.draw("compile", 9).to(dtype)
    z = subject.call(mapping, y)
    allowed = allowance(mapping, y, z, subject.generator("allowance"))
    torch.compiler.reset()
    found = _tried("torch.compile(fullgraph=True)", torch.compile(mapping, backend="eager", fullgraph=True), y)
    _compare(found, z, allowed, "z of the compiled mapping", "a value of the first call that the graph has kept")
    y = subject.draw("compile again", 9).to(dtype)
    z = subject.call(mapping, y)
    allowed = allowance(mapping, y, z, subject.generator("allowance"))
    found = _tried("a second call of the compiled mapping", torch.compile(mapping, backend="eager", fullgraph=True), y)
    _compare(found, z, allowed, "z of a second call of the compiled mapping", "a value of the first call is kept")


@check("deploy.bfloat16", "contract, clause 1: the same dtype")
def bfloat16(subject: Subject) -> None:
    """bfloat16 in gives finite bfloat16 out, near what float32 gives."""
    exact, y = subject.mapping(torch.float32), subject.draw("bfloat16", 40).bfloat16()
    mapping = subject.mapping(torch.bfloat16)
    z = _tried("bfloat16", mapping, y)
    if z.dtype != torch.bfloat16:
        raise Broken(f"z is {z.dtype} for y of torch.bfloat16", likely="a tensor made with a dtype of its own")
    if not bool(torch.isfinite(z).all()):
        raise Unsupported("z is not finite in bfloat16", likely="a small constant that is 0 beside 1 in 8 bits")
    # Parameters rounded to 8 bits make a slightly different map, so only a gross difference tells.
    expected = subject.call(exact, y.float())
    near = (z.float() - expected).abs() <= 0.2 * expected.abs().amax(0).clamp(min=1e-30)
    if float(near.float().mean()) < 0.5:
        raise Unsupported("in bfloat16 most of z is more than 20 % off", likely="sums of many terms; widen inside")


def _tried(what: str, function: Callable[[Tensor], Any], y: Tensor) -> Tensor:
    """A call that may be unsupported, which is worth a warning and no breach of the contract."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(y)
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:200]
        raise Unsupported(
            f"{what} raised {type(error).__name__}: {said}",
            likely="a branch on a value (if, .item()), a random number, an operation that it does not know",
        ) from error
    assert isinstance(found, Tensor), f"{what} gave {type(found).__name__}"
    return found
