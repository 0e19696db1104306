"""What do the numbers of a study say? Means over seeds, and which differences from the reference exceed their noise.

Nothing here imports torch.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import Literal, NamedTuple

from intel_core.errors import did_you_mean
from intel_core.evaluation.statistics import Difference, holm, welch
from intel_study.design import Column
from intel_study.results import Results

__all__ = ["Entry", "Row", "Table", "beside", "decimals", "described", "notes", "shown", "tables", "unknown_numbers"]

Mark = Literal["", "better", "worse", "differs"]


class Entry(NamedTuple):
    """One number of one arm.

    Attributes:
        mean: over the seeds that have it.
        std: their standard deviation (n - 1 in the denominator); None for one seed.
        values: by seed.
        difference: from the reference, by Welch's t-test; None where there is none.
        p: adjusted by Holm's method over the comparisons of the table; None where nothing is tested.
        mark: ``better``, ``worse`` or, without a better direction, ``differs``, where p is below the level.
    """

    mean: float
    std: float | None
    values: dict[int, float]
    difference: Difference | None = None
    p: float | None = None
    mark: Mark = ""


class Row(NamedTuple):
    """An arm: its name, its label, the numbers by column, None where no seed has one, and how many seeds it has."""

    arm: str
    label: str
    entries: dict[str, Entry | None]
    seeds: int


class Table(NamedTuple):
    """A problem.

    Attributes:
        problem: its name; empty where the study has no problems.
        columns: name and description of each.
        rows: the arms.
        tests: how many comparisons there are.
    """

    problem: str
    columns: dict[str, Column]
    rows: list[Row]
    tests: int


def tables(results: Results) -> list[Table]:
    """A table for each problem: every arm's numbers, each tested against those of the reference arm.

    The test is Welch's over seeds. The p-values of a table are adjusted by Holm's method over all its comparisons, so
    that a table without any true difference marks one with a probability of the level at most.
    """
    return [_table(results, problem) for problem in results.study.problem_names]


def _table(results: Results, problem: str) -> Table:
    study = results.study
    columns = {name: described(results, name) for name in results.columns()}
    values = {
        arm: {
            name: {seed: number.value for seed, number in results.values(problem, arm, name).items()}
            for name in columns
        }
        for arm in study.arm_names(problem)
    }
    reference = values.get(study.reference or "")
    tested: dict[tuple[str, str], Difference] = {}
    for arm in values if reference is not None else ():
        for name in columns:
            if arm != study.reference and reference is not None and not results.is_unordered(name):
                found = welch(list(reference[name].values()), list(values[arm][name].values()))
                if found is not None:
                    tested[arm, name] = found
    adjusted = dict(zip(tested, holm([test.p for test in tested.values()]), strict=True))
    rows = []
    for arm, of_arm in values.items():
        entries: dict[str, Entry | None] = {}
        for name, sample in of_arm.items():
            if not sample:
                entries[name] = None
                continue
            drawn = list(sample.values())
            test, p = tested.get((arm, name)), adjusted.get((arm, name))
            mark: Mark = ""
            if test is not None and p is not None and p < study.level:
                better = columns[name].better
                up = test.difference > 0
                mark = "differs" if better in (None, "neither") else "better" if up == (better == "higher") else "worse"
            std = statistics.stdev(drawn) if len(drawn) > 1 else None
            entries[name] = Entry(math.fsum(drawn) / len(drawn), std, sample, test, p, mark)
        seeds = sum(cell.status == "measured" for cell in results.of(problem, arm))
        rows.append(Row(arm, study.label(arm), entries, seeds))
    return Table(problem, columns, rows, len(tested))


def described(results: Results, name: str) -> Column:
    """A column with what the numbers themselves say of their unit and better direction."""
    column = results.study.column(name)
    first = next((n for cell in results.cells if (n := cell.number(column.of)) is not None), None)
    update: dict[str, object] = {"label": column.label or name}
    if first is not None:
        update |= {"unit": column.unit or first.unit, "better": column.better or first.better}
    return column.model_copy(update=update)


def decimals(column: Column, std: float | None, value: float) -> int:
    """Decimals that are shown: those of the column, or so many that two digits of the spread, or four of a value, are.

    >>> decimals(Column(), 0.123, 5.0), decimals(Column(), None, 123.4), decimals(Column(digits=1), 0.123, 5.0)
    (2, 1, 1)
    """
    if column.digits is not None:
        return column.digits
    if std:
        return min(8, max(0, 1 - math.floor(math.log10(std))))
    return min(8, max(0, 3 - math.floor(math.log10(abs(value))))) if value else 1


def shown(column: Column, mean: float, std: float | None, sign: str = "±") -> str:
    """A mean and its deviation as text.

    >>> shown(Column(), 5.12345, 0.0456), shown(Column(digits=1), 5.12345, None)
    ('5.123 ± 0.046', '5.1')
    """
    digits = decimals(column, std, mean)
    text = f"{mean:.{digits}f}"
    text = text.removeprefix("-") if float(text) == 0 else text
    return text if std is None else f"{text} {sign} {std:.{digits}f}"


def notes(results: Results) -> list[str]:
    """What a reader of the tables must know, in sentences: the test, cells that are missing, metrics that failed."""
    study, found = results.study, []
    seeds = results.seeds
    several = "seeds" if len(seeds) > 1 else "seed"
    said = (
        f"{seeds[0]} to {seeds[-1]}"
        if seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
        else ", ".join(map(str, seeds))
    )
    said = str(seeds[0]) if len(seeds) == 1 else said
    found.append(f"Mean ± standard deviation over {several} {said}." if len(seeds) > 1 else f"One seed: {said}.")
    if study.reference is not None and len(seeds) > 1:
        found.append(
            f"Against {study.label(study.reference)}: Welch's t-test over seeds, p adjusted by Holm's method over the "
            f"comparisons of a table, level {study.level:g}; what is not marked is not shown to be equal."
        )
    if results.missing:
        found.append(f"{len(results.missing)} of {len(results.missing) + len(results.cells)} cells are missing.")
    kinds = Counter(results.kinds_of_machine())
    if len(kinds) > 1:
        parts = ", ".join(f"{count} cells on {kind}" for kind, count in sorted(kinds.items()))
        found.append(
            f"Machines of {len(kinds)} kinds: {parts}; numbers are repeated to the last digit on one kind only."
        )
    for cell in results.cells:
        if cell.status != "measured":
            found.append(f"{_place(cell.problem, cell.arm)}, seed {cell.seed}: {cell.status}: {cell.reason}")
    reasons: dict[tuple[str, str, str, str], list[int]] = {}
    for cell in results.cells:
        for alias, one in cell.metrics.items():
            if one.status != "measured":
                key = (_place(cell.problem, cell.arm), alias, one.status, one.reason)
                reasons.setdefault(key, []).append(cell.seed)
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for (place, alias, status, reason), _ in reasons.items():
        by_reason.setdefault((alias, status, reason), []).append(place)
    found += [
        f"{alias} is {status} for {', '.join(places)}: {reason}"
        for (alias, status, reason), places in by_reason.items()
    ]
    found += beside(results) if study.numbers else []
    for name in results.columns():
        if results.is_unordered(name):
            label = study.column(name).label or name
            found.append(f"{label} is numbered anew by every seed: its mean says little, and it is not tested.")
    found += unknown_numbers(results).values()
    found += list(study.notes)
    return found


def unknown_numbers(results: Results) -> dict[str, str]:
    """Columns of which no run has the number, though runs were measured, each with a sentence and the nearest name.

    Not those of a metric that gave no run anything: its reason is told, and other runs may be to come.
    """
    names = {name for cell in results.cells for name in cell.names()}
    if not any(cell.status == "measured" for cell in results.cells):
        return {}
    wanted = dict.fromkeys([*results.columns(), *(claim.number for claim in results.study.claims)])
    of = {name: results.study.column(name).of for name in wanted}
    given = {alias for cell in results.cells for alias, one in cell.metrics.items() if one.status == "measured"}
    silent = {alias for cell in results.cells for alias in cell.metrics} - given
    return {
        name: f"No run has a number {number!r}{did_you_mean(number, names, say='numbers')}"
        for name, number in of.items()
        if number not in names and number.partition(".")[0] not in silent
    }


def beside(results: Results) -> list[str]:
    """What the numbers of each column are to be compared with, such as real data against real, in a sentence each."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in results.cells:
        for name in results.columns() if cell.status == "measured" else ():
            number = cell.number(results.study.column(name).of)
            for what, value in (number.beside if number is not None else {}).items():
                found.setdefault((name, what), []).append(value)
    said = []
    for (name, what), values in found.items():
        column = described(results, name)
        low, high = min(values), max(values)
        digits = decimals(column, None, high)
        ends = list(dict.fromkeys(f"{end:.{digits}f}" for end in (low, high)))
        unit = f" {column.unit}" if column.unit else ""
        said.append(f"Beside {column.label}: {what} {' to '.join(ends)}{unit}.")
    return said


def _place(problem: str, arm: str) -> str:
    return f"{arm}@{problem}" if problem else arm
