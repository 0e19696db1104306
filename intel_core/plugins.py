"""What is installed? Discovery by entry point, read as metadata and imported only when used.

A *component* is a spec class that a distribution registers under a name in one of the entry-point groups
below. Nothing is imported to list components; a component is imported by name on first use, each behind a
guard, so that one broken plugin never takes another down. Every component of this project, the core's own
included, is found this way: there is no privileged path.

Environment variables:
    INTEL_PLUGINS: comma-separated allow-list of distributions or components; all others are disabled.
    INTEL_DISABLE_PLUGINS: comma-separated list of what to disable; ``*`` disables everything outside the core.
    INTEL_STRICT_PLUGINS: when set to 1, a broken hook plugin is an error instead of a warning.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING

from intel_core.errors import PluginError, SpecError, did_you_mean

if TYPE_CHECKING:
    from intel_core.spec import ComponentSpec

__all__ = [
    "API_LEVEL",
    "KINDS",
    "Component",
    "available",
    "canonical_kind",
    "find",
    "import_value",
    "load",
    "name_of",
    "probe",
    "register",
]

API_LEVEL = 1
"""Level of the plugin API that this core speaks; plugins of this level and of the one before it load."""

CORE = "intelvae-core"
GROUP_PREFIX = "intelvae."
KINDS = ("mappings", "datasets", "likelihoods", "networks", "objectives", "schedules", "metrics")
_ALIASES = {kind[:-1]: kind for kind in KINDS} | {"data": "datasets"}


@dataclass(frozen=True)
class Component:
    """One registered name, as its distribution's metadata tells it.

    Attributes:
        kind: which sort of component, e.g. ``mappings``; also the entry-point group without its prefix.
        name: the name a user types.
        distribution: the distribution that offers it, e.g. ``intelvae-cluster``.
        version: that distribution's version.
        value: where the spec class lives, ``module:Class``.
        api: plugin API level that the distribution declares (1 unless it says otherwise).
        status: ``OK``, ``CONFLICT`` (two distributions offer the name), ``TOO NEW``, ``TOO OLD``, ``DISABLED``
            or, once it was tried, ``BROKEN``.
        reason: why the status is not ``OK``, and what to do.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    api: int = 1
    status: str = "OK"
    reason: str = ""

    @property
    def qualified(self) -> str:
        """``distribution/name``, which is never ambiguous."""
        return f"{self.distribution}/{self.name}"


def canonical_kind(kind: str) -> str:
    """The plural name of a kind; singular names are understood.

    >>> canonical_kind("mapping")
    'mappings'

    Raises:
        SpecError: for a kind that does not exist.
    """
    if kind in KINDS:
        return kind
    if kind in _ALIASES:
        return _ALIASES[kind]
    raise SpecError(f"no kind of component is called {kind!r}{did_you_mean(kind, KINDS)}")


# --- reading metadata ------------------------------------------------------------------------------------------

_registered: dict[tuple[str, str], tuple[Component, type[ComponentSpec]]] = {}


def register(kind: str, name: str, spec_class: type[ComponentSpec]) -> None:
    """Make a spec class known by name in this process only, for a notebook or a test.

    An installed plugin registers by entry point instead, and needs no call.

    Raises:
        SpecError: if the class is not a spec of that kind, or the name cannot be typed in a spec.
    """
    kind = canonical_kind(kind)
    if not re.fullmatch(r"[\w.+-]+", name):
        raise SpecError(f"{name!r} is no name for a component: use letters, digits and . + - _ only")
    value = f"{getattr(spec_class, '__module__', '?')}:{getattr(spec_class, '__qualname__', repr(spec_class))}"
    component = Component(kind, name, "this-process", "0", value)
    _check_class(component, spec_class)
    _registered[kind, name] = (component, spec_class)


def _words(variable: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in os.environ.get(variable, "").split(",")) if word)


@functools.lru_cache(maxsize=16)
def _entries(path: tuple[str, ...]) -> dict[str, tuple[Component, ...]]:
    """All entries of this project's groups by kind; `path` is the cache key, since installing changes what it holds.

    Each distribution is read behind a guard of its own: `importlib.metadata.entry_points` fails altogether where
    the metadata of one is damaged.
    """
    found: dict[str, list[Component]] = {}
    seen: set[str] = set()
    for dist in metadata.distributions():
        try:
            name, level, entries = _read_distribution(dist)
        except Exception as error:
            where = getattr(dist, "_path", dist)
            warnings.warn(f"{where} is damaged and left out ({type(error).__name__}: {error})", stacklevel=4)
            continue
        # The same distribution seen twice (an editable install beside its build folder) is one; the first counts.
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if not entries or canonical in seen:
            continue
        seen.add(canonical)
        for entry in entries:
            kind = entry.group.removeprefix(GROUP_PREFIX)
            component = Component(kind, entry.name, name, dist.version, entry.value, level)
            if component not in found.setdefault(kind, []):
                found[kind].append(component)
    return {kind: tuple(sorted(items, key=lambda c: (c.name, c.distribution))) for kind, items in found.items()}


