"""Which faults must the checks of the group `plugin` find: a spec that is not fit for a plugin."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from specimens.mutant import Spec, kills


@kills("plugin.text", registered=True)
class ShiftGrows(Spec):
    """A spec whose validator changes its value each time."""

    @field_validator("shift")
    @classmethod
    def _grow(cls, value: float) -> float:
        return min(value + 0.5, 5.0)


@kills("plugin.fields")
class SilentField(Spec):
    """A spec with a field that nobody explains."""

    mystery: int = 3


@kills("plugin.fields")
class TakesAnything(Spec, extra="allow"):
    """A spec that takes any key."""


@kills("plugin.schedules")
class AdvisesText(Spec):
    """A spec whose advice is no schedule."""

    def advised_schedules(self, steps: int, settled: Any) -> Any:
        return {"strength": "linear"}


@kills("plugin.light", registered=True)
class ImportsTorch(Spec):
    """A spec whose module, this one, imports torch."""
