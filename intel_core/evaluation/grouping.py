"""Which runs are one experiment repeated? Those that differ in their seed alone, under a name that sets them apart."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from intel_core.components.spec import short_text
from intel_core.recipe.runspec import kind_of_setting
from intel_core.runs.stored_run import StoredRun

__all__ = ["RunGroup", "group_runs"]

_NO_SETTING = (
    *("seed", "name", "device", "devices", "nodes", "strategy"),  # the last in runs of former versions
    *("log_every", "save_every", "save_minutes", "keep_checkpoints"),
)
"""What runs of one group may differ in: the seed, and what does not touch the result."""


class RunGroup(NamedTuple):
    """Runs that differ in their seed alone.

    Attributes:
        name: what sets it apart from the other groups, in a few words.
        runs: its runs, by seed, one of each.
        again: runs with the seed of one of those: copies or repetitions, which are no further evidence.
    """

    name: str
    runs: tuple[StoredRun, ...]
    again: tuple[StoredRun, ...] = ()


def group_runs(runs: Iterable[StoredRun]) -> list[RunGroup]:
    """Runs by their data and all their settings but the seed, in the order in which each kind came first.

    Of several runs with one seed the first counts: the others are the same run once more.

    The name of a group says what sets it apart: the settings in which the groups differ, the mapping first.
    """
    found: dict[tuple[tuple[str, str], ...], list[StoredRun]] = {}
    for run in runs:
        # A file's name says nothing of what was in it when the run was trained.
        data = ("fingerprint", run.fingerprint)
        found.setdefault((*_settings(run, "spec"), data), []).append(run)
    resolved = [dict(_settings(members[0], "spec")) for members in found.values()]
    asked = {name for members in found.values() for name, _ in _settings(members[0], "asked")}
    names = _names(resolved, asked)
    if len(set(names)) < len(names):  # what sets them apart was not asked for: another version's defaults, or the data
        names = _names([dict(key) for key in found], {name for key in found for name, _ in key})
    return [_group(name, members) for name, members in zip(names, found.values(), strict=True)]


def _group(name: str, members: Iterable[StoredRun]) -> RunGroup:
    first: dict[int, StoredRun] = {}
    again = [run for run in members if first.setdefault(run.seed, run) is not run]
    return RunGroup(name, tuple(run for _, run in sorted(first.items())), tuple(again))


def _settings(run: StoredRun, which: Literal["spec", "asked"]) -> tuple[tuple[str, str], ...]:
    """Settings of a run as text, resolved or as asked for, without those that seeds of one group differ in."""
    settings = run.info.get(which) or run.info["spec"]
    if which == "spec":
        settings = settings | {"restarts": run.restarts}  # a resolved spec has a start that was chosen
    return tuple(sorted((name, _text(name, value)) for name, value in settings.items() if name not in _NO_SETTING))


def _names(settings: Sequence[dict[str, str]], among: Container[str]) -> list[str]:
    """What sets some settings apart from each other, among those named; the mapping first."""
    every = sorted({name for key in settings for name in key}, key=lambda name: (name != "mapping", name))
    differ = [n for n in every if n in among and len({key.get(n) for key in settings}) > 1] or ["mapping"]
    return [
        ", ".join(key.get(n, "identity") if n == "mapping" else f"{n}={key.get(n, '–')}" for n in differ)
        for key in settings
    ]


def _text(setting: str, value: Any) -> str:
    """A setting as a user would type it, without the fields that are at their default."""
    values = value if isinstance(value, list) else [value]
    kind = kind_of_setting(setting)
    if kind is None or not all(isinstance(one, str) for one in values):
        return str(value)
    return " → ".join(short_text(kind, one) for one in values) or "identity"
