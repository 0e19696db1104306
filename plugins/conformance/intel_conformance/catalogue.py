"""Which checks are there, and which of them are to run?"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence

from intel_conformance.check import GROUPS, Check, registered
from intel_conformance.levels import LEVELS, Level
from intel_core.errors import SpecError, did_you_mean

__all__ = ["all_checks", "choose", "names_of"]

_FURTHER = (
    *("precision", "paths", "hidden", "effects", "training", "capabilities", "losses", "calls", "assigning"),
    *("turning", "effective", "image_densities", "cost"),
)
"""Modules of `intel_conformance.checks` beside those of the groups, to which their checks belong."""


def all_checks() -> tuple[Check, ...]:
    """All checks, in the order in which they run: by groups, modules and lines, whatever was imported first.

    >>> [check.id for check in all_checks()][:2]
    ['io.preflight', 'io.shape']
    """
    modules = [f"intel_conformance.checks.{name}" for name in ("preflight", *GROUPS, *_FURTHER)]
    for module in modules:
        importlib.import_module(module)
    place = {module: number for number, module in enumerate(modules)}

    def order(one: Check) -> tuple[int, int, int]:
        code = inspect.unwrap(one.run).__code__  # not that of torch.no_grad
        return GROUPS.index(one.group), place.get(one.run.__module__, len(modules)), code.co_firstlineno

    return tuple(sorted(registered.values(), key=order))


def choose(
    level: Level, only: Sequence[str] = (), skip: Sequence[str] = (), among: Sequence[Check] | None = None
) -> tuple[Check, ...]:
    """The checks of a level, or those that `only` names at any level, without those that `skip` names.

    The name of a group stands for all checks of the group. They are the checks of mappings if `among` is None.

    Raises:
        SpecError: for a name that is neither a check nor a group.

    >>> [check.id for check in choose("quick", only=["mode"], skip=["mode.state"])][:2]
    ['mode.repeat', 'mode.train_eval']
    """
    everything = all_checks() if among is None else among
    wanted, unwanted = names_of(only, everything), names_of(skip, everything)
    last = LEVELS.index(level)
    return tuple(
        check
        for check in everything
        if (check.id in wanted if only else LEVELS.index(check.level) <= last) and check.id not in unwanted
    )


def names_of(names: Sequence[str], everything: Sequence[Check] | None = None) -> set[str]:
    """The ids of the checks that some names of checks and groups stand for.

    Raises:
        SpecError: for a name that is neither a check nor a group.

    >>> sorted(names_of(["io.shape", "thm1"]))
    ['io.shape', 'thm1.inequality', 'thm1.injective', 'thm1.same_map']
    """
    if isinstance(names, str):
        names = [names]
    everything = all_checks() if everything is None else everything
    ids = [check.id for check in everything]
    found: set[str] = set()
    for name in names:
        mine = {id for id in ids if name == id or id.startswith(f"{name}.")}
        if not mine:
            groups = dict.fromkeys(check.group for check in everything)
            raise SpecError(f"no check is called {name!r}{did_you_mean(name, [*ids, *groups], say='checks')}")
        found |= mine
    return found
