"""What takes the steps of a run? What its optimiser builds, once that has taken two steps with a few numbers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from intel_core.compute.averaging import Averaged
from intel_core.errors import PluginError, SpecError
from intel_core.recipe.contracts import made_by
from intel_core.recipe.runspec import RunSpec
from intel_core.runs.tensors import DIMS_OF_ONES, DimsOfOnes

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
    _require_no_closure(what, found)
    kept = _tried(what, lambda some: spec.optimizer.build(some, spec.learning_rate), parameters)
    setattr(found, DIMS_OF_ONES, kept)
    if spec.optimizer.ema is None:
        return found
    if hasattr(found, "averaged"):
        raise SpecError(f"{what} averages the weights in its own way; leave out ema")
    return Averaged(found, model, spec.optimizer.ema)


def _require_no_closure(what: str, optimizer: torch.optim.Optimizer) -> None:
    """Refuse what is stepped with a closure, as LBFGS is.

    Raises:
        PluginError: saying so.
    """
    step = inspect.signature(getattr(optimizer, "update", optimizer.step))
    if any(parameter.default is parameter.empty for parameter in step.parameters.values()):
        raise PluginError(
            f"{what}: step{step} of {type(optimizer).__name__} wants arguments, such as a closure that computes the "
            "loss again, and training calls it without any"
        )


def _tried(what: str, build: _Build, parameters: Iterable[nn.Parameter]) -> DimsOfOnes:
    """Two steps with copies of the smallest and the largest parameter of each number of dimensions, meta tensors apart.

    Returns:
        What `intel_core.runs.tensors.shape_kept` needs to know of the tensors that are remembered.

    Raises:
        PluginError: if a step fails, or checkpoints cannot hold what is remembered.
    """
    chosen: dict[tuple[int, str], nn.Parameter] = {}
    for parameter in sorted((p for p in parameters if not p.is_meta), key=torch.numel):
        chosen.setdefault((parameter.dim(), "smallest"), parameter)
        chosen[parameter.dim(), "largest"] = parameter
    copies = [nn.Parameter(p.detach().clone()) for p in {id(p): p for p in chosen.values()}.values()]
    if not copies:
        return {}
    with torch.random.fork_rng(devices=[]):
        try:
            optimizer = build(copies)
        except Exception:  # what was built for all parameters may have no use for a few of them
            return {}
        before = _numbers_of_groups(optimizer)
        with made_by(f"{what}: step()"):
            for _ in range(2):
                for parameter in copies:
                    parameter.grad = torch.full_like(parameter, 0.1)
                getattr(optimizer, "update", optimizer.step)()
            kept = optimizer.state_dict()["state"]
    after = _numbers_of_groups(optimizer)
    groups = zip(before, after, strict=True)
    if changed := sorted({key for was, now in groups for key in now if was.get(key) != now[key]}):
        raise PluginError(
            f"{what}: its steps change {changed[0]!r} of a group of parameters, which no checkpoint holds; keep it in "
            "the state of a parameter, as a tensor"
        )
    found: DimsOfOnes = {}
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        for key, value in kept.get(index, {}).items():
            if ones := _dims_of_ones(f"{what}: it remembers {str(key)!r}", key, value, parameter):
                found[parameter.dim(), key] = ones
    return found


def _numbers_of_groups(optimizer: torch.optim.Optimizer) -> list[dict[str, str]]:
    """What each group holds beside parameters; nothing of an optimiser that puts it into its state itself."""
    if type(optimizer).state_dict is not torch.optim.Optimizer.state_dict:
        return []
    return [
        {str(key): repr(value) for key, value in group.items() if key not in ("params", "lr")}
        for group in optimizer.param_groups
    ]


def _dims_of_ones(remembers: str, key: object, value: object, parameter: Tensor) -> frozenset[int]:
    """The dimensions in which what is remembered has length 1, and the parameter more.

    Raises:
        PluginError: if a checkpoint cannot hold it.
    """
    if not isinstance(value, Tensor):
        raise PluginError(
            f"{remembers} as {type(value).__name__}, and checkpoints hold tensors only; make it one, as in "
            f"state[{key!r}] = torch.tensor(0.0)"
        )
    if not re.fullmatch(r"\w+", str(key)):
        raise PluginError(f"{remembers}, a name that checkpoints cannot hold; use letters, digits and _ only")
    if not bool(torch.isfinite(value).all()):
        raise PluginError(f"{remembers} as {value!r:.40}, which is not finite: a checkpoint with it counts as damaged")
    if value.dim() == 0:
        if not (value.is_floating_point() or value.dtype == torch.int64):
            raise PluginError(f"{remembers} as a number of type {value.dtype}, expected a float or int64")
        return frozenset()
    like = value.dim() == parameter.dim() and value.dtype == parameter.dtype
    if not like or any(n not in (1, own) for n, own in zip(value.shape, parameter.shape, strict=True)):
        raise PluginError(
            f"{remembers} of shape {tuple(value.shape)} and type {value.dtype} for a parameter of shape "
            f"{tuple(parameter.shape)} and type {parameter.dtype}; checkpoints hold numbers, and tensors of the "
            "parameter's type and shape, or of 1 in some of its dimensions"
        )
    return frozenset(d for d, (n, own) in enumerate(zip(value.shape, parameter.shape, strict=True)) if n < own)
