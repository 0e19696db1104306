"""Which run is asked for? The settings of a config file, overridden by the options on the command line."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.around import Around, around, take_around
from intel_cli.output.telling import note
from intel_core.components.settings_file import read_settings
from intel_core.reading.data_files import data_spec
from intel_core.recipe.contradictions import refuse_contradictions
from intel_core.recipe.runspec import make_run_spec, stored_settings
from intel_core.recipe.words import spelled_out
from intel_core.runs.folder import require_free

if TYPE_CHECKING:
    from intel_core.recipe.runspec import RunSpec

__all__ = ["asked_run", "refuse_taken"]


def asked_run(config: Path | None, options: dict[str, Any], options_around: dict[str, Any]) -> tuple[RunSpec, Around]:
    """The spec of the run, and what belongs to the training around it.

    Args:
        config: YAML or JSON file with fields of `RunSpec` and `Around`, or the ``run.json`` of another run.
        options: values from the command line by field or short word (`intel_core.recipe.words`); None or empty if an
            option is not given.
        options_around: those of `Around`, likewise.

    Raises:
        IntelError: for anything that describes no run.
    """
    from_file, around_file = ({}, {}) if config is None else _from_file(config)
    found = around(options_around, around_file)
    settings = spelled_out(from_file)
    given = spelled_out({key: value for key, value in options.items() if value is not None and value != ()})
    if "schedules" in given:
        inherited = settings.get("schedules") or {}
        given["schedules"] = {**(inherited if isinstance(inherited, dict) else {}), **given["schedules"]}
    if "steps" in given or "epochs" in given:
        settings.pop("steps", None)
        settings.pop("epochs", None)
    if "mapping" in given:
        given["mapping"] = list(given["mapping"])
    settings |= given
    if isinstance(settings.get("data"), str):
        settings["data"] = _data(settings["data"])
    spec = make_run_spec(**settings)
    refuse_contradictions(spec)
    return spec, found


def refuse_taken(run_dir: Path) -> None:
    """Refuse a run directory that a new run cannot have, before the data are read; the run itself looks again.

    Raises:
        RunError: if it is a file, or holds something.
    """
    with contextlib.suppress(OSError, ValueError):  # told where the directory is made
        if not _is_another():
            require_free(run_dir)


def _from_file(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a run and words of `Around` in a config file.

    Of a ``run.json``, or of what ``--dry-run --json`` printed, it is the spec inside.
    """
    settings = read_settings(path)
    spec = settings.get("asked") or settings.get("spec")
    if not isinstance(spec, dict):
        taken = take_around(settings)
        return settings, taken
    # A name that was derived from the settings would be wrong as soon as an option changes one of them.
    name = spec.get("name")
    unnamed = {key: value for key, value in stored_settings(spec).items() if key != "name"}
    resolved = settings.get("spec")
    if isinstance(resolved, dict) and "start" not in resolved:  # of a time when runs had no start
        unnamed["start"] = "none"
    return (unnamed if name is None or name == make_run_spec(**unnamed).label else {**unnamed, "name": name}), {}


def _data(text: str) -> str:
    spec = data_spec(text)
    if spec != text and not _is_another() and not _is_quiet():
        note(f"Reading {text} as --data {spec}")
    return spec


def _is_quiet() -> bool:
    """Whether the command was told to say errors and warnings only."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("quiet"))


def _is_another() -> bool:
    """Whether this is one of several processes, and not the first, which writes."""
    return any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK"))
