"""Which numbers does a run have, and what is each compared with? Tables of metrics and of the mapping's diagnosis."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from intel_cli.output.console import number
from intel_cli.output.meanings import MEANINGS
from intel_cli.output.summary import HIDDEN, UNITS
from intel_cli.output.telling import json_text
from intel_cli.output.terms import in_order, offered_by, term_name
from intel_cli.pictures.points import label_name

if TYPE_CHECKING:
    from intel_core.evaluation.measurement import Number
    from intel_core.evaluation.measuring import Measured
    from intel_core.evaluation.run import Run

__all__ = ["Diagnosis", "MetricRow", "MetricTable", "diagnosis_of", "metric_tables"]

_MOST_BARS = 64
_MOST_CELLS = 1024
_HIGHER = ("elbo", "iwae", "log_likelihood")
"""What of the final numbers is better the higher it is."""


@dataclass(frozen=True)
class Cell:
    """A number of one run: the value with its error, and the values to compare it with."""

    value: str
    beside: list[str]


@dataclass(frozen=True)
class MetricRow:
    """One number in all runs."""

    name: str
    about: str
    unit: str
    better: str
    mine: Cell
    other: Cell | None


@dataclass(frozen=True)
class MetricTable:
    """The numbers of one metric, the notes that belong to them, and the protocol as JSON."""

    name: str
    spec: str
    rows: list[MetricRow]
    notes: list[str]
    protocol: str
    by: str

    @property
    def has_beside(self) -> bool:
        """Whether any number has values to compare it with."""
        return any(row.mine.beside for row in self.rows)


@dataclass(frozen=True)
class Diagnosis:
    """One thing that the mapping says: a text, bars for a list, or a table for a matrix with its largest entry.

    Attributes:
        about: what it means, in a few words, where that is known.
        bars: value, width in percent and label of each entry.
        matrix: value and strength in percent of each cell.
    """

    name: str
    text: str = ""
    about: str = ""
    bars: tuple[tuple[str, float, str], ...] = ()
    matrix: tuple[tuple[tuple[str, int], ...], ...] = ()
    columns: tuple[str, ...] = ()


def _cell(measured: Number) -> Cell:
    value = minus(number(measured.value)) if measured.error is None else with_error(measured.value, measured.error)
    return Cell(value, [f"{name} {minus(number(v))}" for name, v in measured.beside.items()])


def with_error(value: float, error: float) -> str:
    """A value with as many decimals as its error has in two digits.

    >>> with_error(-23.2312, 0.184), with_error(99.98, 0.0354), with_error(1234.6, 210.0), with_error(2.5, 0.0)
    ('−23.23 ± 0.18', '99.980 ± 0.035', '1235 ± 210', '2.5 ± 0')
    """
    if not 0 < error < math.inf:
        return f"{minus(number(value))} ± 0" if error == 0 else minus(number(value))
    decimals = min(8, max(0, 1 - math.floor(math.log10(error))))
    return minus(f"{value:.{decimals}f} ± {error:.{decimals}f}")


def minus(text: str) -> str:
    """The text of a number with a true minus sign instead of a hyphen."""
    return "−" + text[1:] if text.startswith("-") else text


def _alike(one: Measured, other: Measured) -> bool:
    """Whether two measurements are of one metric, and of examples that were drawn alike."""
    return (one.metric, one.sampler) == (other.metric, other.sampler)


def metric_tables(
    run: Run, against: Run | None, mine: Sequence[Measured], others: Sequence[Measured]
) -> list[MetricTable]:
    """The numbers that training computed at its end, then every stored measurement."""
    tables = [*_own(run, against)]
    for one in sorted(mine, key=lambda m: (m.name, m.metric)):
        if one.measurement is None:
            continue
        twin = next((m for m in others if _alike(m, one) and m.measurement is not None), None)
        numbers = {} if twin is None or twin.measurement is None else twin.measurement.numbers
        rows = [
            MetricRow(
                name.replace("_", " "),
                measured.about,
                measured.unit,
                measured.better or "",
                _cell(measured),
                _cell(numbers[name]) if name in numbers else None,
            )
            for name, measured in one.measurement.numbers.items()
        ]
        notes = list(one.measurement.notes)
        if twin is not None and twin.measurement is not None:
            notes += [f"{note} (of the other run)" for note in twin.measurement.notes if note not in notes]
            if twin.measurement.protocol != one.measurement.protocol:
                notes.append("The two runs were measured by protocols that differ; the one shown is this run's.")
        by = f"{offered_by(one.distribution, one.version)}, {one.created}, {one.seconds:.1f} s"
        tables.append(MetricTable(one.name, one.metric, rows, notes, json_text(one.measurement.protocol), by))
    return tables


def _own(run: Run, against: Run | None) -> list[MetricTable]:
    """The final numbers of training, on test data."""
    test = run.metrics.get("test")
    if not isinstance(test, dict):
        return []
    other = {} if against is None else against.metrics.get("test") or {}
    rows = []
    for name in in_order(test, HIDDEN):
        if not isinstance(test[name], int | float):
            continue
        shown, better = term_name(name, test), "higher" if name in _HIGHER else ""
        beside = Cell(minus(f"{other[name]:.2f}"), []) if isinstance(other.get(name), int | float) else None
        cell = Cell(minus(f"{test[name]:.2f}"), [])
        rows.append(MetricRow(shown, "", UNITS, better, cell, beside))
    active = test.get("active_units")
    if isinstance(active, int):
        of = run.model.y_dim
        theirs = other.get("active_units")
        beside = None
        if against is not None and isinstance(theirs, int):
            beside = Cell(f"{theirs} of {against.model.y_dim}", [])
        rows.append(MetricRow("active units", "", "", "", Cell(f"{active} of {of}", []), beside))
    return [MetricTable("test", "", rows, [], "", "")] if rows else []


# --- diagnosis ---------------------------------------------------------------------------------------------------


def diagnosis_of(own: Dictionary[str, Any], mine: Sequence[Measured], classes: Sequence[str]) -> list[Diagnosis]:
    """What the mapping said of the test data, and the details of the stored measurement called diagnosis."""
    said = dict(own)
    for one in mine:
        if one.name == "diagnosis" and one.measurement is not None:
            known = {name.replace("_", " ") for name in said}
            details = one.measurement.details
            said |= {name: value for name, value in details.items() if name.replace("_", " ") not in known}
    heads = any(_is_matrix(value) for value in said.values())  # the classes head a table's columns then
    told = [name for name, value in said.items() if value is not None and not (heads and name == "classes")]
    shown = [_shown(name, said[name], said, classes) for name in told]
    return [replace(one, about=MEANINGS.get(one.name, "")) for one in shown]


def _shown(name: str, value: Any, every: Dictionary[str, Any], classes: Sequence[str]) -> Diagnosis:
    title = name.replace("_", " ")
    if _is_list(value) and value and all(_is_number(v) for v in value) and 1 < len(value) <= _MOST_BARS:
        if name == "classes":
            return Diagnosis(title, number(value))
        top = max(max(abs(float(v)) for v in value), 1e-12)
        bars = tuple((number(v), 100 * max(0.0, float(v)) / top, str(i)) for i, v in enumerate(value))
        return Diagnosis(title, bars=bars)
    if _is_matrix(value):
        top = max(max((abs(float(v)) for row in value for v in row), default=0.0), 1e-12)
        columns = _columns(len(value[0]), every, classes)
        rows = tuple(tuple((_small(v), round(100 * abs(float(v)) / top)) for v in row) for row in value)
        return Diagnosis(title, matrix=rows, columns=columns)
    return Diagnosis(title, number(value))


def _small(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _columns(n: int, every: Dictionary[str, Any], classes: Sequence[str]) -> tuple[str, ...]:
    known = every.get("classes")
    if isinstance(known, list | tuple) and len(known) == n:
        return tuple(label_name(v, classes) if isinstance(v, int) else str(v) for v in known)
    return tuple(map(str, range(n)))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_matrix(value: Any) -> bool:
    if not (_is_list(value) and value and all(_is_list(row) and row for row in value)):
        return False
    cells = [v for row in value for v in row]
    return len(cells) <= _MOST_CELLS and len({len(row) for row in value}) == 1 and all(map(_is_number, cells))
