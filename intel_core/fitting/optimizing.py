"""What takes the steps of a run? What its optimiser builds, once that has taken two steps with a few numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from intel_core.compute.averaging import Averaged
from intel_core.errors import PluginError, SpecError
from intel_core.recipe.contracts import made_by
from intel_core.recipe.runspec import RunSpec
from intel_core.runs.tensors import is_like

__all__ = ["make_optimizer"]

_Build = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def make_optimizer(spec: RunSpec, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a model's parameters, with their moving average where the run has one.

    Raises:
        SpecError: if it cannot be built with these settings.
        PluginError: if it is no optimiser of all the model's parameters, or could not be trained with and resumed.
    """
    what, parameters = f"optimizer {spec.optimizer}", list(model.parameters())
    with made_by(what):
        try:
            found = spec.optimizer.build(parameters, spec.learning_rate)
        except ValueError as error:
            raise SpecError(f"{what}: {error}") from error
    if not isinstance(found, torch.optim.Optimizer):
        raise PluginError(f"{what}: build() gave a {type(found).__name__}, expected a torch.optim.Optimizer")
    if {id(p) for group in found.param_groups for p in group["params"]} != {id(p) for p in parameters}:
        raise PluginError(f"{what}: it optimises other parameters than those it was given")
    _try(what, lambda some: spec.optimizer.build(some, spec.learning_rate), parameters)
    if spec.optimizer.ema is None:
        return found
    if hasattr(found, "averaged"):
        raise SpecError(f"{what} averages the weights in its own way; leave out ema")
    return Averaged(found, model, spec.optimizer.ema)


def _try(what: str, build: _Build, parameters: Iterable[nn.Parameter]) -> None:
    """Take two steps with copies of the smallest parameter of each number of dimensions, and look at what is kept.

    Raises:
        PluginError: if `step` cannot be called as training calls it, or checkpoints cannot hold what it remembers.
    """
    smallest: dict[int, nn.Parameter] = {}
    for parameter in sorted(parameters, key=torch.numel, reverse=True):
        smallest[parameter.dim()] = parameter
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in smallest.values()]
    try:
        with torch.random.fork_rng(devices=[]):
            optimizer = build(copies)
    except Exception:  # what was built for all parameters may have no use for a few of them
        return
    if any(p.default is p.empty and p.name == "closure" for p in inspect.signature(optimizer.step).parameters.values()):
        raise PluginError(
            f"{what}: step() of {type(optimizer).__name__} wants a closure that computes the loss again, and training "
            "calls it without one"
        )
    with torch.random.fork_rng(devices=[]), made_by(f"{what}: step()"):
        for _ in range(2):
            for parameter in copies:
                parameter.grad = torch.full_like(parameter, 0.1)
            getattr(optimizer, "update", optimizer.step)()
        kept = optimizer.state_dict()["state"]
    for index, parameter in enumerate(copies):
        for key, value in kept.get(index, {}).items():
            _check_kept(f"{what}: it remembers {str(key)!r}", key, value, parameter)


def _check_kept(remembers: str, key: object, value: object, parameter: Tensor) -> None:
    """A checkpoint holds numbers as tensors, and tensors like the parameter (`intel_core.runs.tensors.is_like`).

    Raises:
        PluginError: for anything else.
    """
    if not isinstance(value, Tensor):
        raise PluginError(
            f"{remembers} as {type(value).__name__}, and checkpoints hold tensors only; make it one, as in "
            f"state[{key!r}] = torch.tensor(0.0)"
        )
    if value.dim() and not (is_like(value, parameter) and value.dtype == parameter.dtype):
        raise PluginError(
            f"{remembers} of shape {tuple(value.shape)} and type {value.dtype} for a parameter of shape "
            f"{tuple(parameter.shape)} and type {parameter.dtype}; checkpoints hold numbers, and tensors of the "
            "parameter's type and shape, or of 1 in some of its dimensions"
        )
