"""At which moments of a training are others called? The hooks, and what they are shown.

A hook plugin is a module or an object whose functions are marked with `hookimpl` and named as in `RunHooks`. Installed
plugins register under the entry-point group ``intelvae.hooks`` (`intel_core.fitting.hook_plugins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from intel_core.errors import PluginError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from intel_core.data.dataset import Dataset
    from intel_core.model.vae import InteLVAE
    from intel_core.training.process_group import ProcessGroup
    from intel_core.training.settings import TrainingSettings
    from intel_core.training.stopping import StopReason

__all__ = ["RunHooks", "Training", "hook_manager", "hookimpl", "marked", "register_hooks"]

_PROJECT = "intelvae"
hookspec = pluggy.HookspecMarker(_PROJECT)
hookimpl = pluggy.HookimplMarker(_PROJECT)
"""Marks a function as the implementation of one of the hooks in `RunHooks`."""


class Training(Protocol):
    """What a hook is shown of a training: a `Trainer`, or several seeds that are trained as one stack.

    Attributes:
        settings: how it is trained; in a run that `fit` began, the whole resolved `RunSpec`.
        model: the model; of a stack, that of the first seed.
        dataset: the data.
        processes: the processes that share each batch.
        folder: the run directory, if there is one.
        step: steps taken so far.
        steps: steps in all.
        seconds: time spent in steps.
    """

    settings: TrainingSettings
    model: InteLVAE
    dataset: Dataset
    processes: ProcessGroup
    folder: Path | None
    step: int
    steps: int
    seconds: float

    @property
    def epoch(self) -> float:
        """Passes over the training data so far."""
        ...

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the training ends after the current step, if it does."""
        ...

    def stop(self, reason: str | StopReason) -> None:
        """End the training after the current step."""
        ...


class RunHooks:
    """The moments of a run at which plugins are called; take only the arguments you need."""

    @hookspec
    def tried(self, record: dict[str, Any]) -> None:
        """After each trial of a run with restarts: ``start``, ``of``, ``seed``, ``step`` and validation ``loss``."""

    @hookspec
    def run_start(self, trainer: Training) -> None:
        """Once, before the first step of a run or of its continuation."""

    @hookspec
    def step_end(self, trainer: Training) -> None:
        """After every step; costs time only if some plugin implements it."""

    @hookspec
    def logged(self, trainer: Training, record: dict[str, Any]) -> None:
        """After every logged line: means of each term since the line before, in nats per example."""

    @hookspec
    def evaluated(self, trainer: Training, record: dict[str, Any]) -> None:
        """After every evaluation on the validation data."""

    @hookspec
    def saved(self, trainer: Training, path: str) -> None:
        """After every checkpoint, with its folder."""

    @hookspec
    def diverged(self, trainer: Training, broken: str) -> None:
        """When a number is not finite, before training ends with a `DivergenceError`; `broken` names the number.

        An implementation may raise a `DivergenceError` of its own that says more.
        """

    @hookspec
    def run_end(self, trainer: Training) -> None:
        """Once, after the last step, before the final evaluation."""


def hook_manager(objects: Iterable[object] = ()) -> pluggy.PluginManager:
    """A manager with the hooks of the given objects, and of nothing that is installed.

    Raises:
        PluginError: if nothing in an object is marked, or a marked function matches no hook.
    """
    manager = pluggy.PluginManager(_PROJECT)
    manager.add_hookspecs(RunHooks)
    for index, given in enumerate(objects):
        register_hooks(manager, given, f"{type(given).__name__}-{index}")
    return manager


def register_hooks(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register the hooks of one object or module under a name.

    Raises:
        PluginError: if nothing in it is marked, or a marked function matches no hook.
    """
    if not marked(manager, plugin):
        raise PluginError(f"{name} is no hook plugin: nothing in it is marked with intel_core.hookimpl")
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except ValueError:
        raise PluginError(f"{name} is given twice") from None
    except pluggy.PluginValidationError as error:
        known = [hook for hook in vars(RunHooks) if not hook.startswith("_")]
        for hook in marked(manager, plugin):
            if hook not in known:
                hint = did_you_mean(hook, known, say="hooks")
                raise PluginError(f"{name} implements unknown hook {hook!r}{hint}") from None
        raise PluginError(f"{name}: {' '.join(str(error).split())}") from error


def marked(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    """Names of a plugin's functions that `hookimpl` marks."""
    return [key for key in dir(plugin) if manager.parse_hookimpl_opts(plugin, key) is not None]
