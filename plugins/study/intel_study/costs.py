"""How long do the jobs of a study take, and how long those that are left?

Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence

from intel_core.runs import opening
from intel_study.jobs import Job
from intel_study.results import read_cell

__all__ = ["Costs", "spoken"]


class Costs:
    """How long jobs take: as long as those of their arm and problem took, or else as was estimated, or as others took.

    Args:
        jobs: all jobs.
        estimate: seconds of a job of which none like it has ended; None if it is not known.
    """

    def __init__(self, jobs: Sequence[Job], estimate: Callable[[Job], float | None] = lambda job: None) -> None:
        self._seconds: dict[tuple[str, str], list[float]] = {}
        self._estimate, self._estimated = estimate, dict[tuple[str, str], float | None]()
        for job in jobs:
            for seed in job.seeds:
                cell = read_cell(job.cell_path(seed))
                if cell is not None and "whole" in cell.seconds:
                    self.add(job, cell.seconds["whole"] * len(job.seeds))

    def add(self, job: Job, seconds: float) -> None:
        """Take note of how long a job took."""
        self._seconds.setdefault((job.problem, job.arm), []).append(seconds)

    def of(self, job: Job, *, rough: bool = True) -> float | None:
        """Seconds of a job; None if nothing like it is known. What others took counts if it may be `rough`."""
        key = (job.problem, job.arm)
        if key in self._seconds:
            return _mean(self._seconds[key])
        if key not in self._estimated:
            self._estimated[key] = self._estimate(job)
        if (estimated := self._estimated[key]) is not None:
            return estimated * self._slower()
        for place in (1, 0):
            like = [s for other, seconds in self._seconds.items() if other[place] == key[place] for s in seconds]
            if like and rough:
                return _mean(like)
        others = [s for seconds in self._seconds.values() for s in seconds]
        return _mean(others) if others and rough else None

    def _slower(self) -> float:
        """How many times as long as estimated jobs took: they are measured, too, and the machine has other work."""
        ratios = [
            _mean(seconds) / estimated
            for key, seconds in self._seconds.items()
            if (estimated := self._estimated.get(key))
        ]
        return max(1.0, statistics.median(ratios)) if ratios else 1.0

    def is_measured(self, job: Job) -> bool:
        """Whether one like it has ended."""
        return (job.problem, job.arm) in self._seconds

    def left(self, job: Job, *, rough: bool = True) -> float | None:
        """Seconds of what is left of a job that may have begun already."""
        whole = self.of(job, rough=rough)
        return None if whole is None else whole * (1 - _begun(job))


def _begun(job: Job) -> float:
    """The share of its steps that an interrupted run has taken, by its newest checkpoint."""
    with contextlib.suppress(Exception):
        steps = job.spec.get("steps") or 0
        names = [path.name for path in opening.entries(job.run_dir / "checkpoints")]
        taken = max((int(name.rpartition("-")[2]) for name in names if name.startswith("step-")), default=0)
        return min(1.0, taken / steps) if steps else 0.0
    return 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def spoken(seconds: float) -> str:
    """A time in words.

    >>> spoken(3.21), spoken(75), spoken(4000), spoken(90_000)
    ('3.2 s', '1 min 15 s', '1 h 6 min', '25 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    hours, minutes = int(seconds) // 3600, int(seconds) % 3600 // 60
    return f"{hours} h {minutes} min" if hours < 10 else f"{round(seconds / 3600)} h"
