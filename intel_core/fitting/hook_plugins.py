"""How are hook plugins loaded? Each behind a guard: one that fails is left out, and does not lose the run."""

from __future__ import annotations

import functools
import os
import types
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pluggy

from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.errors import IntelError, PluginError, did_you_mean

if TYPE_CHECKING:
    pass
from intel_core.training.hooks import _PROJECT, RunHooks

__all__ = [
    "make_hooks",
]


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
        plugin = loading.import_value(component.value)
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
