"""How far is a job, and when does it stop before its end?

Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intel_core.training.hooks import hookimpl
from intel_core.training.stopping import StopReason
from intel_study.jobs import Job

__all__ = ["EVERY", "Stopped", "Until", "Watch"]

EVERY = 0.5
"""Seconds between looks at the clock, and between lines of progress."""


@dataclass(frozen=True)
class Until:
    """When a job stops before its end: at a time, or once a file is there.

    Attributes:
        file: the file.
        time: seconds since 1970; none if it is infinite.
    """

    file: str
    time: float = float("inf")

    def is_over(self) -> bool:
        """Whether it is to stop."""
        return time.time() >= self.time or os.path.exists(self.file)


class Stopped(Exception):
    """The job is to stop, and what it did is saved."""


class Watch:
    """Tells how far a training is, and ends it where the job is to stop."""

    def __init__(self, job: Job, until: Until) -> None:
        self.job, self.until, self._next = job, until, 0.0

    def tell(self, what: str, share: float) -> None:
        """Write how far it is, unless that was done just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            with contextlib.suppress(OSError):
                content = {"what": what, "share": round(share, 4), "pid": os.getpid(), "host": platform.node()}
                self.job.progress.parent.mkdir(parents=True, exist_ok=True)
                files_write(self.job.progress, json.dumps(content))

    @hookimpl
    def logged(self, trainer: Any) -> None:
        """Look whether it is to stop, and tell how far it is."""
        if self.until.is_over():
            trainer.stop(StopReason("the study is stopped", "signal"))
        self.tell("training", trainer.step / trainer.steps)

    @hookimpl
    def run_start(self, trainer: Any) -> None:
        """The same before the first step."""
        self.logged(trainer)

    @hookimpl
    def tried(self, record: dict[str, Any]) -> None:
        """Tell which of several starts was tried."""
        self.tell(f"start {record.get('start')} of {record.get('of')}", 0.0)


def files_write(path: Path, text: str) -> None:
    """Write a small file that may be lost, in the place of what was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