def _read_distribution(dist: metadata.Distribution) -> tuple[str, int, list[metadata.EntryPoint]]:
    """Name, API level and entries in this project's groups; no entries for what has nothing to do with it."""
    if GROUP_PREFIX not in (dist.read_text("entry_points.txt") or ""):
        return "", 1, []
    for key in ("Name", "Version"):
        if key not in dist.metadata:
            raise ValueError(f"its metadata has no {key}")
    entries = [entry for entry in dist.entry_points if entry.group.startswith(GROUP_PREFIX)]
    levels = [int(e.name) for e in entries if e.group == f"{GROUP_PREFIX}api" and e.name.isdecimal()]
    return dist.metadata["Name"], max(levels, default=1), entries


def _installed(kind: str) -> tuple[Component, ...]:
    inner = tuple(component for (k, _), (component, _) in _registered.items() if k == kind)
    return _entries(tuple(sys.path)).get(kind, ()) + inner


def refresh() -> None:
    """Forget what was read, e.g. after an installation within this process."""
    importlib.invalidate_caches()
    _entries.cache_clear()
    _broken.clear()


def _matches(component: Component, words: Iterable[str]) -> bool:
    return any(word in (component.name, component.distribution, component.qualified) for word in words)


def _check_switches() -> None:
    """A misspelt name in a switch must not silently do nothing."""
    known = [c for kind in (*KINDS, "hooks") for c in _installed(kind)]
    for variable in ("INTEL_PLUGINS", "INTEL_DISABLE_PLUGINS"):
        for word in _words(variable):
            if word != "*" and not any(_matches(c, [word]) for c in known):
                names = {c.distribution for c in known} | {c.name for c in known}
                raise PluginError(f"{variable} names {word!r}, which is not installed{did_you_mean(word, names)}")


def _judge(component: Component) -> Component:
    """Status from metadata and switches alone, before anything is imported."""
    allow, deny = _words("INTEL_PLUGINS"), _words("INTEL_DISABLE_PLUGINS")
    inside_core = component.distribution == CORE
    if _matches(component, deny) or ("*" in deny and not inside_core):
        return replace(component, status="DISABLED", reason="by INTEL_DISABLE_PLUGINS or --no-plugin")
    if allow and not inside_core and not _matches(component, allow):
        return replace(component, status="DISABLED", reason="not in INTEL_PLUGINS")
    if component.api > API_LEVEL:
        reason = f"needs plugin API {component.api}, this core speaks {API_LEVEL}: pip install -U {CORE}"
        return replace(component, status="TOO NEW", reason=reason)
    if component.api < API_LEVEL - 1:
        reason = f"made for plugin API {component.api}, this core speaks {API_LEVEL}: "
        return replace(component, status="TOO OLD", reason=f"{reason}pip install -U {component.distribution}")
    return component


def available(kind: str) -> list[Component]:
    """Every component of a kind that is installed, from metadata alone: nothing is imported.

    Args:
        kind: ``"mappings"``, ``"datasets"``, ``"likelihoods"``, ``"networks"``, ``"objectives"``,
            ``"schedules"``, ``"metrics"`` or ``"hooks"``.

    Raises:
        SpecError: for an unknown kind.
        PluginError: if ``INTEL_PLUGINS`` or ``INTEL_DISABLE_PLUGINS`` names something that is not installed.

    >>> [c.distribution for c in available("mappings") if c.name == "identity"]
    ['intelvae-core']
    """
    kind = kind if kind == "hooks" else canonical_kind(kind)
    _check_switches()
    judged = [_judge(component) for component in _installed(kind)]
    live: dict[str, list[str]] = {}
    for component in judged:
        if component.status == "OK":
            live.setdefault(component.name, []).append(component.qualified)
    return [
        replace(c, status="CONFLICT", reason=f"say {' or '.join(live[c.name])}")
        if c.status == "OK" and kind != "hooks" and len(live[c.name]) > 1
        else c
        for c in judged
    ]


# --- loading ---------------------------------------------------------------------------------------------------

_broken: dict[str, str] = {}


