"""Which run is asked for? The settings of a config file, overridden by the options on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intel_cli.arguments.paths import data_spec
from intel_cli.output.telling import note
from intel_core.components.settings_file import read_settings
from intel_core.errors import SpecError
from intel_core.recipe.runspec import make_run_spec, stored_settings

if TYPE_CHECKING:
    from intel_core.recipe.runspec import RunSpec

__all__ = ["run_spec"]


def run_spec(config: Path | None, options: dict[str, Any]) -> RunSpec:
    """The spec of the run.

    Args:
        config: YAML or JSON file with fields of `RunSpec`, or the ``run.json`` of another run.
        options: values from the command line by field; None or empty if an option is not given. Beside the fields,
            ``network`` stands for both networks, ``warmup`` for a linear schedule of the KL weight, and
            ``schedule`` holds texts ``NAME=SPEC``.

    Raises:
        IntelError: for anything that describes no run.
    """
    settings = _from_file(config) if config is not None else {}
    given = {key: value for key, value in options.items() if value is not None and value != ()}
    warmup, network = given.pop("warmup", None), given.pop("network", None)
    schedules = _schedules(given.pop("schedule", ()), warmup)
    if schedules:
        inherited = settings.get("schedules") or {}
        settings["schedules"] = {**(inherited if isinstance(inherited, dict) else {}), **schedules}
    if network is not None:
        settings |= {"encoder": network, "decoder": network}
    if "steps" in given or "epochs" in given:
        settings.pop("steps", None)
        settings.pop("epochs", None)
    if "mapping" in given:
        given["mapping"] = list(given["mapping"])
    settings |= given
    if isinstance(settings.get("data"), str):
        settings["data"] = _data(settings["data"])
    return make_run_spec(**settings)


def _from_file(path: Path) -> dict[str, Any]:
    """Settings from a config file, or the spec inside a ``run.json`` (or inside what ``--dry-run --json`` printed)."""
    settings = read_settings(path)
    spec = settings.get("asked") or settings.get("spec")
    if not isinstance(spec, dict):
        return {str(key): value for key, value in settings.items()}
    # A name that was derived from the settings would be wrong as soon as an option changes one of them.
    name = spec.get("name")
    unnamed = {key: value for key, value in stored_settings(spec).items() if key != "name"}
    return unnamed if name is None or name == make_run_spec(**unnamed).label else {**unnamed, "name": name}


def _schedules(texts: tuple[str, ...], warmup: int | None) -> dict[str, str]:
    schedules: dict[str, str] = {}
    for text in texts:
        name, equals, spec = text.partition("=")
        if not equals or not name.strip() or ":" in name:
            raise SpecError(f"--schedule {text!r} is not NAME=SPEC, e.g. kl=linear:steps=1000")
        if name.strip() in schedules:
            raise SpecError(f"--schedule gives {name.strip()!r} twice")
        schedules[name.strip()] = spec
    if warmup is not None:
        if "kl" in schedules:
            raise SpecError("--warmup and --schedule kl=… say the same thing; give one of them")
        if warmup < 0:
            raise SpecError(f"--warmup {warmup} is negative; it counts training steps, 0 for none")
        schedules["kl"] = f"linear:steps={warmup}" if warmup else "constant"
    return schedules


def _data(text: str) -> str:
    spec = data_spec(text)
    if spec != text:
        note(f"Reading {text} as --data {spec}")
    return spec
