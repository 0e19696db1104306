"""What is installed? Entry points of every distribution, read as metadata; nothing is imported.

A *component* is a spec class that a distribution registers under a name in one of the entry-point groups
``intelvae.<kind>``. Which kinds there are is itself read from a group, ``intelvae.kinds``: each entry names a kind and
the class from which all specs of that kind derive, so that a distribution can add a kind of its own. Two more groups
hold what is not described by a spec: ``intelvae.hooks`` and ``intelvae.commands``. The components, kinds and commands
of this project are found in the same way: there is no privileged path.

Environment variables:
    INTEL_PLUGINS: comma-separated allow-list of distributions or components; all others are disabled.
    INTEL_DISABLE_PLUGINS: comma-separated list of what to disable; ``*`` disables everything outside the core.

A command does nothing until its name is typed. It is disabled if INTEL_DISABLE_PLUGINS names it or its distribution;
``*`` and the allow-list do not affect commands.
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
from typing import Any

from intel_core.errors import PluginError, SpecError, did_you_mean

__all__ = [
    "API_LEVEL",
    "CORE",
    "KINDS",
    "PLAIN",
    "THIS_PROCESS",
    "Component",
    "available",
    "broken",
    "canonical_kind",
    "find",
    "kinds",
    "refresh",
    "singular",
]

API_LEVEL = 1
"""Level of the plugin API that this core speaks; plugins of this level and of the one before it load."""

SWITCHES = ("INTEL_PLUGINS", "INTEL_DISABLE_PLUGINS")
CORE = "intelvae-core"
THIS_PROCESS = "this-process"  # the distribution of what `register` has registered
GROUP_PREFIX = "intelvae."
KINDS = "kinds"
"""The group whose entries name the kinds of components."""
COMMANDS = "commands"
PLAIN = (COMMANDS, "hooks", KINDS)
"""Groups whose entries are not specs: commands, modules with hook functions, and the kinds themselves."""


@dataclass(frozen=True)
class Component:
    """One registered name, read from its distribution's metadata.

    Attributes:
        kind: which sort of component, e.g. ``mappings``; also the entry-point group without its prefix.
        name: the name a user types.
        distribution: the distribution that offers it, e.g. ``intelvae-cluster``.
        version: that distribution's version.
        value: where the spec class lives, ``module:Class``.
        api: plugin API level that the distribution declares (1 unless it says otherwise).
        status: ``OK``, ``CONFLICT`` (two distributions offer the name), ``TOO NEW``, ``TOO OLD``, ``DISABLED``
            or, if importing it has failed, ``BROKEN``.
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
    def is_live(self) -> bool:
        """Whether it can be loaded, by its bare name or as ``distribution/name``."""
        return self.status in ("OK", "CONFLICT")

    @property
    def qualified(self) -> str:
        """``distribution/name``, which is never ambiguous."""
        return f"{self.distribution}/{self.name}"


# --- reading metadata ------------------------------------------------------------------------------------------

registered: dict[tuple[str, str], tuple[Component, Any]] = {}
"""Components that `intel_core.register` has registered in this process, by kind and name."""


def _words(variable: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in os.environ.get(variable, "").split(",")) if word)


@functools.lru_cache(maxsize=16)
def _entries(path: tuple[str, ...]) -> dict[str, tuple[Component, ...]]:
    """All entries of this project's groups by kind; `path` is the cache key, since installing changes its content.

    Each distribution is read in a ``try`` block of its own, because `importlib.metadata.entry_points` fails for all if
    the metadata of one is damaged.
    """
    found: dict[str, list[Component]] = {}
    seen: set[str] = set()
    for dist in metadata.distributions():
        try:
            name, version, level, entries = _read_distribution(dist)
        except Exception as error:
            where = getattr(dist, "_path", dist)
            warnings.warn(f"{where} is damaged and left out ({type(error).__name__}: {error})", stacklevel=4)
            continue
        # A distribution that is found twice (an editable install beside its build folder) counts once, the first time.
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if not entries or canonical in seen:
            continue
        seen.add(canonical)
        for entry in entries:
            kind = entry.group.removeprefix(GROUP_PREFIX)
            component = Component(kind, entry.name, name, version, entry.value, level)
            if component not in found.setdefault(kind, []):
                found[kind].append(component)
    return {kind: tuple(sorted(items, key=lambda c: (c.name, c.distribution))) for kind, items in found.items()}


def _read_distribution(dist: metadata.Distribution) -> tuple[str, str, int, list[metadata.EntryPoint]]:
    """Name, version, API level and entries in this project's groups, of which most distributions have none."""
    if GROUP_PREFIX not in (dist.read_text("entry_points.txt") or ""):
        return "", "", 1, []
    about = dist.metadata  # parsed anew at each access
    if missing := {"Name", "Version"} - set(about):
        raise ValueError(f"its metadata has no {min(missing)}")
    entries = [entry for entry in dist.entry_points if entry.group.startswith(GROUP_PREFIX)]
    levels = [int(e.name) for e in entries if e.group == f"{GROUP_PREFIX}api" and e.name.isdecimal()]
    return about["Name"], about["Version"], max(levels, default=1), entries


def _installed(kind: str) -> tuple[Component, ...]:
    inner = tuple(component for (k, _), (component, _) in registered.items() if k == kind)
    return _entries(tuple(sys.path)).get(kind, ()) + inner


