"""What can be asked of a trained run in one call?"""

from __future__ import annotations

from pathlib import Path

from intel_core.runs.folder import RunFolder
from intel_core.runs.stored_run import StoredRun

__all__ = [
    "Run",
    "load_run",
]


class Run(StoredRun):
    """A trained model and everything known about it."""


def load_run(path: str | Path, *, device: str = "cpu") -> Run:
    """A run from its directory.

    Raises:
        RunError: if it is not a run directory.
    """
    return Run(RunFolder(Path(path)), device=device)
