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
        PluginError: if a marked function matches no hook.
    """
    manager = pluggy.PluginManager(_PROJECT)
    manager.add_hookspecs(RunHooks)
    for index, given in enumerate(objects):
        manager.register(given, name=f"{type(given).__name__}-{index}")
    _check_known(manager)
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
        manager.register(_guarded(manager, plugin, component.qualified), name=component.qualified)
        _check_known(manager)
    except Exception as error:
        if manager.has_plugin(component.qualified):
            manager.unregister(name=component.qualified)
        message = f"hook plugin {component.qualified} is BROKEN ({type(error).__name__}: {error}) and is left out"
        if os.environ.get("INTEL_STRICT_PLUGINS") == "1":
            raise PluginError(message) from error
        warnings.warn(message, stacklevel=3)


def _guarded(manager: pluggy.PluginManager, plugin: object, name: str) -> types.SimpleNamespace:
    """The hook functions of a plugin, each of which reports its own failure and is not called again after one."""
    found = [key for key in dir(plugin) if manager.parse_hookimpl_opts(plugin, key) is not None]
    return types.SimpleNamespace(**{key: _guard(getattr(plugin, key), name) for key in found})


def _guard(function: Callable[..., object], name: str) -> Callable[..., object]:
    failed = False

    @functools.wraps(function)
    def call(*args: object) -> object:
        nonlocal failed
        if failed:
            return None
        try:
            return function(*args)
        except IntelError:
            raise
        except Exception as error:
            failed = True
            warnings.warn(
                f"hook plugin {name} raised {type(error).__name__} in {function.__name__}: {error}; "
                "it is not called again, the run goes on",
                stacklevel=2,
            )
            return None

    return call


def _check_known(manager: pluggy.PluginManager) -> None:
    known = [name for name in vars(RunHooks) if not name.startswith("_")]
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        for name in vars(manager.hook):
            caller = getattr(manager.hook, name)
            if isinstance(caller, pluggy.HookCaller) and not caller.has_spec():
                raise PluginError(
                    f"{manager.get_name(error.plugin)} implements unknown hook {name!r}"
                    f"{did_you_mean(name, known, say='hooks')}"
                ) from None
        raise
