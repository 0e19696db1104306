"""Which runs repeat one experiment? Those that differ only in their seed; each group has a name that sets it apart."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from intel_core.components.spec import short_text
from intel_core.recipe.runspec import FORMER, kind_of_setting
from intel_core.runs.stored_run import StoredRun

__all__ = ["RunGroup", "differing", "group_runs"]

_NO_SETTING = (
    *("seed", "name", "device", "devices", "nodes", "strategy"),  # the last in runs of former versions
    *("log_every", "save_every", "save_minutes", "keep_checkpoints"),
)
"""Settings in which runs of one group may differ: the seed, and settings that do not affect the result."""
_FORMER = {"prior": "standard", "posterior": "gaussian", **FORMER}
"""What runs of former versions have, which do not say so."""
_FIRST = ("mapping", "prior", "posterior")
"""What a group is named by before anything else."""


class RunGroup(NamedTuple):
    """Runs that differ only in their seed.

    Attributes:
        name: what sets the group apart from the others, in a few words.
        runs: its runs by seed, one for each seed.
        again: further runs with the seed of one of those: copies or repetitions, which are no further evidence.
    """

    name: str
    runs: tuple[StoredRun, ...]
    again: tuple[StoredRun, ...] = ()


def group_runs(runs: Iterable[StoredRun]) -> list[RunGroup]:
    """Groups of runs with the same data and the same settings except for the seed, in the order of their first run.

    Of several runs with one seed the first counts: the others repeat it.

    The name of a group says what sets it apart: the settings in which the groups differ, the mapping first, then prior
    and posterior.
    """
    found: dict[tuple[tuple[str, str], ...], list[StoredRun]] = {}
    for run in runs:
        # The name of a file does not say what was in it when the run was trained.
        data = ("fingerprint", run.fingerprint)
        found.setdefault((*_settings(run, "spec"), data), []).append(run)
    resolved = [dict(_settings(members[0], "spec")) for members in found.values()]
    asked = {name for members in found.values() for name, _ in _settings(members[0], "asked")}
    names = _names(resolved, asked)
    if len(set(names)) < len(names):  # they differ in something that was not asked for: other defaults, or the data
        names = _names([dict(key) for key in found], {name for key in found for name, _ in key})
    return [_group(name, members) for name, members in zip(names, found.values(), strict=True)]


def _group(name: str, members: Iterable[StoredRun]) -> RunGroup:
    first: dict[int, StoredRun] = {}
    again = [run for run in members if first.setdefault(run.seed, run) is not run]
    return RunGroup(name, tuple(run for _, run in sorted(first.items())), tuple(again))


def _settings(run: StoredRun, which: Literal["spec", "asked"]) -> tuple[tuple[str, str], ...]:
    """Settings of a run as text, resolved or as asked for, without those in which runs of one group may differ."""
    settings = run.info.get(which) or run.info["spec"]
    if which == "spec":
        # A resolved spec has only the start that was chosen, and before there was a choice none names its prior.
        settings = _FORMER | settings | {"restarts": run.restarts}
    return tuple(sorted((name, _text(name, value)) for name, value in settings.items() if name not in _NO_SETTING))


def differing(run: StoredRun, other: StoredRun) -> dict[str, tuple[str, str]]:
    """Settings in which two runs differ, with the text of each; without those that do not touch the result."""
    mine, theirs = dict(_settings(run, "spec")), dict(_settings(other, "spec"))
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return {name: (mine.get(name, "–"), theirs.get(name, "–")) for name in names}


def _names(settings: Sequence[dict[str, str]], among: Container[str]) -> list[str]:
    """For each run, those of the named settings in which the runs differ; the mapping first."""
    rank = {name: place for place, name in enumerate(_FIRST)}
    every = sorted({name for key in settings for name in key}, key=lambda name: (rank.get(name, len(rank)), name))
    differ = [n for n in every if n in among and len({key.get(n) for key in settings}) > 1] or ["mapping"]
    return [
        ", ".join(key.get(n, "identity") if n == "mapping" else f"{n}={key.get(n, '–')}" for n in differ)
        for key in settings
    ]


def _text(setting: str, value: Any) -> str:
    """A setting as a user would type it, without fields that have their default value."""
    values = value if isinstance(value, list) else [value]
    kind = kind_of_setting(setting)
    if kind is None or not all(isinstance(one, str) for one in values):
        return str(value)
    return " → ".join(short_text(kind, one) for one in values) or "identity"
