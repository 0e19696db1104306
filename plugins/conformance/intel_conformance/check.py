"""What is a check? A named plain function on a subject, in a registry that every front end reads."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from intel_core.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from intel_conformance.subject import Subject

__all__ = ["GROUPS", "LEVELS", "Check", "Level", "all_checks", "check", "choose", "level_of", "names_of"]

Level = Literal["quick", "standard", "deep"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the shortest to the longest; each has the checks of those before it, on more draws."""

GROUPS = ("io", "rows", "mode", "finite", "cont", "grad", "deploy", "thm1", "structure", "plugin")
"""In the order in which they run: a fault that would make others fail too comes first."""


@dataclass(frozen=True)
class Check:
    """One question about a mapping.

    Attributes:
        id: ``group.name``, e.g. ``rows.replace_others``.
        level: the first level that has it.
        clause: of the contract (`intel_core.Mapping`) that it holds the mapping to, or what else it is about.
        run: returns where the mapping passes, raises an `intel_conformance.outcomes.Outcome` otherwise.
    """

    id: str
    level: Level
    clause: str
    run: Callable[[Subject], None]

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def summary(self) -> str:
        """What passes, in one line: the first of the function's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


_REGISTRY: dict[str, Check] = {}


def check(id: str, clause: str, level: Level = "quick") -> Callable[[Callable[[Subject], None]], Callable[..., None]]:
    """Register a function as the check of that id."""

    def register(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        assert id not in _REGISTRY, id
        assert id.partition(".")[0] in GROUPS, id
        assert run.__doc__, id
        _REGISTRY[id] = Check(id, level, clause, run)
        return run

    return register


def all_checks() -> tuple[Check, ...]:
    """Every check there is, in the order in which they run.

    >>> [check.id for check in all_checks()][:2]
    ['io.shape', 'io.dtype']
    """
    for group in GROUPS:
        importlib.import_module(f"intel_conformance.checks.{group}")
    return tuple(sorted(_REGISTRY.values(), key=lambda check: GROUPS.index(check.group)))


def level_of(text: str) -> Level:
    """A level by its name.

    Raises:
        SpecError: if there is no such level.
    """
    for level in LEVELS:
        if level == text:
            return level
    raise SpecError(f"no level is called {text!r}{did_you_mean(text, LEVELS, say='levels')}")


def choose(level: Level, only: Sequence[str] = (), skip: Sequence[str] = ()) -> tuple[Check, ...]:
    """The checks of a level, or those of `only` at any level, without those of `skip`; a group stands for all of its.

    Raises:
        SpecError: for a name that is neither a check nor a group.

    >>> [check.id for check in choose("quick", only=["mode"], skip=["mode.state"])][:2]
    ['mode.repeat', 'mode.train_eval']
    """
    everything = all_checks()
    wanted, unwanted = names_of(only, everything), names_of(skip, everything)
    last = LEVELS.index(level)
    return tuple(
        check
        for check in everything
        if (check.id in wanted if only else LEVELS.index(check.level) <= last) and check.id not in unwanted
    )


def names_of(names: Sequence[str], everything: Sequence[Check] | None = None) -> set[str]:
    """The ids that some names of checks and groups stand for.

    Raises:
        SpecError: for a name that is neither a check nor a group.
    """
    if isinstance(names, str):
        names = [names]
    everything = all_checks() if everything is None else everything
    ids = [check.id for check in everything]
    found: set[str] = set()
    for name in names:
        mine = {id for id in ids if name == id or id.startswith(f"{name}.")}
        if not mine:
            raise SpecError(f"no check is called {name!r}{did_you_mean(name, [*ids, *GROUPS], say='checks')}")
        found |= mine
    return found
