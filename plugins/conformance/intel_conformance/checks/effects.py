"""Does a mapping leave the process as it was, and keep nothing of what it mapped? The checks belong to ``mode``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.other_randomness import other_randomness, random_states
from intel_conformance.outcomes import Broken
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Regularised

_SEED = 5
_CLAUSE = "contract, clause 2: a pure function of its parameters and the row"


def _quietly_detect_anomalies(on: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.autograd.set_detect_anomaly(on)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], None], tuple[Any, Any]]] = {
    "the number of threads": (torch.get_num_threads, torch.set_num_threads, (1, 2)),
    "the precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        ("highest", "high"),
    ),
    "whether algorithms are deterministic": (
        torch.are_deterministic_algorithms_enabled,
        lambda on: torch.use_deterministic_algorithms(on, warn_only=True),
        (False, True),
    ),
    "the detection of anomalies": (torch.is_anomaly_enabled, _quietly_detect_anomalies, (False, True)),
    "torch.backends.cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda on: setattr(torch.backends.cudnn, "benchmark", on),
        (False, True),
    ),
}
"""Settings of the whole process: how one is read, how it is set, and two values that it is tried with."""


@check("mode.side_effects", _CLAUSE)
def side_effects(candidate: Candidate) -> None:
    """A call changes no random state and no setting of the process, and leaves no gradients behind."""
    mapping = candidate.mapping()
    y = candidate.draw("effects", 10).requires_grad_()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    with other_randomness(), _restored():
        kept = random_states()
        candidate.call(mapping, y)
        changed = _changed_states(kept)
        left = [name for name, parameter in [*mapping.named_parameters(), ("y", y)] if parameter.grad is not None]
        if left:
            changed.append(f"the gradient of {left[0]}, to which a step adds its own")
        if torch.get_default_dtype() != dtype:
            changed.append("the default dtype")
        if torch.is_grad_enabled() != grad:
            changed.append("the gradient mode")
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        changed += _changed_settings(lambda: candidate.call(mapping, y))
    if changed:
        raise Broken(
            f"a call changed {' and '.join(changed)}",
            likely="a random number that is drawn in forward, a global setting that is changed, or backward()",
        )


def _seeds(candidate: Candidate) -> bool:
    """Whether torch's generator is in one state after building it, whatever the state was before."""
    after = []
    for seed in (_SEED, _SEED + 1):
        torch.default_generator.manual_seed(seed)
        candidate.built_unseeded(candidate.y_dim)
        after.append(torch.get_rng_state())
    return torch.equal(*after)


def _changed_settings(call: Callable[[], Any]) -> list[str]:
    """The settings of the process that are others after a call, whatever they were before."""
    found: list[str] = []
    for name, (read, put, values) in _SETTINGS.items():
        for value in values:
            put(value)
            call()
            if read() != value:
                found.append(name)
                break
    return found


@check("mode.building", "contract: the same seed gives the same mapping")
def building(candidate: Candidate) -> None:
    """Building it does not set torch's generator to one state, nor change another random state or a setting."""
    with other_randomness(), _restored():
        kept = random_states()
        candidate.fresh(moved=False)
        changed = _changed_states(kept)
        changed += _changed_settings(lambda: candidate.fresh(moved=False))
        seeds = candidate.given is None and _seeds(candidate)
    if seeds:
        raise Broken(
            "building it seeds torch's generator: with every seed of a run it is the same mapping",
            likely="torch.manual_seed() in __init__ or build(); draw from torch's generator as it is",
        )
    if changed:
        raise Broken(
            f"building it changed {' and '.join(changed)}",
            likely="random.seed(), np.random.seed(), or a number drawn from them, or a setting left from debugging",
        )


@check("mode.memory", "contract: a torch module, whose state is its parameters and buffers")
def memory(candidate: Candidate) -> None:
    """A call keeps nothing of a batch: what its attributes hold does not grow with the number of calls."""
    mapping = candidate.mapping().train()
    part, y = bare(mapping), candidate.draw("memory", 20)
    sizes: list[int] = []
    for _ in range(3):
        for _ in range(4):
            candidate.call(mapping, y.clone().requires_grad_())
            if isinstance(part, Regularised):
                part.map_with_regularisers(y.clone().requires_grad_())
        sizes.append(sum(_held(value) for one in mapping.modules() for value in _attributes(one)))
    if sizes[0] < sizes[1] < sizes[2]:
        raise Broken(
            f"its attributes hold {sizes[0]} values after 4 calls, {sizes[1]} after 8 and {sizes[2]} after 12",
            likely="a list or a dict to which every call adds: a run takes ever more memory",
            sizes=sizes,
        )


def _attributes(part: nn.Module) -> Iterator[Any]:
    return (value for name, value in vars(part).items() if name not in ("_parameters", "_buffers", "_modules"))


def _held(value: Any, depth: int = 3) -> int:
    """How many values a tensor has, and how many things a container holds, those in its own containers too."""
    if isinstance(value, torch.Tensor):
        return value.numel()
    if depth and isinstance(value, dict):
        return sum(1 + _held(item, depth - 1) for item in value.values())
    if (depth and isinstance(value, list | tuple | set | frozenset)) or type(value).__name__ == "deque":
        return sum(1 + _held(item, depth - 1) for item in value)
    return 0


@contextmanager
def _restored() -> Iterator[None]:
    """Settings of the process are afterwards what they were."""
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    settings = {name: read() for name, (read, _, _) in _SETTINGS.items()}
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        for name, value in settings.items():
            _SETTINGS[name][1](value)


def _changed_states(kept: dict[str, Any]) -> list[str]:
    return [f"the {name}" for name, state in random_states().items() if state != kept[name]]
