"""Which class stands behind a component's name? It is imported on first use; one that fails does not affect others."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel

from intel_core.components import discovery
from intel_core.components.discovery import CORE, KINDS, Component, available, broken, canonical_kind, find
from intel_core.errors import PluginError, SpecError

__all__ = ["base_of", "import_value", "load", "load_component", "name_of", "register", "told_as_broken", "value_of"]


def base_of(kind: str) -> type[BaseModel]:
    """The class from which every spec of a kind derives, as the group ``intelvae.kinds`` names it.

    >>> base_of("mapping").__name__
    'MappingSpec'

    Raises:
        SpecError: for an unknown kind.
        PluginError: if the class cannot be imported, or says that it is of another kind.
    """
    kind = canonical_kind(kind)
    offered = [component for component in available(KINDS) if component.name == kind and component.is_live]
    if not offered:
        raise PluginError(f"{kind} have no specs that can be loaded")
    # If another distribution took the name of a kind of the core, all components of that kind would be lost otherwise.
    component = min(offered, key=lambda one: one.distribution != CORE)
    with told_as_broken(component):
        base = value_of(component)
    return _check_class(component, base)


def register(kind: str, name: str, spec_class: Any) -> None:
    """Make a spec class known by name in this process only, for a notebook, a test or a file that is imported.

    An installed plugin registers by entry point instead, and needs no call. Of kind ``hooks`` it is an object whose
    functions are marked with `intel_core.hookimpl`; every run of this process calls them as an installed hook plugin:
    one that raises is told and left out, and the run goes on.

    Raises:
        SpecError: if the class is not a spec of that kind, or the name cannot be typed in a spec.
    """
    kind = canonical_kind(kind)
    if not re.fullmatch(r"[\w.+-]+", name):
        raise SpecError(f"{name!r} is no name for a component: use letters, digits and . + - _ only")
    named = type(spec_class) if kind == "hooks" and not hasattr(spec_class, "__qualname__") else spec_class
    value = f"{getattr(named, '__module__', '?')}:{getattr(named, '__qualname__', repr(named))}"
    component = Component(kind, name, discovery.THIS_PROCESS, "0", value)
    if kind != "hooks":  # which are judged where a run begins
        _check_class(component, spec_class)
    discovery.registered[kind, name] = (component, spec_class)


@contextlib.contextmanager
def told_as_broken(component: Component) -> Iterator[None]:
    """Whatever loading a component raises, SystemExit included, becomes a PluginError; only Ctrl-C passes."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise broken(component, error) from error


def load(kind: str, name: str) -> type[BaseModel]:
    """The spec class registered under a name, imported now.

    Raises:
        PluginError: as `find`, and if the plugin cannot be imported or is not a spec of this kind; the cause
            is chained.
    """
    return load_component(find(kind, name))


def load_component(component: Component) -> type[BaseModel]:
    """As `load`, of a component that was found."""
    with told_as_broken(component):
        return _check_class(component, value_of(component))


def value_of(component: Component) -> object:
    """What a component's entry names: registered in this process, or imported now."""
    local = discovery.registered.get((component.kind, component.name))
    if local is not None and local[0].distribution == component.distribution:
        return local[1]
    return import_value(component.value)


def import_value(value: str) -> object:
    """What ``module:attribute`` names, imported now."""
    module, _, attribute = value.partition(":")
    found: object = importlib.import_module(module)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


def _check_class(component: Component, spec_class: object) -> type[BaseModel]:
    """The class, if it is a spec of the component's kind; for a kind, if it is the base of one."""
    if component.kind == KINDS:
        own = (
            vars(spec_class).get("kind") if isinstance(spec_class, type) and issubclass(spec_class, BaseModel) else None
        )
        if own == component.name:
            return cast("type[BaseModel]", spec_class)
        raise PluginError(f"{component.value} of {component.distribution} is not the base class of {component.name}")
    base = base_of(component.kind)
    if not (isinstance(spec_class, type) and issubclass(spec_class, base)):
        raise SpecError(f"{component.value} is not a subclass of {base.__name__}")
    return spec_class


def name_of(kind: str, spec_class: type[BaseModel]) -> str:
    """The name under which a spec class is registered, ``distribution/name`` where the bare name is ambiguous.

    Raises:
        PluginError: if it is not registered.
    """
    kind = canonical_kind(kind)
    home = spec_class.__module__.partition(".")[0]
    value = f"{spec_class.__module__}:{spec_class.__qualname__}"
    # Metadata first; a class that a package re-exports under another path is compared after loading, and one of
    # another package only where that is imported already.
    live = [c for c in available(kind) if c.is_live and _may_hold(c, home)]
    for component in sorted(live, key=lambda c: c.value != value):
        try:
            found = load_component(component)
        except PluginError:
            continue  # another component that is broken is no reason to refuse this one
        if found is spec_class:
            return component.qualified if component.status == "CONFLICT" else component.name
    raise PluginError(
        f"{spec_class.__name__} is registered under no name; install its distribution, or call "
        f"intel_core.register({kind!r}, NAME, {spec_class.__name__})"
    )


def _may_hold(component: Component, package: str) -> bool:
    module = component.value.partition(":")[0].strip()
    return module in sys.modules or module.partition(".")[0] == package
