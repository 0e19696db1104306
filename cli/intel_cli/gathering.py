"""Which runs are meant? Run directories, and groups of replicates, as one list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intel_core.errors import RunError

if TYPE_CHECKING:
    from intel_core.run import Run

__all__ = ["gather"]


def gather(paths: Sequence[Path], device: str = "cpu") -> list[Run]:
    """The runs of some paths, each a run directory or a folder of replicates; each run once.

    Raises:
        RunError: if a path holds no run, or a run that has not ended.
    """
    from intel_core.devices import pick_device
    from intel_core.replicates import FILE
    from intel_core.run import load_run

    found: dict[Path, Run] = {}
    for path in paths:
        named = Path("runs") / path
        group = next((place for place in (path, named) if (place / FILE).is_file()), None)
        inside = sorted(group.glob("seed-*/run.json"), key=_seed) if group is not None else []
        for folder in [file.parent for file in inside] or [path]:
            run = load_run(folder, device=str(pick_device(device)))
            if run.status != "finished":
                raise RunError(f"{folder} is {run.status}; end it with: intel train --resume {folder}")
            found.setdefault(folder.resolve(), run)
    return list(found.values())


def _seed(file: Path) -> tuple[int, str]:
    """Seeds by their number, not by their digits."""
    number = file.parent.name.removeprefix("seed-")
    return (int(number) if number.isdecimal() else 0, number)
