"""What is a check? A plain function with a name, registered so that every front end can run and list it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intel_conformance.levels import Level

if TYPE_CHECKING:  # so that lists and completion of names import no torch
    from intel_conformance.candidate import Candidate

__all__ = ["GROUPS", "Check", "check", "registered"]

GROUPS = ("io", "rows", "mode", "finite", "cont", "grad", "deploy", "thm1", "structure", "image", "variants", "plugin")
"""The groups of checks in the order in which they run: a fault that would make other checks fail comes first."""


@dataclass(frozen=True)
class Check:
    """One question about a mapping or another component.

    Attributes:
        id: ``group.name``, e.g. ``rows.replace_others``.
        level: the first level that includes it.
        clause: the clause of the contract (`intel_core.Mapping`) that it tests, or the declared property.
        run: called with what is checked; returns if it passes, and raises an `intel_conformance.outcomes.Outcome`
            otherwise.
    """

    id: str
    level: Level
    clause: str
    run: Callable[[Any], None]

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def summary(self) -> str:
        """What a mapping that passes does, in one line: the first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


registered: dict[str, Check] = {}
"""The checks whose modules have been imported, by id; `intel_conformance.catalogue.all_checks` imports all of them."""


def check(
    id: str, clause: str, level: Level = "quick"
) -> Callable[[Callable[[Candidate], None]], Callable[[Candidate], None]]:
    """Register a function as the check of that id."""

    def register(run: Callable[[Candidate], None]) -> Callable[[Candidate], None]:
        assert id not in registered, id
        assert id.partition(".")[0] in GROUPS, id
        assert run.__doc__, id
        registered[id] = Check(id, level, clause, run)
        return run

    return register
