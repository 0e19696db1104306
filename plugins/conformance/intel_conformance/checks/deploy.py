"""Does it survive what is done to the parts of a model: saving, copying, pickling, compiling, another precision?"""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intel_conformance.as_part import as_part_loaded
from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.closeness import beyond_rounding, same_kernel, worst_difference
from intel_conformance.outcomes import Broken, NotApplicable, Unsupported, first_line
from intel_core.helpers.fewest_dims import build_seeded
from intel_core.mappings.compose import as_module
from intel_core.randomness import stream

_CLAUSE = "contract: a torch module, whose state is its parameters and buffers"


def _compare(found: Tensor, expected: Tensor, allowed: Tensor, what: str, likely: str) -> None:
    if found.shape != expected.shape:
        raise Broken(f"{what} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}", likely=likely)
    if (worst := worst_difference(found, expected, allowed)) is not None:
        raise Broken(f"{what} is off by {worst[0]:.3g} in row {worst[1][0]}", likely=likely, moved=worst[0])


def _compare_up_to_rounding(
    candidate: Candidate, mapping: nn.Module, y: Tensor, found: Tensor, expected: Tensor, what: str, likely: str
) -> None:
    if found.shape != expected.shape:
        raise Broken(f"{what} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}", likely=likely)
    if (worst := beyond_rounding(found, expected, mapping, y, candidate.generator("allowance"))) is not None:
        raise Broken(f"{what} is off by {worst[0]:.3g} in row {worst[1][0]}", likely=likely, moved=worst[0])


