"""What came out of a study? The numbers of every seed with their protocols, as JSON that can be committed.

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from intel_core import files
from intel_core.components.wording import describe_errors
from intel_core.errors import RunError
from intel_core.evaluation.matching import unordered_names
from intel_core.evaluation.measurement import Number
from intel_study.design import TRAINING, Study

__all__ = ["Cell", "MeasuredBy", "Results", "read_cell", "write_cell"]

FORMAT = 1
_MOST_BYTES = 2**28
_SAID = ("unit", "better", "about", "unordered")
"""What a metric says of a number, the same in every cell."""
_TRAINED: dict[str, dict[str, Any]] = {
    "elbo": {"unit": "nats per example", "better": "higher", "about": "evidence lower bound on test data"},
    "log_likelihood": {"unit": "nats per example", "about": "E log p(x|z) on test data"},
    "kl": {"unit": "nats per example", "about": "KL term of the bound on test data"},
    "kl_y": {"unit": "nats per example", "about": "KL of q(y|x) from the prior where the bound has that in z"},
    "active_units": {"about": "dimensions of y whose posterior mean varies by more than 0.01"},
}


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a later version may keep more


class MeasuredBy(_Kept):
    """What one metric said of one run."""

    metric: str = Field(description="the metric's whole spec as text")
    version: str = Field(description="the distribution that measured, and its version")
    status: Literal["measured", "not applicable", "failed"]
    reason: str = ""
    seconds: float = 0.0
    numbers: dict[str, Number] = Field(default_factory=dict)
    protocol: dict[str, JsonValue] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Cell(_Kept):
    """One arm in one problem with one seed.

    Attributes:
        status: ``measured`` where it was trained and measured, ``diverged``, or ``failed``.
        reason: why it is not measured.
        training: ``step``, ``test`` and ``mapping`` of the run's final numbers.
        metrics: by the name by which numbers refer to them.
        seconds: of ``training``, of ``measuring``, and of the ``whole``, the process's own work included.
    """

    format: int = FORMAT
    problem: str
    arm: str
    seed: int
    stack: tuple[int, ...] = ()
    digest: str
    data: str
    status: Literal["measured", "diverged", "failed"]
    reason: str = ""
    training: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, MeasuredBy] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, JsonValue] = Field(default_factory=dict)

    def number(self, of: str) -> Number | None:
        """A number by the name that columns use; None where the cell does not have it."""
        if of in TRAINING:
            test = self.training.get("test")
            value = test.get(of) if isinstance(test, dict) else None
            return _number(value, **_TRAINED[of])
        if of == "seconds":
            return _number(self.seconds.get("training"), unit="s", about="time spent in training steps")
        head, _, name = of.partition(".")
        if head in self.metrics:
            return self.metrics[head].numbers.get(name)
        if head == "mapping":
            found = self.training.get("mapping")
            return _number(found.get(name)) if isinstance(found, dict) else None
        return None

    def names(self) -> list[str]:
        """The names of all its numbers."""
        test, mapping = self.training.get("test"), self.training.get("mapping")
        found = [name for name in TRAINING if isinstance(test, dict) and name in test]
        for alias, measured in self.metrics.items():
            found += [f"{alias}.{name}" for name in measured.numbers]
        if isinstance(mapping, dict):
            found += [f"mapping.{name}" for name, value in mapping.items() if _number(value) is not None]
        return [*found, "seconds"]


def _number(value: Any, **about: Any) -> Number | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        return None
    return Number(value=float(value), **about)


def write_cell(path: Path, cell: Cell) -> None:
    """Keep a cell's numbers, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cell.model_dump(mode="json", exclude_defaults=False), indent=1, ensure_ascii=False)
    files.write_text(path, text + "\n")


def read_cell(path: Path) -> Cell | None:
    """The cell in a file; None where there is none that can be read."""
    try:
        return Cell.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


class Missing(_Kept):
    """A cell without numbers yet."""

    problem: str
    arm: str
    seed: int
    reason: str = ""


