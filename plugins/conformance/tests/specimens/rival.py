"""What is a rival? A component of another kind than mappings with one fault, and the check that has to find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from intel_conformance.kinds import KINDS, Kind
from pydantic import Field

from intel_core import ComponentSpec


@dataclass(frozen=True)
class Rival:
    """A faulty component of another kind than mappings.

    Attributes:
        name: of the fault.
        kind: what it is.
        kills: the check that is meant to find it.
        what: its spec, or what builds it.
        y_dim: in how many dimensions it is tried, if it is built for a number of them.
        registered: whether its spec has to be registered.
        status: how the check has to end.
    """

    name: str
    kind: Kind
    kills: str
    what: Any
    y_dim: int | None = 2
    registered: bool = False
    status: str = "failed"


RIVALS: list[Rival] = []


def kills(
    kind: Kind, id: str, y_dim: int = 2, *, registered: bool = False, status: str = "failed"
) -> Callable[[type], type]:
    """Class decorator for a mutant that the check has to find."""

    def add(mutant: Any) -> Any:
        what = mutant() if issubclass(mutant, ComponentSpec) else mutant
        dims = y_dim if KINDS[kind].has_dims else None
        RIVALS.append(Rival(mutant.__name__, kind, id, what, dims, registered, status))
        return mutant

    return add


def spec_faults(kind: Kind, sound: type[ComponentSpec]) -> None:
    """What may be wrong with the spec of any kind: text that is read otherwise, no description, an import of torch."""

    class ChangesWhenRead(sound):  # type: ignore[valid-type, misc]
        """A sound one, whose number is another each time it is read."""

        number: float = Field(0.5, description="what changes")

        def __init__(self, **values: Any) -> None:
            super().__init__(**{**values, "number": float(values.get("number", 0.5)) + 1})

    class Undescribed(sound):  # type: ignore[valid-type, misc]
        """A sound one."""

        number: float = 0.5

    class ImportsTorch(sound):  # type: ignore[valid-type, misc]
        """A sound one, in a module that imports torch."""

        __module__ = sound.__module__

    class CopiesOtherwise(sound):  # type: ignore[valid-type, misc]
        """A sound one, whose copy has another number."""

        number: float = Field(0.5, description="what changes")

        def __deepcopy__(self, memo: Any) -> Any:
            return self.model_copy(update={"number": self.number + 1})

    for id, mutant in {
        "plugin.text": ChangesWhenRead,
        "plugin.fields": Undescribed,
        "plugin.light": ImportsTorch,
        "plugin.copy": CopiesOtherwise,
    }.items():
        RIVALS.append(
            Rival(mutant.__name__, kind, id, mutant(), None, registered=id in ("plugin.text", "plugin.light"))
        )
