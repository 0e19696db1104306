"""How is a study done? What is missing goes to a crew, job by job, until everything is there or the time is over."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from intel_core.errors import RunError
from intel_study.costs import Costs, spoken
from intel_study.crews import Crew, Here, is_gone
from intel_study.gathering import gather, reusable, take_over
from intel_study.jobs import Job
from intel_study.results import Cell, Results, read_cell, write_cell

if TYPE_CHECKING:
    from intel_study.design import Study
    from intel_study.planning import Planner
    from intel_study.watching import Until
    from intel_study.working import Report

__all__ = ["Progress", "Run", "require_folder", "run_jobs", "run_study"]

_TRIES = 3
_LOOK = 0.25


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        done: seeds of arms in problems that need nothing any more.
        of: how many there are.
        running: of each job that is being done, its label, what it does, and the share of that which is done.
        left: seconds until all is there; None if that is not known yet.
        said: a line about a job that has just ended; empty otherwise.
    """

    done: int
    of: int
    running: tuple[tuple[str, str, float], ...]
    left: float | None
    said: str = ""


Tell = Callable[[Progress], None]


@dataclass
class Run:
    """How the jobs of a study ended.

    Attributes:
        stopped: whether somebody asked it to end.
        over: whether the time was over.
        unbegun: jobs that were not begun, or not ended.
    """

    stopped: bool = False
    over: bool = False
    unbegun: list[Job] = field(default_factory=list)


def run_jobs(
    jobs: Sequence[Job],
    crew: Crew,
    out: Path,
    *,
    costs: Costs,
    deadline: float = float("inf"),
    tell: Tell = lambda progress: None,
    total: tuple[int, int] | None = None,
) -> Run:
    """Do jobs, and see to it that each is done once.

    Args:
        jobs: those that are to be done.
        crew: who does them.
        out: the study's folder.
        costs: how long they take.
        deadline: the time, in seconds since 1970, at which everything stops with what it has saved; a job that would
            not end before is not begun.
        tell: called several times a second.
        total: cells that need nothing, and all; by default those of `jobs` alone.

    Ctrl-C lets what runs save itself; a second one ends it at once.
    """
    from intel_study.watching import Until

    out.mkdir(parents=True, exist_ok=True)
    stop = out / f".stop-{os.getpid()}-{time.time_ns()}"
    until = Until(str(stop), deadline)
    loop = _Loop(jobs, crew, costs, until, tell, total or (0, sum(len(job.seeds) for job in jobs)))
    at_once = True
    try:
        with _interrupting():
            try:
                loop.run()
            except KeyboardInterrupt:
                loop.found.stopped = True
                stop.touch()
                loop.finish()
        at_once = False
    finally:
        crew.close(at_once=at_once or loop.found.stopped)
        with contextlib.suppress(OSError):
            stop.unlink()
    return loop.found


@contextlib.contextmanager
def _interrupting() -> Iterator[None]:
    from intel_core.fitting.signals import interrupt_on_signals

    with interrupt_on_signals():
        yield