class Results(_Kept):
    """A study and every number of it.

    Attributes:
        format: of this file.
        name: of the study.
        file: the name of its file, of one that is not published.
        study: what was compared, in the form of its file.
        is_full: whether it is the whole protocol.
        seeds: those that were asked for.
        cells: in the order of problems, arms and seeds.
        missing: cells without numbers.
        specs: by problem and arm, the resolved settings of their runs.
        digest: of the study.
    """

    format: int = FORMAT
    name: str
    file: str = ""
    study: Study
    is_full: bool = False
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    missing: tuple[Missing, ...] = ()
    specs: dict[str, dict[str, dict[str, JsonValue]]] = Field(default_factory=dict)

    @classmethod
    def of_nothing(cls, name: str, study: Study) -> Results:
        """Those of a study that was not run."""
        return cls(name=name, study=study, seeds=study.seeds, cells=())

    def of(self, problem: str, arm: str) -> list[Cell]:
        """The cells of an arm in a problem, by seed."""
        return [cell for cell in self.cells if (cell.problem, cell.arm) == (problem, arm)]

    def values(self, problem: str, arm: str, column: str) -> dict[int, Number]:
        """A column's numbers by seed, of those that have it."""
        of = self.study.column(column).of
        found = {cell.seed: cell.number(of) for cell in self.of(problem, arm) if cell.status == "measured"}
        return {seed: number for seed, number in found.items() if number is not None}

    def columns(self) -> list[str]:
        """The columns of the tables: those of the study, or every number that was measured."""
        if self.study.numbers:
            return list(self.study.numbers)
        measured = [name for cell in self.cells for name in cell.names() if name.partition(".")[0] in cell.metrics]
        return [name for name in dict.fromkeys(["elbo", *measured]) if not self.is_unordered(name)]

    def kinds_of_machine(self) -> list[str]:
        """The kind of machine of each cell of which that is known, in words."""
        return [
            " ".join(str(cell.machine[part]) for part in ("system", "processor", "capability") if part in cell.machine)
            for cell in self.cells
            if cell.machine
        ]

    def is_unordered(self, column: str) -> bool:
        """Whether a column is of one of several things without an order, such as clusters, which each seed numbers."""
        head, _, name = self.study.column(column).of.partition(".")
        measured = (cell.metrics[head].numbers for cell in self.cells if head in cell.metrics)
        first = next((numbers for numbers in measured if name in numbers), None)
        return first is not None and name in unordered_names(first)

    def as_json(self) -> dict[str, Any]:
        """What ``study.json`` holds; protocols and settings that cells share are written once."""
        protocols: dict[str, JsonValue] = {}
        cells = []
        for cell in self.cells:
            content = cell.model_dump(mode="json", exclude={"format"}, exclude_defaults=True)
            for measured in content.get("metrics", {}).values():
                measured["protocol"] = _kept_once(protocols, measured.get("protocol", {}))
                for number in measured.get("numbers", {}).values():
                    said = {name: number.pop(name) for name in _SAID if name in number}
                    number["is"] = _kept_once(protocols, said)
            for shared in ("versions", "machine"):
                content[shared] = _kept_once(protocols, content.get(shared, {}))
            cells.append(content)
        return {
            "format": FORMAT,
            "name": self.name,
            **({"file": self.file} if self.file else {}),
            "study": self.study.model_dump(mode="json", exclude_defaults=True),
            "is_full": self.is_full,
            "seeds": list(self.seeds),
            "specs": self.specs,
            "cells": cells,
            "missing": [one.model_dump(mode="json") for one in self.missing],
            "shared": protocols,
        }

    def write(self, path: Path) -> None:
        """Keep everything in one file."""
        content = self.as_json()
        lines = []
        for key, value in content.items():
            if key in ("cells", "missing") and value:
                rows = ",\n".join(_compact(row) for row in value)
                lines.append(f'"{key}": [\n{rows}\n]')
            else:
                lines.append(f'"{key}": {_compact(value)}')
        files.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Everything from one file.

        Raises:
            RunError: if it is not there, damaged or of a later format.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise RunError(f"{path} is too large for the numbers of a study")
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{path} cannot be read: {said}") from error
        if not isinstance(content, dict) or not {"cells", "study", "name", "seeds"} <= set(content):
            raise RunError(f"{path} does not hold the numbers of a study")
        if isinstance(content.get("format"), int) and content["format"] > FORMAT:
            raise RunError(f"{path} has format {content['format']}, this version reads up to {FORMAT}: upgrade it")
        try:
            shared = content.get("shared", {})
            for cell in content["cells"]:
                for measured in cell.get("metrics", {}).values():
                    measured["protocol"] = shared.get(measured.get("protocol"), {})
                    for number in measured.get("numbers", {}).values():
                        number.update(shared.get(number.pop("is", ""), {}))
                for name in ("versions", "machine"):
                    cell[name] = shared.get(cell.get(name), {})
            return cls.model_validate(content)
        except ValidationError as error:
            raise RunError(f"{path} is damaged: {describe_errors(error)}") from None
        except (AttributeError, TypeError) as error:
            raise RunError(f"{path} is damaged: {error}") from None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _kept_once(kept: dict[str, JsonValue], value: Any) -> str:
    """A short name for a value, under which it is kept."""
    name = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
    kept[name] = value
    return name


def gathered(cells: Iterable[Cell | None]) -> tuple[Cell, ...]:
    """Those that are there."""
    return tuple(cell for cell in cells if cell is not None)