@check("deploy.state", _CLAUSE)
def state(candidate: Candidate) -> None:
    """Loading state_dict() makes another instance the same mapping, even if that one has been used before."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, so that no second one can be built")
    y = candidate.draw("state", 40)
    mapping = candidate.fresh().to(y)
    other = candidate.another().to(y)
    candidate.call(other, y)
    saved = {k: v.clone() if isinstance(v, Tensor) else v for k, v in mapping.state_dict().items()}
    as_part_loaded(other, saved)
    z = candidate.call(mapping, y)
    _compare(
        candidate.call(other, y),
        z,
        same_kernel(z),
        "z after load_state_dict",
        "a random tensor that is neither a parameter nor a buffer, register_buffer(persistent=False), or a stale cache",
    )


@check("deploy.copy", _CLAUSE)
def copies(candidate: Candidate) -> None:
    """A deep copy is the same mapping, and changing it does not change the original."""
    mapping, y = candidate.fresh().to(candidate.device, torch.float64), candidate.draw("copy", 40)
    z = candidate.call(mapping, y).detach()
    try:
        other = copy.deepcopy(mapping)
    except Exception as error:
        raise Broken(f"copy.deepcopy raised {type(error).__name__}: {str(error)[:200]}") from error
    _compare(
        candidate.call(other, y),
        z,
        same_kernel(z),
        "z of a deep copy",
        "__deepcopy__, or state kept outside the module",
    )
    with torch.no_grad():
        for value in [*other.parameters(), *other.buffers()]:
            if value.is_floating_point():
                value.add_(1.0)
    _compare(
        candidate.call(mapping, y),
        z,
        same_kernel(z),
        "z, after a deep copy's parameters were changed,",
        "tensors that instances share: a class attribute, or a cache at module level",
    )


@check("deploy.pickle", _CLAUSE)
def pickled(candidate: Candidate) -> None:
    """After pickling and unpickling, as for worker processes, it is the same mapping."""
    mapping, y = candidate.fresh().to(candidate.device, torch.float64), candidate.draw("pickle", 40)
    z = candidate.call(mapping, y)
    try:
        other = pickle.loads(pickle.dumps(mapping))
    except Exception as error:
        raise Unsupported(
            f"pickle raised {type(error).__name__}: {str(error)[:200]}",
            likely="an attribute that is a lambda, or of a class defined inside a function",
        ) from error
    _compare(
        candidate.call(other, y),
        z,
        same_kernel(z),
        "z after pickling",
        "__getstate__ or __reduce__ leaves something out",
    )


@check("deploy.spec", "contract: everything that must survive on disk is in the spec")
def spec(candidate: Candidate) -> None:
    """The spec that is read back from its JSON is equal, and builds the same mapping."""
    if candidate.specs is None:
        raise NotApplicable("the mapping was given as an object, not as a spec")
    y = candidate.draw("spec", 20)
    again = []
    for part in candidate.specs:
        before = part.model_dump_json()
        with (
            torch.random.fork_rng(devices=[]),
            contextlib.suppress(ValueError),
        ):  # a later part of a composition gets another number of dimensions
            part.build(len(part.dims) if part.dims else candidate.y_dim)
        if part.model_dump_json() != before:
            raise Broken(
                f"build() changed the spec from {before[:120]}", likely="a list or dict field that is changed in place"
            )
        try:
            read = type(part).model_validate_json(before)
        except Exception as error:
            raise Broken(f"its JSON {before[:120]} cannot be read back: {str(error)[:160]}") from error
        if read != part:
            raise Broken(
                f"read back from JSON it is {read!r}, expected {part!r}",
                likely="a validator that changes the value each time it runs, or a field that is not written",
            )
        again.append(read)
    seed = stream(candidate.seed, "mapping")
    mapping, other = (as_module(build_seeded(specs, candidate.y_dim, seed)).to(y) for specs in (candidate.specs, again))
    z = candidate.call(mapping, y)
    _compare(candidate.call(other, y), z, same_kernel(z), "z of the spec read back from JSON", "a private attribute")


@check("deploy.seeded", "contract: the same seed gives the same mapping")
def seeded(candidate: Candidate) -> None:
    """Built twice after torch.manual_seed with the same seed, it is the same mapping."""
    if candidate.given is not None:
        raise NotApplicable("the mapping was given as an object, so that no second one can be built")
    y = candidate.draw("seeded", 20)
    first, second = (candidate.fresh(moved=False).to(candidate.device, torch.float64) for _ in range(2))
    z = candidate.call(first, y)
    _compare(
        candidate.call(second, y),
        z,
        same_kernel(z),
        "z of a second instance from the same seed",
        "numpy's, Python's or another generator in __init__; draw initial values with torch",
    )


@check("deploy.vmap", "transforms: torch.func.vmap")
def vmap(candidate: Candidate) -> None:
    """torch.func.vmap gives the same z over single rows, and over the parameters of two replicates."""
    for dtype in candidate.dtypes:
        for training in (True, False):
            mapping = candidate.mapping(dtype).train(training)
            y = candidate.draw("vmap", 9).to(dtype)
            z = candidate.call(mapping, y)
            found = _tried("torch.func.vmap", torch.func.vmap(mapping), y)
            likely = "an operation over dimension 0, which is not the batch under vmap"
            _compare_up_to_rounding(candidate, mapping, y, found, z, "z under vmap", likely)
    _stacked(candidate)


def _stacked(candidate: Candidate) -> None:
    """Two replicates as one stack, as `intel train --replicates` trains them."""
    first = candidate.mapping()
    second = first if candidate.given is not None else candidate.another().to(candidate.device, torch.float64)
    if not dict(first.named_parameters()) and not dict(first.named_buffers()):
        return
    y = candidate.draw("stacked", 2, 9)
    try:
        parameters, buffers = torch.func.stack_module_state([first, second])
        expected = torch.stack([candidate.call(part, rows) for part, rows in zip((first, second), y, strict=True)])

        def one(p: dict[str, Tensor], b: dict[str, Tensor], rows: Tensor) -> Tensor:
            found: Tensor = torch.func.functional_call(first, (p, b), (rows,))
            return found

        found = torch.func.vmap(one)(parameters, buffers, y)
    except Broken:
        raise
    except Exception as error:
        said = first_line(error, 160)
        raise Unsupported(
            f"replicates cannot be stacked: {type(error).__name__}: {said}",
            likely=".item(), a branch on values, an operation in place; replicates then run one after another",
        ) from error
    for number, (part, rows) in enumerate(zip((first, second), y, strict=True)):
        _compare_up_to_rounding(
            candidate,
            part,
            rows,
            found[number],
            expected[number],
            "z of stacked replicates",
            "a value outside the state",
        )


@check("deploy.compile", "transforms: torch.compile", level="standard")
def compiled(candidate: Candidate) -> None:
    """torch.compile captures it in one graph, which gives the same z. No compiler needs to be installed."""
    dtype = candidate.dtypes[0]
    mapping, y = candidate.mapping(dtype), candidate.draw("compile", 9).to(dtype)
    z = candidate.call(mapping, y)
    torch.compiler.reset()
    found = _tried("torch.compile(fullgraph=True)", torch.compile(mapping, backend="eager", fullgraph=True), y)
    likely = "a value of the first call that is frozen in the graph"
    _compare_up_to_rounding(candidate, mapping, y, found, z, "z of the compiled mapping", likely)
    y = candidate.draw("compile again", 9).to(dtype)
    z = candidate.call(mapping, y)
    found = _tried("a second call of the compiled mapping", torch.compile(mapping, backend="eager", fullgraph=True), y)
    likely = "a value of the first call that is kept"
    _compare_up_to_rounding(candidate, mapping, y, found, z, "z of a second call of the compiled mapping", likely)


@check("deploy.bfloat16", "contract, clause 1: the same dtype")
def bfloat16(candidate: Candidate) -> None:
    """For y in bfloat16, z is finite, in bfloat16, and close to z in float32."""
    exact, y = candidate.mapping(torch.float32), candidate.draw("bfloat16", 40).bfloat16()
    mapping = candidate.mapping(torch.bfloat16)
    z = _tried("bfloat16", mapping, y)
    if z.dtype != torch.bfloat16:
        raise Broken(f"z is {z.dtype} for y of torch.bfloat16", likely="a tensor that is made with a fixed dtype")
    if not bool(torch.isfinite(z).all()):
        raise Unsupported(
            "z is not finite in bfloat16", likely="a small constant that vanishes when it is added to 1 in 8 bits"
        )
    # Parameters rounded to 8 bits make a slightly different mapping, so that only a gross difference counts.
    expected = candidate.call(exact, y.float())
    near = (z.float() - expected).abs() <= 0.2 * expected.abs().amax(0).clamp(min=1e-30)
    if float(near.float().mean()) < 0.5:
        raise Unsupported(
            "in bfloat16 most of z is more than 20 % off", likely="sums of many terms; compute them in float32"
        )


def _tried(what: str, function: Callable[[Tensor], Any], y: Tensor) -> Tensor:
    """The result of a call that need not be supported: if it fails, that is a warning and no breach of the contract."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(y)
    except Exception as error:
        said = first_line(error)
        raise Unsupported(
            f"{what} raised {type(error).__name__}: {said}",
            likely="a branch on a value (if, .item()), a random number, or an unsupported operation",
        ) from error
    assert isinstance(found, Tensor), f"{what} gave {type(found).__name__}"
    return found
