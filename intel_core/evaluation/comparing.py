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
from intel_core.evaluation.matching import match, question_of
from intel_core.evaluation.measurement import Number
from intel_core.evaluation.measuring import Measured, measurements
from intel_core.evaluation.statistics import Difference, holm, paired, welch
from intel_core.runs.stored_run import StoredRun

__all__ = [
    "TEST",
    "Cell",
    "Comparison",
    "Row",
    "SeedTest",
    "Standing",
    "compare",
    "numbers_of",
    "short_name",
]

TEST = "test"
"""Where a metric has its name: what training says of the test data at its end."""
_AT_THE_END: dict[str, dict[str, Any]] = {
    "elbo": {"unit": "nats per example", "better": "higher", "about": "evidence lower bound on test data"},
    "log_likelihood": {"unit": "nats per example", "about": "E log p(x|z) on test data"},
    "kl": {
        "unit": "nats per example",
        "about": "KL from the prior on test data: of q(y|x), or of q(z|x) where the bound is that in z",
    },
    "kl_y": {"unit": "nats per example", "about": "KL of q(y|x) from the prior where the bound has that in z"},
    "active_units": {"about": "dimensions of y whose posterior mean varies by more than 0.01"},
}


Standing = Literal[
    "better",
    "worse",
    "differs",
    "not significant after correction",
    "no difference shown",
    "within noise",
    "no test",
    "reference",
]


class SeedTest(NamedTuple):
    """A test of one number of one group against the first group.

    Attributes:
        name: ``paired t-test`` where both groups have the same seeds and data, ``Welch's t-test`` elsewhere.
        difference: the group's mean less that of the first group; of the pairs, where they are paired.
        error: its standard error.
        interval: in which the true difference lies with a confidence of 1 - level, not adjusted for other tests.
        p_alone: the p-value of this test by itself.
        p: adjusted by Holm's method over its family.
        family: the tests that it is adjusted with: those of one question, of this group against the first.
        tests: how many they are.
    """

    name: str
    difference: float
    error: float
    interval: tuple[float, float]
    p_alone: float
    p: float
    family: str
    tests: int


class Cell(NamedTuple):
    """One number of one group.

    Attributes:
        mean: mean over the runs that have it.
        std: standard deviation over them (n - 1 in the denominator); None for a single run.
        values: the values of these runs.
        test: against the first group; None for that group itself, where there are not two runs on both sides, where
            neither side varies, and for numbers of things without an order, such as single clusters.
        verdict: where the adjusted p-value is below the level ``better`` or ``worse``, or ``differs`` for a number that
            has no better direction. Otherwise ``within noise`` where the difference is smaller than its standard
            error, ``not significant after correction`` where the p-value was below the level before the adjustment, and
            ``no difference shown`` elsewhere: none of them says that the two are equal. ``no test`` without a test.
    """

    mean: float
    std: float | None
    values: tuple[float, ...]
    test: SeedTest | None = None
    verdict: Standing = "no test"


class Row(NamedTuple):
    """One number over all groups.

    Attributes:
        metric: the metric's spec as text, or ``test`` for what every run knows of its test data.
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
        tests: how many tests there are in these rows.
        notes: what a reader must know, in sentences: runs that do not count, numbers that are not of one protocol.
    """

    groups: tuple[RunGroup, ...]
    rows: tuple[Row, ...]
    level: float
    tests: int
    notes: tuple[str, ...] = ()


_FEW, _MANY = 3, 4
"""Number of seeds in a group, and ratio to those of another, from which on Welch's test clearly claims too often."""


def numbers_of(run: StoredRun) -> dict[tuple[str, str], Number]:
    """Every number of a run, by metric (as text) and name: its final numbers and those that metrics have stored.

    Values that are not finite are left out.
    """
    return _numbers(run, _stored(run))


def _stored(run: StoredRun) -> dict[str, Measured]:
    """Stored measurements by the metric's text; the latest one, if two versions of a metric have the same text."""
    by_age = sorted(measurements(run), key=lambda measured: measured.created)
    return {_text_of(one): one for one in by_age if one.measurement is not None}


def _text_of(measured: Measured) -> str:
    """The metric's short text, and what examples were drawn from if it was not the prior."""
    text = short_text("metrics", measured.metric)
    return f"{text} from {measured.sampler}" if measured.sampler else text


def short_name(metric: str) -> str:
    """A metric's text without its settings, but never without what examples were drawn from.

    >>> short_name("frechet:n=5000"), short_name("frechet:n=5000 from pooled:components=3")
    ('frechet', 'frechet from pooled:components=3')
    """
    text, word, sampler = metric.partition(" from ")
    return f"{text.partition(':')[0]}{word}{sampler}"


def _numbers(run: StoredRun, stored: dict[str, Measured]) -> dict[tuple[str, str], Number]:
    test = run.metrics.get("test", {})
    found = {
        (TEST, name): Number(value=float(test[name]), **about)
        for name, about in _AT_THE_END.items()
        if isinstance(test.get(name), int | float) and math.isfinite(test[name])
    }
    for metric, measured in stored.items():
        if measured.measurement is not None:
            found |= {(metric, name): number for name, number in measured.measurement.numbers.items()}
    return found


