"""Do groups of runs differ by more than their seeds? Each number of each group is tested against the first group."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from intel_core.components.spec import short_text
from intel_core.errors import SpecError
from intel_core.evaluation.grouping import RunGroup
from intel_core.evaluation.measurement import Number
from intel_core.evaluation.measuring import Measured, measurements
from intel_core.evaluation.statistics import holm, welch
from intel_core.runs.stored_run import StoredRun

__all__ = [
    "Cell",
    "Comparison",
    "Row",
    "Standing",
    "compare",
    "numbers_of",
]

_FROM_TRAINING: dict[str, dict[str, Any]] = {
    "elbo": {"unit": "nats per example", "better": "higher", "about": "evidence lower bound on test data"},
    "log_likelihood": {"unit": "nats per example", "about": "E log p(x|z) on test data"},
    "kl": {"unit": "nats per example", "about": "KL of q(y|x) from the prior on test data"},
    "active_units": {"about": "dimensions of y whose posterior mean varies by more than 0.01"},
}


Standing = Literal["better", "worse", "differs", "within noise", "no test", "reference"]


class Cell(NamedTuple):
    """One number of one group.

    Attributes:
        mean: over the runs that have it.
        std: standard deviation over them (n - 1 in the denominator); None for a single run.
        values: of each run.
        p: Holm-adjusted p-value of Welch's test against the first group; None where there is no test.
        verdict: ``better``, ``worse`` or ``differs`` where p is below the level, ``within noise`` where it is not, and
            ``no test`` where there are not two runs on both sides, or neither side varies.
    """

    mean: float
    std: float | None
    values: tuple[float, ...]
    p: float | None = None
    verdict: Standing = "no test"


class Row(NamedTuple):
    """One number over all groups.

    Attributes:
        metric: the metric's spec as text, or ``training`` for what every run knows of itself.
        number: name of the number.
        unit: its unit.
        better: which direction is better, if any.
        cells: by group; None where no run of it has the number.
    """

    metric: str
    number: str
    unit: str
    better: str | None
    cells: tuple[Cell | None, ...]


class Comparison(NamedTuple):
    """Groups of runs side by side; the first is the one that the others are tested against.

    Attributes:
        groups: in the order in which they were given.
        rows: a number each.
        level: below which p-value a difference counts.
        tests: how many tests the p-values are adjusted over.
        notes: what a reader must know, in sentences: runs that do not count, numbers that are not of one protocol.
    """

    groups: tuple[RunGroup, ...]
    rows: tuple[Row, ...]
    level: float
    tests: int
    notes: tuple[str, ...] = ()


_FEW, _MANY = 3, 4
"""Seeds of a group, and how many times as many beside it, from which on Welch's test claims plainly too often."""


def numbers_of(run: StoredRun) -> dict[tuple[str, str], Number]:
    """Every number known of a run, by metric (as text) and name: its final ones, and what is stored of metrics.

    What is not finite is no number, and is left out.
    """
    return _numbers(run, _stored(run))


def _stored(run: StoredRun) -> dict[str, Measured]:
    """What is stored of metrics, by their text; the latest where defaults of another version give one text twice."""
    by_age = sorted(measurements(run), key=lambda measured: measured.created)
    return {short_text("metrics", one.metric): one for one in by_age if one.measurement is not None}


def _numbers(run: StoredRun, stored: dict[str, Measured]) -> dict[tuple[str, str], Number]:
    test = run.metrics.get("test", {})
    found = {
        ("training", name): Number(value=float(test[name]), **about)
        for name, about in _FROM_TRAINING.items()
        if isinstance(test.get(name), int | float) and math.isfinite(test[name])
    }
    for metric, measured in stored.items():
        if measured.measurement is not None:
            found |= {(metric, name): number for name, number in measured.measurement.numbers.items()}
    return found


def _protocols(run: StoredRun, stored: dict[str, Measured]) -> dict[str, dict[str, str]]:
    """By metric, whatever has to be one and the same for its numbers to be held against each other, as text."""
    data = {"data": run.fingerprint}
    found = {"training": {**data, "likelihood": str(run.info["spec"].get("likelihood"))}}
    for metric, measured in stored.items():
        said = measured.measurement.protocol if measured.measurement is not None else {}
        own = {name: json.dumps(value, sort_keys=True) for name, value in said.items() if name != "fingerprint"}
        found[metric] = {**own, **data, "version": f"{measured.distribution} {measured.version}"}
    return found