class _Loop:
    """The jobs that wait, that are being done, and that ended."""

    def __init__(
        self, jobs: Sequence[Job], crew: Crew, costs: Costs, until: Until, tell: Tell, total: tuple[int, int]
    ) -> None:
        self.waiting, self.crew, self.costs, self.until, self.tell = deque(jobs), crew, costs, until, tell
        self.running: dict[Future[Report], tuple[Job, float]] = {}
        self.tries: dict[str, int] = {}
        self.done, self.of = total
        self.found = Run()
        self._told = False

    def run(self) -> None:
        """Until nothing is left, or the time is over."""
        while self.waiting or self.running:
            while self.waiting and self.crew.free() > 0:
                if not self._begin():
                    break
            if not self.running and self.waiting and self.crew.free() > 0:
                break  # nothing that is left would end in time
            self._wait()
        self.found.unbegun += self.waiting
        self.found.over = bool(self.found.unbegun)

    def finish(self) -> None:
        """Wait until what is being done has saved itself."""
        self.found.unbegun += self.waiting
        self.waiting.clear()
        while self.running:
            self._wait()

    def _begin(self) -> bool:
        """Begin the first job that ends in time; False if there is none."""
        if time.time() >= self.until.time:
            return False
        for place, job in enumerate(self.waiting):
            left = 0.0 if self.until.time == float("inf") else self.costs.left(job)
            if left is None or time.time() + left <= self.until.time:
                del self.waiting[place]
                self.tries[job.name] = self.tries.get(job.name, 0) + 1
                self.running[self.crew.submit(job, self.until)] = (job, time.time())
                return True
        return False

    def _wait(self) -> None:
        if not self.running:  # a cluster without a worker
            time.sleep(_LOOK)
            self._say("" if self._told else "nobody is there to do anything; waiting for a worker")
            self._told = True
            return
        done, _ = wait(self.running, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for future in done:
            job, _ = self.running.pop(future)
            self._ended(job, future)
        if not done:
            self._say()

    def _ended(self, job: Job, future: Future[Report]) -> None:
        error = BrokenExecutor("cancelled") if future.cancelled() else future.exception()
        if error is not None:
            if is_gone(error) and self.tries[job.name] < _TRIES and not self.found.stopped:
                self.waiting.appendleft(job)
                self._say(f"{job.label}: its process is gone; it is tried again")
                return
            if self.found.stopped:
                self.found.unbegun.append(job)
                return
            gone = f"its process was gone {self.tries[job.name]} times" if is_gone(error) else ""
            reason = gone or " ".join(f"{type(error).__name__}: {error}".split())[:300]
            for seed in job.seeds:
                if read_cell(job.cell_path(seed)) is None:
                    failed = Cell(
                        problem=job.problem,
                        arm=job.arm,
                        seed=seed,
                        digest=job.digest,
                        data=job.data,
                        status="failed",
                        reason=reason,
                    )
                    write_cell(job.cell_path(seed), failed)
            self.done += len(job.seeds)
            self._say(f"{job.label}: failed: {reason}")
            return
        report = future.result()
        if report.status == "stopped":
            self.found.unbegun.append(job)
            self._say(f"{job.label}: stopped, and saved")
            return
        if not report.resumed:
            self.costs.add(job, report.seconds)
        self.done += len(job.seeds)
        self._say(f"{job.label}: {_outcome(job)}, {spoken(report.seconds)}")

    def _say(self, said: str = "") -> None:
        now, running, busy = time.time(), [], 0.0
        for job, begun in self.running.values():
            what, share = _progress_of(job)
            running.append((job.label, what, share))
            whole = self.costs.of(job)
            busy += 0.0 if whole is None else max(0.0, whole - (now - begun))
        waiting = [self.costs.left(job) for job in self.waiting]
        known = [seconds for seconds in waiting if seconds is not None]
        slots = max(1, self.crew.slots())
        left = None if len(known) < len(waiting) or (self.running and not busy) else (sum(known) + busy) / slots
        self.tell(Progress(self.done, self.of, tuple(running), left, said))


def _progress_of(job: Job) -> tuple[str, float]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(job.progress.read_text(encoding="utf-8"))
        return str(found["what"]), float(found["share"])
    return "", 0.0


def _outcome(job: Job) -> str:
    cells = [read_cell(job.cell_path(seed)) for seed in job.seeds]
    bad = [cell for cell in cells if cell is not None and cell.status != "measured"]
    if bad:
        return f"{bad[0].status}: {bad[0].reason}"
    failed = [
        f"{alias} failed: {one.reason}"
        for cell in cells
        if cell is not None
        for alias, one in cell.metrics.items()
        if one.status == "failed"
    ]
    return failed[0] if failed else "measured"


def run_study(
    study: Study,
    out: Path | str,
    *,
    name: str = "study",
    crew: Crew | None = None,
    data_dir: Path | None = None,
    reuse: Sequence[Results] = (),
    tell: Tell = lambda progress: None,
) -> Results:
    """Train and measure what is missing of a study, and return everything.

    Args:
        study: the study.
        out: its folder.
        name: how its pages call it.
        crew: who does it; by default this process, one job after another.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        reuse: numbers made before, whose cells are taken as done where settings, data and metrics are the same.
        tell: called with how far it is.

    Raises:
        SpecError: if an arm cannot be built, before anything is trained.
        DataError: if data cannot be loaded.
        RunError: if the folder cannot be written.
    """
    from intel_study.planning import Planner
    from intel_study.working import is_done

    out = Path(os.path.abspath(out))
    planner: Planner = Planner(study, out, data_dir=data_dir)
    jobs = planner.jobs(study.seeds)
    require_folder(out)
    for results in reuse:
        take_over(reusable(jobs, results))
    left = [job for job in jobs if not all(is_done(job, seed) for seed in job.seeds)]
    run_jobs(left, crew or Here(), out, costs=Costs(jobs), tell=tell)
    return gather(name, study, jobs, study.seeds)


def require_folder(out: Path) -> Path:
    """Make a study's folder.

    Raises:
        RunError: if it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} cannot be made: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise RunError(f"{out} cannot be written")
    return out