def _protocols(run: StoredRun, stored: dict[str, Measured]) -> dict[str, dict[str, str]]:
    """By metric, everything that must be equal for its numbers to be comparable, as text."""
    data = {"data": run.fingerprint}
    found = {TEST: {**data, "likelihood": str(run.info["spec"].get("likelihood"))}}
    for metric, measured in stored.items():
        said = measured.measurement.protocol if measured.measurement is not None else {}
        own = {name: json.dumps(value, sort_keys=True) for name, value in said.items() if name != "fingerprint"}
        found[metric] = {**own, **data, "version": f"{measured.distribution} {measured.version}"}
    return found


def _notes(
    groups: Sequence[RunGroup], rows: Sequence[Row], protocols: Sequence[dict[str, dict[str, str]]]
) -> tuple[str, ...]:
    """Notes about runs that do not count, and about numbers that are missing or whose protocols differ."""
    notes = [
        f"{run.path} has seed {run.seed} of {group.name} once more, and does not count."
        for group in groups
        for run in group.again
    ]
    others: list[str] = []
    for metric in dict.fromkeys(row.metric for row in rows):
        known = [said[metric] for said in protocols if metric in said]
        differ = [
            name for name in dict.fromkeys(n for one in known for n in one) if len({one.get(name) for one in known}) > 1
        ]
        if "data" in differ:
            differ.remove("data")
            others.append(short_name(metric))
        if differ:
            short = short_name(metric)
            notes.append(f"{short}: not by one protocol everywhere; what differs: {', '.join(differ)}.")
    if others:
        about = ", ".join(dict.fromkeys(others))
        notes.insert(0, f"The runs are of different data: their numbers do not say which model is better ({about}).")
    return (*notes, *_uneven(groups), *_missing(groups, rows))


def _uneven(groups: Sequence[RunGroup]) -> list[str]:
    """Welch's test is approximate: a group of few seeds against one of many is called different too often."""
    first = groups[0]
    beside = [group for group in groups[1:] if len(group.runs) > 1 and not _are_pairs(first, group)]
    pairs = [sorted((len(first.runs), len(group.runs))) for group in beside if len(first.runs) > 1]
    if not any(few <= _FEW and many >= _MANY * few for few, many in pairs):
        return []
    return ["With two or three seeds beside many a difference is claimed up to 2.5 times as often as the level says."]