def _notes(
    groups: Sequence[RunGroup], rows: Sequence[Row], protocols: Sequence[dict[str, dict[str, str]]]
) -> tuple[str, ...]:
    """Which runs do not count, and which numbers are not of one protocol, or not there."""
    notes = [
        f"{run.path} has seed {run.seed} of {group.name} once more, and does not count."
        for group in groups
        for run in group.again
    ]
    for metric in dict.fromkeys(row.metric for row in rows):
        known = [said[metric] for said in protocols if metric in said]
        differ = [
            name for name in dict.fromkeys(n for one in known for n in one) if len({one.get(name) for one in known}) > 1
        ]
        if differ:
            short = metric.partition(":")[0]
            notes.append(f"{short}: not by one protocol everywhere; what differs: {', '.join(differ)}.")
    return (*notes, *_uneven(groups), *_missing(groups, rows))


def _uneven(groups: Sequence[RunGroup]) -> list[str]:
    """Welch's test is approximate: a few seeds beside many are held for different too often."""
    first = groups[0]
    beside = [group for group in groups[1:] if len(group.runs) > 1]
    pairs = [sorted((len(first.runs), len(group.runs))) for group in beside if len(first.runs) > 1]
    if not any(few <= _FEW and many >= _MANY * few for few, many in pairs):
        return []
    return ["With two or three seeds beside many a difference is claimed up to 2.5 times as often as the level says."]


def _missing(groups: Sequence[RunGroup], rows: Sequence[Row]) -> list[str]:
    """Which metrics say nothing of some group, which says something of another."""
    lacking: dict[str, list[str]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        columns = zip(*(row.cells for row in rows if row.metric == metric), strict=True)
        names = [group.name for group, cells in zip(groups, columns, strict=True) if not any(cells)]
        if names:
            lacking.setdefault(", ".join(names), []).append(metric.partition(":")[0])
    return [f"Nothing is known of {names} by {', '.join(metrics)}." for names, metrics in lacking.items()]


def compare(
    groups: Sequence[RunGroup], *, level: float = 0.05, only: Callable[[tuple[str, str]], bool] | None = None
) -> Comparison:
    """Every number of some groups side by side, each tested against the first group.

    The test is Welch's, on the values of the seeds; p-values are adjusted by Holm's method over all tests of the
    comparison, so that with no difference anywhere one is claimed with a probability of about `level`: nearly so for
    groups of one size, up to two and a half times as often for two seeds beside twenty, which a note says.

    Args:
        groups: groups of runs, the first being the reference.
        level: below which p-value a difference counts.
        only: says of a metric (as text) and the name of a number whether it is compared; what is left out does not
            count among the tests.

    Raises:
        SpecError: if the level is not in (0, 1), or there is no group.
    """
    if not 0 < level < 1:
        raise SpecError(f"the level is {level:g}, expected a number between 0 and 1, e.g. 0.05")
    if not groups:
        raise SpecError("there is no run to compare")
    stored = [[_stored(run) for run in group.runs] for group in groups]
    known = [
        [_numbers(*each) for each in zip(group.runs, kept, strict=True)]
        for group, kept in zip(groups, stored, strict=True)
    ]
    protocols = [
        _protocols(*each)
        for group, kept in zip(groups, stored, strict=True)
        for each in zip(group.runs, kept, strict=True)
    ]
    keys = dict.fromkeys(key for runs in known for numbers in runs for key in numbers if only is None or only(key))
    rows = [_row(key, known) for key in sorted(keys, key=lambda key: key[0] != "training")]
    places = [(i, j) for i, row in enumerate(rows) for j, cell in enumerate(row.cells) if cell and cell.p is not None]
    adjusted = holm([p for i, j in places if (p := _p(rows[i].cells[j])) is not None])
    for (i, j), p in zip(places, adjusted, strict=True):
        rows[i] = _judged(rows[i], j, p, level)
    return Comparison(tuple(groups), tuple(rows), level, len(places), _notes(groups, rows, protocols))


def _p(cell: Cell | None) -> float | None:
    return None if cell is None else cell.p


def _row(key: tuple[str, str], known: list[list[dict[tuple[str, str], Number]]]) -> Row:
    samples = [tuple(numbers[key].value for numbers in runs if key in numbers) for runs in known]
    cells: list[Cell | None] = []
    for i, values in enumerate(samples):
        if not values:
            cells.append(None)
            continue
        p = welch(samples[0], values) if i else None
        std = statistics.stdev(values) if len(values) > 1 else None
        cells.append(Cell(math.fsum(values) / len(values), std, values, p, "no test" if i else "reference"))
    first = next(numbers[key] for runs in known for numbers in runs if key in numbers)
    return Row(*key, first.unit, first.better, tuple(cells))


def _judged(row: Row, place: int, p: float, level: float) -> Row:
    reference, cell = row.cells[0], row.cells[place]
    assert reference is not None
    assert cell is not None
    verdict: Standing
    if p >= level:
        verdict = "within noise"
    elif row.better is None:
        verdict = "differs"
    else:
        verdict = "better" if (cell.mean > reference.mean) == (row.better == "higher") else "worse"
    judged = cell._replace(p=p, verdict=verdict)
    return row._replace(cells=(*row.cells[:place], judged, *row.cells[place + 1 :]))