def find(kind: str, name: str) -> Component:
    """The one usable component of that name, bare or as ``distribution/name``; metadata only.

    Raises:
        PluginError: if the name is unknown, ambiguous, disabled or not of this core's API level.
    """
    kind = canonical_kind(kind)
    everything = available(kind)
    candidates = [c for c in everything if name in (c.name, c.qualified)]
    if not candidates:
        names = [c.name for c in everything if c.status != "DISABLED"]
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise PluginError(f"no {kind[:-1]} is called {shown!r}{did_you_mean(name, names, say=kind)}")
    usable = [c for c in candidates if c.status == "OK" or (c.status == "CONFLICT" and "/" in name)]
    if len(usable) == 1:
        return usable[0]
    first = candidates[0]
    if any(c.status == "CONFLICT" for c in candidates):
        raise PluginError(f"{kind[:-1]} {name!r} is offered by several distributions: {first.reason}")
    raise PluginError(f"{kind[:-1]} {name!r} of {first.distribution} {first.version} is {first.status}: {first.reason}")


def load(kind: str, name: str) -> type[ComponentSpec]:
    """The spec class registered under a name, imported now.

    Raises:
        PluginError: as `find`, and if the plugin cannot be imported or is not a spec of this kind; the cause
            is chained.
    """
    return _load(find(kind, name))


def _load(component: Component) -> type[ComponentSpec]:
    local = _registered.get((component.kind, component.name))
    if local is not None and local[0].distribution == component.distribution:
        return local[1]
    try:
        return _check_class(component, import_value(component.value))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        _broken[component.qualified] = reason
        raise PluginError(
            f"{component.kind[:-1]} {component.name!r} of {component.distribution} {component.version} is BROKEN "
            f"({reason}); mend it, or: pip uninstall {component.distribution}"
        ) from error


def import_value(value: str) -> object:
    """What ``module:attribute`` names, imported now."""
    module, _, attribute = value.partition(":")
    found: object = importlib.import_module(module)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


def _check_class(component: Component, spec_class: object) -> type[ComponentSpec]:
    from intel_core.spec import base_of

    base = base_of(component.kind)
    if not (isinstance(spec_class, type) and issubclass(spec_class, base)):
        raise SpecError(f"{component.value} is not a subclass of {base.__name__}")
    return spec_class


class _NoTorch:
    """A finder that refuses torch, so that looking at plugins never pays for it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch" or name.startswith("torch."):
            raise ImportError(
                "importing a spec must not import torch; import what needs it in its methods, or under TYPE_CHECKING",
                name="torch",
            )


def probe(component: Component) -> Component:
    """Try to import one component and tell its status; torch stays out, whatever the plugin wants.

    >>> probe(find("mappings", "identity")).status
    'OK'
    """
    if component.status not in ("OK", "CONFLICT"):
        return component
    guard = _NoTorch()
    sys.meta_path.insert(0, guard)
    try:
        if component.kind == "hooks":
            import_value(component.value)
        else:
            _load(component)
    except ImportError as error:
        if component.kind == "hooks" and error.name == "torch":
            return component  # only specs are promised to be light; a hook is imported when a run starts
        return replace(component, status="BROKEN", reason=f"ImportError: {error}")
    except PluginError:
        return replace(component, status="BROKEN", reason=_broken[component.qualified])
    except Exception as error:
        return replace(component, status="BROKEN", reason=f"{type(error).__name__}: {error}")
    finally:
        sys.meta_path.remove(guard)
    return component


def name_of(kind: str, spec_class: type[ComponentSpec]) -> str:
    """The name under which a spec class is registered, ``distribution/name`` where the bare name is ambiguous.

    Raises:
        PluginError: if it is not registered.
    """
    kind = canonical_kind(kind)
    home = spec_class.__module__.partition(".")[0]
    value = f"{spec_class.__module__}:{spec_class.__qualname__}"
    # Metadata first; a class that a package re-exports under another path is compared after loading, and one of
    # another package only where that is imported already.
    live = [c for c in available(kind) if c.status in ("OK", "CONFLICT") and _may_hold(c, home)]
    for component in sorted(live, key=lambda c: c.value != value):
        try:
            found = _load(component)
        except PluginError:
            continue  # a broken neighbour is no reason to refuse
        if found is spec_class:
            return component.qualified if component.status == "CONFLICT" else component.name
    raise PluginError(
        f"{spec_class.__name__} is registered under no name; install its distribution, or call "
        f"intel_core.register({kind!r}, NAME, {spec_class.__name__})"
    )


def _may_hold(component: Component, package: str) -> bool:
    module = component.value.partition(":")[0].strip()
    return module in sys.modules or module.partition(".")[0] == package
