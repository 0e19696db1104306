"""How is a training recorded for TensorBoard? As event files, by torch's writer."""

from __future__ import annotations

import struct
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Any

from intel_core.fitting.tracker import Ending, TrackedRun
from intel_core.runs.opening import require_own_folder

__all__ = ["TensorBoardTracker"]

_SECONDS = 10
"""Between flushes: a process that is killed loses no more."""


class TensorBoardTracker:
    """Scalars by their names, settings and verdict as texts, pictures as images.

    Args:
        run: the run. When it goes on, events of later steps than the one it goes on from are purged, as TensorBoard
            does for a run that was killed.
        within: folder for a folder of the run; by default in the run's own.
    """

    def __init__(self, run: TrackedRun, within: str | None = None) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder = run.folder / "tensorboard"
        if within is None:
            require_own_folder(folder)  # a run directory may be a stranger's
        else:
            folder = Path(within) / f"{run.name}-{run.id[:8]}"
        purge = None if run.is_new else run.step + 1
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge, flush_secs=_SECONDS)
        if run.is_new:
            rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in run.settings.items()]
            self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]), run.step)
            self._writer.flush()

    def log(self, step: int, numbers: Dictionary[str, float]) -> None:
        """See `Tracker`."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def end(self, ending: Ending) -> None:
        """See `Tracker`."""
        self.log(ending.step, ending.numbers)
        self._writer.add_text("status", ending.status, ending.step)
        if ending.verdict:
            self._writer.add_text("verdict", ending.verdict.replace("\n", "\n\n"), ending.step)
        for picture in ending.pictures:
            self._add_png(picture, ending.step)
        self._writer.close()

    def _add_png(self, path: Path, step: int) -> None:
        """Add a picture as it is, without decoding it."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        content = path.read_bytes()
        width, height = struct.unpack(">II", content[16:24])
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
        summary = Summary(value=[Summary.Value(tag=f"pictures/{path.stem}", image=image)])
        self._writer.file_writer.add_summary(summary, step)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