def refresh() -> None:
    """Forget what was read, e.g. after an installation within this process."""
    importlib.invalidate_caches()
    for cached in (_entries, _available, _kinds):
        cached.cache_clear()


def _state() -> tuple[object, ...]:
    """All that decides what is there, beside the distributions themselves."""
    return (*sys.path, *map(os.environ.get, SWITCHES), *(component for component, _ in registered.values()))


def _matches(component: Component, words: Iterable[str]) -> bool:
    return any(word in (component.name, component.distribution, component.qualified) for word in words)


def _check_switches() -> None:
    """Refuse a misspelt name in a switch, which would silently do nothing."""
    for variable in filter(_words, SWITCHES):
        known = [c for kind in (*kinds(), *PLAIN) for c in _installed(kind)]
        for word in _words(variable):
            if word != "*" and not any(_matches(c, [word]) for c in known):
                names = {c.distribution for c in known} | {c.name for c in known}
                raise PluginError(f"{variable} names {word!r}, which is not installed{did_you_mean(word, names)}")


def _judge(component: Component) -> Component:
    """The status that follows from metadata and switches, before anything is imported."""
    if not re.fullmatch(r"[\w.+-]+", component.name):
        return replace(component, status="BROKEN", reason="its name has other characters than letters, digits and _-.+")
    allow, deny = map(_words, SWITCHES)
    is_kept = component.distribution == CORE or component.kind == COMMANDS
    if _matches(component, deny) or ("*" in deny and not is_kept):
        return replace(component, status="DISABLED", reason="by INTEL_DISABLE_PLUGINS or --no-plugin")
    if allow and not is_kept and not _matches(component, allow):
        return replace(component, status="DISABLED", reason="not in INTEL_PLUGINS")
    if component.api > API_LEVEL:
        reason = f"needs plugin API {component.api}, this core speaks {API_LEVEL}: pip install -U {CORE}"
        return replace(component, status="TOO NEW", reason=reason)
    if component.api < API_LEVEL - 1:
        reason = f"made for plugin API {component.api}, this core speaks {API_LEVEL}: "
        return replace(component, status="TOO OLD", reason=f"{reason}pip install -U {component.distribution}")
    return component


def kinds() -> tuple[str, ...]:
    """The kinds of components that are installed, by the plural under which they are listed.

    >>> {"mappings", "datasets", "metrics"} <= set(kinds())
    True
    """
    return _kinds(_state())


_kinds = functools.lru_cache(16)(lambda _: tuple(sorted({component.name for component in _installed(KINDS)})))


def singular(kind: str) -> str:
    """The word for one component of a kind.

    >>> singular("mappings"), singular("studies")
    ('mapping', 'study')
    """
    return f"{kind[:-3]}y" if kind.endswith("ies") else kind.removesuffix("s")


def canonical_kind(kind: str) -> str:
    """The plural name of a kind; singular names are understood.

    >>> canonical_kind("mapping")
    'mappings'

    Raises:
        SpecError: for a kind that does not exist.
    """
    known = (*kinds(), *PLAIN)
    if kind in known:
        return kind
    aliases = {singular(one): one for one in known} | {"data": "datasets"}
    if kind in aliases:
        return aliases[kind]
    raise SpecError(f"no kind of component is called {kind!r}{did_you_mean(kind, known)}")


def available(kind: str) -> list[Component]:
    """Every component of a kind that is installed, from metadata alone: nothing is imported.

    Raises:
        SpecError: for a kind that is none of `kinds`, singular or plural, nor ``"hooks"`` or ``"commands"``.
        PluginError: if ``INTEL_PLUGINS`` or ``INTEL_DISABLE_PLUGINS`` names something that is not installed.

    >>> [c.distribution for c in available("mappings") if c.name == "identity"]
    ['intelvae-core']
    """
    return list(_available(canonical_kind(kind), _state()))


@functools.lru_cache(maxsize=256)
def _available(kind: str, state: tuple[object, ...]) -> tuple[Component, ...]:
    _check_switches()
    judged = [_judge(component) for component in _installed(kind)]
    live: dict[str, list[str]] = {}
    for component in (one for one in judged if one.status == "OK"):
        live.setdefault(component.name, []).append(component.qualified)
    return tuple(
        replace(c, status="CONFLICT", reason=f"say {' or '.join(live[c.name])}")
        if c.status == "OK" and kind != "hooks" and len(live[c.name]) > 1
        else c
        for c in judged
    )


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
        start, comma, settings = name.partition(",")
        colon = f"; settings come after a colon: {start}:{settings[:60]}" if comma and start in names else ""
        raise PluginError(f"no {singular(kind)} is called {shown!r}{colon or did_you_mean(name, names, say=kind)}")
    usable = [c for c in candidates if c.status == "OK" or (c.status == "CONFLICT" and "/" in name)]
    if len(usable) == 1:
        return usable[0]
    first = candidates[0]
    if any(c.status == "CONFLICT" for c in candidates):
        raise PluginError(f"{singular(kind)} {name!r} is offered by several distributions: {first.reason}")
    raise PluginError(
        f"{singular(kind)} {name!r} of {first.distribution} {first.version} is {first.status}: {first.reason}"
    )


def broken(component: Component, error: BaseException) -> PluginError:
    """The error of one line for a component that is installed and cannot be loaded."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return PluginError(
        f"{singular(component.kind)} {component.name!r} of {component.distribution} {component.version} is BROKEN "
        f"({reason}); mend it, or: pip uninstall {component.distribution}"
    )
