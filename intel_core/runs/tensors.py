"""Are these the tensors that a model and its training hold? Names, shapes, types and values, before any is used.

torch itself looks at less: an optimiser takes moments of any shape, and its kernel then walks them by the size of the
parameter. Here every tensor of a file is held to what the model and the optimiser say, all of them and nothing else.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intel_core.compute.averaging import Averaged
from intel_core.data.values import to_float
from intel_core.errors import RunError
from intel_core.runs.contents import StateContent, require
from intel_core.training.trainer import Trainer

__all__ = ["DIMS_OF_ONES", "DimsOfOnes", "most_bytes", "require_state", "require_weights", "shape_kept"]

DIMS_OF_ONES = "dims_of_ones"
"""The attribute in which a run's optimiser keeps in which dimensions it remembers one number for all (`shape_kept`)."""
DimsOfOnes = dict[tuple[int, str], frozenset[int]]
"""By a parameter's number of dimensions and the name of what is remembered."""
_SLACK = 64 * 2**20
_OF_OPTIMIZER = re.compile(r"optimizer/(0|[1-9]\d{0,8})/(\w+)")
_ADAM = ("step", "exp_avg", "exp_avg_sq")


def most_bytes(model: nn.Module) -> int:
    """Bytes that a file of tensors of a model or of its training may have: weights, moments, and some slack.

    >>> most_bytes(nn.Identity()) == 64 * 2**20
    True
    """
    tensors = [value for value in model.state_dict().values() if isinstance(value, Tensor)]
    return _SLACK + sum(4 * value.numel() * value.element_size() + 4096 for value in tensors)


def require_weights(what: str, found: Dictionary[str, Tensor], model: nn.Module, misfit: str = "") -> None:
    """Hold weights and buffers to those of a model.

    Args:
        what: whose they are, for the message.
        found: tensors by name.
        model: as it was built; where it has finite values, finite ones are expected.
        misfit: what is said of them if they are those of another model.

    Raises:
        RunError: naming the first tensors that are missing, unexpected, of another shape or type, or not finite.

    >>> require_weights("the weights", {"weight": torch.ones(2, 3)}, nn.Linear(2, 2))
    Traceback (most recent call last):
    intel_core.errors.RunError: the weights: bias is missing; weight has shape [2, 3], expected [2, 2]
    """
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    _require_same(what + misfit, found, own)
    finite = [name for name, value in own.items() if _is_finite(value)]
    _require_finite(what, {name: found[name] for name in finite})


def require_state(trainer: Trainer, step: int, tensors: Dictionary[str, Dictionary[str, Tensor]], state: Any) -> None:
    """Hold a checkpoint to what a trainer at its first step expects, before it loads anything of it.

    Args:
        trainer: as it was built.
        step: the checkpoint's.
        tensors: by file and name.
        state: what the trainer's parts remember beside tensors.

    Raises:
        RunError: naming what does not fit.
    """
    require(Path("state.json"), StateContent, state)
    if not 0 <= step <= trainer.steps or state["best_step"] > step:
        raise RunError(f"step {step:,} is not one of the {trainer.steps:,} of this run")
    has_best = state["best"] is not None
    if has_best and trainer.stopping.patience is None:
        raise RunError("it holds the best model of a run that stops early, and this one does not")
    averages = hasattr(trainer.optimizer, "averaged")
    expected = {"model", "training"} | ({"best"} if has_best else set()) | ({"averaged"} if averages else set())
    if set(tensors) != expected:
        raise RunError(f"it holds {_listed(tensors)}, expected {_listed(expected)}")
    for name in sorted(expected - {"training"}):
        require_weights(f"{name}.safetensors", tensors[name], trainer.model)
    _require_training(trainer, step, tensors["training"], tensors["model"], state["window"])


def _require_training(
    trainer: Trainer, step: int, found: Dictionary[str, Tensor], weights: Dictionary[str, Tensor], names: list[str]
) -> None:
    what = "training.safetensors"
    expected = {"noise": trainer.noise.get_state()}
    if names:
        expected["window"] = _window(trainer, step, found.get("window"), names)
    expected |= _moments(trainer, step, found, weights)
    _require_same(what, found, expected)
    _require_finite(what, {name: value for name, value in found.items() if value.is_floating_point()})
    for name, value in found.items():
        if name.endswith(("/step", "/average_step")) and not (0 <= float(value) <= step and float(value).is_integer()):
            raise RunError(f"{what}: {name} is {float(value):g}, expected a number of steps from 0 to {step}")
        if name.endswith(("/exp_avg_sq", "/average_running_var")) and bool((value < 0).any()):
            raise RunError(f"{what}: {name} holds negative numbers, and is a mean of squares")
    _require_generator(what, found["noise"], trainer.device)


_WORDS = 624
"""Of the Mersenne twister."""
_OF_CPU = struct.Struct(f"<QiiQ{8 * _WORDS}xdddi4xfB3x")
"""A state of torch's generator on a CPU: the seed, how many words are left, whether it was seeded, which is next, the
words, and the normal numbers that are kept for the next draw."""


def _require_generator(what: str, state: Tensor, device: torch.device) -> None:
    """Hold a generator's state to what torch takes, and to places that lie within it, which torch does not look at."""
    try:
        torch.Generator(device).set_state(state)
    except (RuntimeError, TypeError) as error:
        raise RunError(f"{what}: noise is no state of a generator") from error
    if state.numel() != _OF_CPU.size:
        return  # an accelerator's is a seed and a count of what was drawn
    _, left, _, following, *kept = _OF_CPU.unpack(state.numpy().tobytes())
    if left + following not in {_WORDS + 1} | ({1} if left == 1 else set()):
        raise RunError(f"{what}: noise is no state of a generator: {left} words are left after word {following}")
    if not all(math.isfinite(number) for number in kept):
        raise RunError(f"{what}: noise holds NaN or infinity")


