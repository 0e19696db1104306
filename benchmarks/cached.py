"""Has this run been trained already? Runs of the tables are kept by their settings, so a table can be continued."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from intel_core import Run, fit, load_run

__all__ = ["trained"]


def trained(runs: Path, as_data: str | None = None, **settings: Any) -> Run:
    """The finished run of these settings, read from its folder in `runs` or trained now; one cut short begins again.

    Args:
        runs: the folder.
        as_data: a name for the data, if those are not given as a text.
        **settings: as of `fit`.
    """
    named = settings if as_data is None else settings | {"data": as_data}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]
    label = "".join(c if c.isalnum() else "-" for c in f"{named['data']}-{settings['mapping']}")
    folder = runs / f"{label[:60]}-seed{settings['seed']}-{digest}"
    if (folder / "model.safetensors").exists():
        return load_run(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return fit(**settings, run_dir=folder)
