"""Has this run been trained already? Runs of the tables are kept by their settings, so a table can be continued."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from intel_core import Run, fit, fit_replicates, load_run

__all__ = ["trained", "trained_together"]


def trained(runs: Path, as_data: str | None = None, **settings: Any) -> Run:
    """The finished run of these settings, read from its folder in `runs` or trained now; one cut short begins again.

    Args:
        runs: the folder.
        as_data: a name for the data, if those are not given as a text.
        **settings: as of `fit`.
    """
    named = settings if as_data is None else settings | {"data": as_data}
    folder = _folder(runs, named, f"seed{settings['seed']}")
    if (folder / "model.safetensors").exists():
        return load_run(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return fit(**settings, run_dir=folder)


def trained_together(runs: Path, count: int, **settings: Any) -> list[Run]:
    """The same of `count` seeds from ``seed`` on, trained as one stack; all of it begins again if a run is missing."""
    seeds = range(settings["seed"], settings["seed"] + count)
    folder = _folder(runs, settings, f"seeds{seeds[0]}-{seeds[-1]}")
    members = [folder / f"seed-{seed}" for seed in seeds]
    if all((member / "model.safetensors").exists() for member in members):
        return [load_run(member) for member in members]
    shutil.rmtree(folder, ignore_errors=True)
    return fit_replicates(count, **settings, run_dir=folder).runs


def _folder(runs: Path, settings: dict[str, Any], which: str) -> Path:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    label = "".join(c if c.isalnum() else "-" for c in f"{settings['data']}-{settings['mapping']}")
    return runs / f"{label[:60]}-{which}-{digest}"
