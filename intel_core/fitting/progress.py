"""What is shown of a training that is called from Python? One line, written over, on a terminal or in a notebook."""

from __future__ import annotations

import sys
import time
from typing import Any, Literal, TextIO

from intel_core.errors import SpecError
from intel_core.training.hooks import Training, hookimpl

__all__ = ["Progress", "ProgressLine", "progress_hooks"]

Progress = bool | Literal["auto"]
_SECONDS = 0.1
"""Between two lines at least, the first and the last one excepted."""


def progress_hooks(progress: Progress) -> list[ProgressLine]:
    """The hooks that show a training: one, or none.

    Args:
        progress: ``"auto"`` shows it on a terminal and in a notebook only.

    Raises:
        SpecError: if it is anything else.

    >>> progress_hooks(False)
    []
    >>> progress_hooks("yes")
    Traceback (most recent call last):
    intel_core.errors.SpecError: progress='yes': expected True, False or "auto"
    """
    if progress not in (True, False, "auto"):
        raise SpecError(f'progress={progress!r}: expected True, False or "auto"')
    wanted = _is_watched(sys.stderr) if progress == "auto" else bool(progress)
    return [ProgressLine()] if wanted else []


def _is_watched(stream: TextIO | None) -> bool:
    """Whether somebody sees what is written over: on a terminal, or in a notebook, whose streams are no terminals."""
    if stream is None:
        return False
    if stream.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class ProgressLine:
    """Hooks that write ``step 1,200 of 4,000, ELBO -12.34 nats, validation -12.90, 0:41 left``.

    Args:
        stream: where to; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._first, self._since, self._shown, self._width = 0, 0.0, 0.0, 0
        self._validation = ""

    @hookimpl
    def run_start(self, trainer: Training) -> None:
        """Begin to count the time."""
        self._first, self._since, self._validation = trainer.step, time.perf_counter(), ""
        self._write(f"step {trainer.step:,} of {trainer.steps:,}", now=True)

    @hookimpl
    def logged(self, trainer: Training, record: dict[str, Any]) -> None:
        """Show the newest training ELBO and the time left."""
        done, passed = trainer.step - self._first, time.perf_counter() - self._since
        left = round(passed / done * (trainer.steps - trainer.step)) if done else 0
        elbo = f", ELBO {record['elbo']:.2f} nats" if isinstance(record.get("elbo"), float) else ""
        time_left = f"{left // 60}:{left % 60:02} left"
        self._write(f"step {trainer.step:,} of {trainer.steps:,}{elbo}{self._validation}, {time_left}")

    @hookimpl
    def evaluated(self, trainer: Training, record: dict[str, Any]) -> None:
        """Remember the newest validation ELBO."""
        if isinstance(record.get("elbo"), float):
            self._validation = f", validation {record['elbo']:.2f}"

    @hookimpl
    def run_end(self, trainer: Training) -> None:
        """Leave the last line."""
        seconds = time.perf_counter() - self._since
        self._write(f"step {trainer.step:,} of {trainer.steps:,}{self._validation}, {seconds:.0f} s", now=True)
        self._stream.write("\n")
        self._stream.flush()
        self._width = 0

    def _write(self, line: str, *, now: bool = False) -> None:
        if not now and time.perf_counter() - self._shown < _SECONDS:
            return
        self._shown = time.perf_counter()
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)
