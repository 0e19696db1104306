"""What may a plugin do during a run? The hook specifications, and guarded loading of hook plugins.

A hook plugin is a module (or object) whose functions are marked with `hookimpl` and named as in `RunHooks`,
registered under the entry-point group ``intelvae.hooks``.
"""

from __future__ import annotations

import functools
import os
import types
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from intel_core import plugins
from intel_core.errors import IntelError, PluginError, did_you_mean

if TYPE_CHECKING:
    from intel_core.trainer import Trainer

__all__ = ["RunHooks", "hookimpl", "make_hooks"]

_PROJECT = "intelvae"
hookspec = pluggy.HookspecMarker(_PROJECT)
hookimpl = pluggy.HookimplMarker(_PROJECT)
"""Marks a function as the implementation of one of the hooks in `RunHooks`."""


class RunHooks:
    """The moments of a run at which plugins are called; take only the arguments you need."""

    @hookspec
    def tried(self, record: dict[str, Any]) -> None:
        """After each trial of a run with restarts: ``start``, ``of``, ``seed``, ``step`` and validation ``loss``."""

    @hookspec
    def run_start(self, trainer: Trainer) -> None:
        """Once, before the first step of a run or of its continuation."""

    @hookspec
    def step_end(self, trainer: Trainer) -> None:
        """After every step; costs time only if some plugin implements it."""

    @hookspec
    def logged(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After every logged line: means of each term since the last one, in nats per example."""

    @hookspec
    def evaluated(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After every evaluation on the validation data."""

    @hookspec
    def saved(self, trainer: Trainer, path: str) -> None:
        """After every checkpoint, with its folder."""

    @hookspec
    def run_end(self, trainer: Trainer) -> None:
        """Once, after the last step, before the final evaluation."""


def make_hooks(objects: Iterable[object] = (), *, installed: bool = True) -> pluggy.PluginManager:
    """A plugin manager with the given hook objects and, unless told otherwise, all installed hook plugins.

    An installed plugin that cannot be loaded is left out with a warning (an error if ``INTEL_STRICT_PLUGINS=1``);
    one that raises during the run is reported by name, disabled for the rest of it, and does not lose the run.
    The given objects are the caller's own, so their exceptions are not swallowed.

    Raises:
        PluginError: if nothing in an object is marked, or a marked function matches no hook.
    """
    manager = pluggy.PluginManager(_PROJECT)
    manager.add_hookspecs(RunHooks)
    for index, given in enumerate(objects):
        _register(manager, given, f"{type(given).__name__}-{index}")
    if installed:
        for component in plugins.available("hooks"):
            _register_installed(manager, component)
    return manager


def _register_installed(manager: pluggy.PluginManager, component: plugins.Component) -> None:
    if component.status == "DISABLED":
        return
    try:
        if component.status != "OK":
            raise PluginError(component.reason)
        plugin = plugins.import_value(component.value)
        _register(manager, _guarded(manager, plugin, component.qualified), component.qualified)
    except (Exception, SystemExit) as error:
        if manager.has_plugin(component.qualified):
            manager.unregister(name=component.qualified)
        message = f"hook plugin {component.qualified} is BROKEN ({type(error).__name__}: {error}) and is left out"
        if os.environ.get("INTEL_STRICT_PLUGINS") == "1":
            raise PluginError(message) from error
        warnings.warn(message, stacklevel=3)


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    known = [hook for hook in vars(RunHooks) if not hook.startswith("_")]
    if not _marked(manager, plugin):
        raise PluginError(f"{name} is no hook plugin: nothing in it is marked with intel_core.hookimpl")
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except ValueError:
        raise PluginError(f"{name} is given twice") from None
    except pluggy.PluginValidationError as error:
        for hook in _marked(manager, plugin):
            if hook not in known:
                hint = did_you_mean(hook, known, say="hooks")
                raise PluginError(f"{name} implements unknown hook {hook!r}{hint}") from None
        raise PluginError(f"{name}: {' '.join(str(error).split())}") from error


def _marked(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    """Names of a plugin's functions that `hookimpl` marks."""
    return [key for key in dir(plugin) if manager.parse_hookimpl_opts(plugin, key) is not None]


def _guarded(manager: pluggy.PluginManager, plugin: object, name: str) -> types.SimpleNamespace:
    """The hook functions of a plugin behind one guard: after a failure of any of them none is called again."""
    guard = _Guard(name)
    return types.SimpleNamespace(**{key: guard(getattr(plugin, key)) for key in _marked(manager, plugin)})


class _Guard:
    """Wraps the functions of one plugin."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed = False

    def __call__(self, function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def call(*args: object) -> object:
            if self.failed:
                return None
            try:
                return function(*args)
            except IntelError:
                raise
            except (Exception, SystemExit) as error:  # a plugin does not end the process of a run
                self.failed = True
                warnings.warn(
                    f"hook plugin {self.name} raised {type(error).__name__} in {function.__name__}: {error}; "
                    "it is not called again, the run goes on",
                    stacklevel=2,
                )
                return None

        return call