def _missing(groups: Sequence[RunGroup], rows: Sequence[Row]) -> list[str]:
    """Notes about metrics that have numbers for some groups only."""
    lacking: dict[str, list[str]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        columns = zip(*(row.cells for row in rows if row.metric == metric), strict=True)
        names = [group.name for group, cells in zip(groups, columns, strict=True) if not any(cells)]
        if names:
            lacking.setdefault(" and ".join(names), []).append(metric.partition(":")[0])
    return [f"Nothing is known of {names} by {', '.join(metrics)}." for names, metrics in lacking.items()]


def compare(
    groups: Sequence[RunGroup], *, level: float = 0.05, only: Callable[[tuple[str, str]], bool] | None = None
) -> Comparison:
    """Every number of some groups side by side, each tested against the first group.

    Where a group has the seeds and the data of the first one, the test is the paired t-test over seeds, elsewhere
    Welch's. p-values are adjusted by Holm's method within a family: the numbers by which one metric answers one
    question of one group. So the p-value of a difference does not change with what else is compared or shown. With no
    difference anywhere, one is claimed in a family with a probability of about `level`: nearly so for groups of one
    size, up to two and a half times as often for two seeds beside twenty, which a note says.

    Numbers of single clusters, and of other things without an order, are matched between runs before they are
    averaged (see `intel_core.evaluation.matching`), and are not tested.

    Args:
        groups: groups of runs, the first being the reference.
        level: below which p-value a difference counts.
        only: says of a metric (as text) and the name of a number whether it is compared.

    Raises:
        SpecError: if the level is not in (0, 1), or there is no group, or scipy is needed and not installed.
    """
    if not 0 < level < 1:
        raise SpecError(f"the level is {level:g}, expected a number between 0 and 1, e.g. 0.05")
    if not groups:
        raise SpecError("there is no run to compare")
    runs = [run for group in groups for run in group.runs]
    stored = [_stored(run) for run in runs]
    protocols = [_protocols(*each) for each in zip(runs, stored, strict=True)]
    flat = [_numbers(*each) for each in zip(runs, stored, strict=True)]
    unordered, how = _matched(flat, stored)
    known: list[list[dict[tuple[str, str], Number]]] = []
    for group in groups:
        start = sum(map(len, known))
        known.append(flat[start : start + len(group.runs)])
    keys = sorted(dict.fromkeys(key for numbers in flat for key in numbers), key=lambda key: key[0] != TEST)
    rows = [_row(key, groups, known, level, tested=key not in unordered) for key in keys]
    for place in range(1, len(groups)):
        rows = _adjusted(rows, place, level)
    shown = tuple(row for row in rows if only is None or only((row.metric, row.number)))
    tests = sum(cell is not None and cell.test is not None for row in shown for cell in row.cells)
    told = [
        f"{metric.partition(':')[0]}: {said}." for metric, said in how.items() if any(r[0] == metric for r in shown)
    ]
    return Comparison(tuple(groups), shown, level, tests, (*told, *_notes(groups, shown, protocols)))


def _matched(
    flat: list[dict[tuple[str, str], Number]], stored: Sequence[dict[str, Measured]]
) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """Number what has no order alike in all runs, in place; which numbers these are, and how it was done by metric."""
    unordered: set[tuple[str, str]] = set()
    how: dict[str, str] = {}
    for metric in dict.fromkeys(metric for one in stored for metric in one):
        asked = [
            (numbers, said)
            for numbers, one in zip(flat, stored, strict=True)
            if metric in one and (said := one[metric].measurement) is not None
        ]
        found = match([said for _, said in asked])
        unordered |= {(metric, name) for name in found.unordered}
        if found.how:
            how[metric] = found.how
            for (numbers, said), new in zip(asked, found.numbers, strict=True):
                for name in said.numbers:
                    del numbers[metric, name]
                numbers |= {(metric, name): number for name, number in new.items()}
    return unordered, how


def _row(
    key: tuple[str, str],
    groups: Sequence[RunGroup],
    known: list[list[dict[tuple[str, str], Number]]],
    level: float,
    *,
    tested: bool,
) -> Row:
    samples = [
        {run.seed: numbers[key].value for run, numbers in zip(group.runs, of_group, strict=True) if key in numbers}
        for group, of_group in zip(groups, known, strict=True)
    ]
    cells: list[Cell | None] = []
    for i, sample in enumerate(samples):
        values = tuple(sample.values())
        if not values:
            cells.append(None)
            continue
        test = _test(groups[0], samples[0], groups[i], sample, level) if i and tested else None
        std = statistics.stdev(values) if len(values) > 1 else None
        cells.append(Cell(math.fsum(values) / len(values), std, values, test, "no test" if i else "reference"))
    first = next(numbers[key] for runs in known for numbers in runs if key in numbers)
    return Row(*key, first.unit, first.better, tuple(cells))


def _test(
    first: RunGroup, reference: dict[int, float], group: RunGroup, sample: dict[int, float], level: float
) -> SeedTest | None:
    """The paired test of two groups of the same seeds and data, Welch's otherwise; its p-value is not adjusted yet."""
    found: Difference | None = None
    name = "paired t-test"
    if _are_pairs(first, group):
        seeds = [seed for seed in reference if seed in sample]
        found = paired([reference[seed] for seed in seeds], [sample[seed] for seed in seeds])
    if found is None:  # also where all differences are one and the same: that of two integers, say
        name, found = "Welch's t-test", welch(list(reference.values()), list(sample.values()))
    if found is None:
        return None
    return SeedTest(name, found.difference, found.error, found.interval(level), found.p, found.p, "", 1)


def _are_pairs(first: RunGroup, group: RunGroup) -> bool:
    """Whether two groups have the same seeds, on data that are known to be the same."""
    runs = (*first.runs, *group.runs)
    data = {run.fingerprint for run in runs}
    known = len(data) == 1 and not data & {"", "None"}
    return known and [run.seed for run in first.runs] == [run.seed for run in group.runs]


def _adjusted(rows: Sequence[Row], place: int, level: float) -> list[Row]:
    """The rows with p-values and verdicts of one group, adjusted within each family."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.cells[0] is not None or row.cells[place] is not None:  # other groups have no say in a family
            names.setdefault(row.metric, []).append(row.number)
    families: dict[str, dict[int, SeedTest]] = {}
    for i, row in enumerate(rows):
        cell = row.cells[place]
        if cell is not None and cell.test is not None:
            question = question_of(row.number, names[row.metric])
            families.setdefault(f"{row.metric} {question}".strip(), {})[i] = cell.test
    adjusted = list(rows)
    for family, tests in families.items():
        for (i, test), p in zip(tests.items(), holm([test.p_alone for test in tests.values()]), strict=True):
            judged = test._replace(p=p, family=family, tests=len(tests))
            adjusted[i] = _with(rows[i], place, judged, _verdict(judged, rows[i].better, level))
    return adjusted


def _with(row: Row, place: int, test: SeedTest, verdict: Standing) -> Row:
    cell = row.cells[place]
    assert cell is not None
    return row._replace(cells=(*row.cells[:place], cell._replace(test=test, verdict=verdict), *row.cells[place + 1 :]))


def _verdict(test: SeedTest, better: str | None, level: float) -> Standing:
    if test.p < level:
        if better is None:
            return "differs"
        return "better" if (test.difference > 0) == (better == "higher") else "worse"
    if abs(test.difference) < test.error:
        return "within noise"
    return "not significant after correction" if test.p_alone < level else "no difference shown"