def _moments(
    trainer: Trainer, step: int, found: Dictionary[str, Tensor], weights: Dictionary[str, Tensor]
) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, as far as it has begun to: of some parameters it never does."""
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    own = trainer.model.state_dict()
    parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    averaged = trainer.optimizer if isinstance(trainer.optimizer, Averaged) else None
    optimizer = trainer.optimizer if averaged is None else averaged.optimizer
    kept: dict[int, set[str]] = {}
    for name in found:
        if part := _OF_OPTIMIZER.fullmatch(name):
            kept.setdefault(int(part[1]), set()).add(part[2])
    is_adam = isinstance(optimizer, torch.optim.Adam)
    # A start sets parameters, whether they ever have a gradient or not.
    set_by_start = {id(parameter) for parameter in getattr(trainer.objective, "parameters_of_clusters", ())}
    expected: dict[str, Tensor] = {}
    for index, parameter in enumerate(parameters):
        averages = averaged.remembered(index) if averaged is not None and step else set()
        keys: Collection[str] = kept.get(index, set()) - averages
        name = "" if id(parameter) in set_by_start else names.get(id(parameter), "")
        # A parameter without a gradient has no moments, and is still what it was at first.
        was_moved = name in own and not torch.equal(weights[name].to(parameter.device), own[name])
        if is_adam and step and (keys or was_moved):
            keys = (*_ADAM, *(["max_exp_avg_sq"] if optimizer.defaults.get("amsgrad") else []))
        for key in (*keys, *averages):
            entry = f"optimizer/{index}/{key}"
            value = found.get(entry)
            is_scalar = key in ("step", "average_step") or (not is_adam and value is not None and value.dim() == 0)
            shape = shape_kept(optimizer, key, parameter)
            like = parameter if shape == parameter.shape else parameter.new_empty(shape)
            expected[entry] = _scalar(optimizer, value) if is_scalar else like
    return expected


def shape_kept(optimizer: torch.optim.Optimizer, key: str, parameter: Tensor) -> torch.Size:
    """The shape of what an optimiser remembers of a parameter: the parameter's, but for dimensions that it averages.

    >>> optimizer = torch.optim.SGD([torch.zeros(3, 2)])
    >>> shape_kept(optimizer, "row_var", torch.zeros(3, 2))
    torch.Size([3, 2])
    >>> setattr(optimizer, DIMS_OF_ONES, {(2, "row_var"): {1}})
    >>> shape_kept(optimizer, "row_var", torch.zeros(3, 2))
    torch.Size([3, 1])
    """
    known: DimsOfOnes = getattr(optimizer, DIMS_OF_ONES, {})
    ones = known.get((parameter.dim(), key), frozenset())
    return torch.Size(1 if d in ones else n for d, n in enumerate(parameter.shape))


def _scalar(optimizer: torch.optim.Optimizer, value: Tensor | None) -> Tensor:
    """A count of steps: float32 in the fused kernel, of the default's type in torch's others, or a whole number."""
    if value is None or optimizer.defaults.get("fused"):
        return torch.zeros(())
    is_own_count = value.dtype == torch.int64 and not isinstance(optimizer, torch.optim.Adam)
    return torch.zeros((), dtype=value.dtype if value.is_floating_point() or is_own_count else torch.float32)


@torch.no_grad()
def _window(trainer: Trainer, step: int, found: Tensor | None, names: list[str]) -> Tensor:
    """The terms of the steps since the last line, as the objective has them."""
    model, was_training = trainer.model.eval(), trainer.model.training
    part = trainer.dataset.validation.part(torch.arange(min(2, len(trainer.dataset.validation))))
    x, given = part.x.to(trainer.device), model.on(part.conditions)
    noise = torch.zeros(trainer.objective.particles, len(x), model.noise_dim, device=trainer.device)
    with torch.random.fork_rng(devices=[]):
        terms = trainer.objective(given, to_float(x), noise, trainer.scheduled.of_terms).numbers()
    model.train(was_training)
    if names != list(terms):
        raise RunError(f"it holds the terms {_listed(names)}, the objective has {_listed(terms)}")
    most = min(step, trainer.settings.log_every)
    rows = len(found) if found is not None and found.dim() and 1 <= len(found) <= most else most
    return torch.stack(list(terms.values())).expand(rows, len(names))


def _require_same(what: str, found: Dictionary[str, Tensor], expected: Dictionary[str, Tensor]) -> None:
    problems = [f"{_short(name)} is missing" for name in expected if name not in found]
    problems += [f"{_short(name)} is unexpected" for name in found if name not in expected]
    for name, own in expected.items():
        if name not in found:
            continue
        value = found[name]
        if value.shape != own.shape:
            problems.append(f"{_short(name)} has shape {list(value.shape)[:8]}, expected {list(own.shape)}")
        elif value.dtype != own.dtype:
            problems.append(f"{_short(name)} has type {_type(value)}, expected {_type(own)}")
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise RunError(f"{what}: {'; '.join(problems[:3])}{more}")


def _require_finite(what: str, found: Dictionary[str, Tensor]) -> None:
    for name, value in found.items():
        if not _is_finite(value):
            raise RunError(f"{what}: {_short(name)} holds NaN or infinity")


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _short(name: str) -> str:
    return name if len(name) <= 80 and name.isprintable() else f"{name[:80]!r}…"


def _listed(names: Collection[str]) -> str:
    return ", ".join(_short(name) for name in sorted(names)[:8]) or "nothing"
