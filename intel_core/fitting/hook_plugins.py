"""How are hook plugins loaded? Each separately: one that fails is left out, and the run goes on."""

from __future__ import annotations

import functools
import inspect
import os
import types
import warnings
from collections.abc import Callable, Iterable

import pluggy

from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.errors import IntelError, PluginError, did_you_mean
from intel_core.fitting.tracker import TrackerSpec
from intel_core.training.hooks import hook_manager, marked, register_hooks

__all__ = [
    "hook_objects",
    "make_hooks",
]


def make_hooks(objects: Iterable[object] = (), *, installed: bool = True) -> pluggy.PluginManager:
    """A plugin manager with the given hook objects and, unless told otherwise, all installed hook plugins.

    An installed plugin that cannot be loaded is left out with a warning (an error if ``INTEL_STRICT_PLUGINS=1``); one
    that raises during the run is reported by name and not called again, and the run goes on. The given objects are the
    caller's own, so their exceptions are not caught.

    Raises:
        PluginError: if nothing in an object is marked, or a marked function matches no hook.
    """
    manager = hook_manager(hook_objects(objects))
    if installed:
        for component in plugins.available("hooks"):
            _register_installed(manager, component)
    return manager


def hook_objects(given: Iterable[object]) -> list[object]:
    """The hooks that a caller gives, as a list.

    Raises:
        PluginError: if they are no list, or one is a class, a text or a tracker.
    """
    try:
        objects: list[object] = [given] if isinstance(given, str) else list(() if given is None else given)
    except TypeError:
        raise PluginError(f"hooks: expected a list of objects, not {_shown(given)}; say hooks=[…]") from None
    manager = hook_manager()
    for one in objects:
        _require_object(manager, one, "hooks")
    return objects


def _require_object(manager: pluggy.PluginManager, plugin: object, what: str) -> None:
    """Refuse a class that has no hooks, or whose hooks are methods: they would be called without an object.

    Raises:
        PluginError: telling how to make one, or which argument no such hook has.
    """
    if isinstance(plugin, str):
        raise PluginError(f"{what}: {plugin!r} is a text, expected an object; trackers are named by track={plugin!r}")
    if getattr(plugin, "kind", "") == TrackerSpec.kind:
        name = plugin.__name__ if isinstance(plugin, type) else type(plugin).__name__
        raise PluginError(f"{what}: {name} is a tracker, which goes beside the hooks: track={name}()")
    if isinstance(plugin, type):
        marks = marked(manager, plugin)
        if not marks:
            raise PluginError(f"{what}: nothing in the class {plugin.__name__} is marked with intel_core.hookimpl")
        if any(inspect.isfunction(inspect.getattr_static(plugin, key)) for key in marks):
            raise PluginError(f"{what}: {plugin.__name__} is a class, expected an object of it: {plugin.__name__}()")
    _require_arguments(manager, plugin, what)


def _require_arguments(manager: pluggy.PluginManager, plugin: object, what: str) -> None:
    """Refuse an argument that a hook is not called with; a hook that is none is left to `register_hooks`.

    Raises:
        PluginError: naming the nearest argument.
    """
    for key in marked(manager, plugin):
        options = manager.parse_hookimpl_opts(plugin, key)
        assert options is not None
        caller = getattr(manager.hook, options.get("specname") or key, None)
        if caller is None or caller.spec is None:
            continue
        for argument in pluggy.HookImpl(plugin, what, getattr(plugin, key), options).argnames:
            if argument not in caller.spec.argnames:
                owner = getattr(plugin, "__name__", type(plugin).__name__)
                hint = did_you_mean(argument, caller.spec.argnames, say="arguments")
                raise PluginError(f"{what}: {owner}.{key} takes unknown argument {argument!r}{hint}")


def _shown(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else f"one {type(given).__name__}"


def _register_installed(manager: pluggy.PluginManager, component: plugins.Component) -> None:
    if component.status == "DISABLED":
        return
    try:
        if component.status != "OK":
            raise PluginError(component.reason)
        plugin = loading.value_of(component)
        _require_object(manager, plugin, component.qualified)
        register_hooks(manager, _guarded(manager, plugin, component.qualified), component.qualified)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin that ends the process at its import is left out like any other
        if manager.has_plugin(component.qualified):
            manager.unregister(name=component.qualified)
        message = f"hook plugin {component.qualified} is BROKEN ({type(error).__name__}: {error}) and is left out"
        if os.environ.get("INTEL_STRICT_PLUGINS") == "1":
            raise PluginError(message) from error
        warnings.warn(message, stacklevel=3)


def _guarded(manager: pluggy.PluginManager, plugin: object, name: str) -> types.SimpleNamespace:
    """The hook functions of a plugin: after a failure of any of them none is called again."""
    guard = _Guard(name)
    return types.SimpleNamespace(**{key: guard(getattr(plugin, key)) for key in marked(manager, plugin)})


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
            except (IntelError, KeyboardInterrupt):
                raise
            except BaseException as error:  # a plugin does not end the process of a run
                self.failed = True
                warnings.warn(
                    f"hook plugin {self.name} raised {type(error).__name__} in {function.__name__}: {error}; "
                    "it is not called again, the run goes on",
                    stacklevel=2,
                )
                return None

        return call
