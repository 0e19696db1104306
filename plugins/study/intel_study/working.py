"""How is one job done? Train, resume or read its runs, measure them, keep their numbers; each of it at most once.

This runs in a process of its own, here or on another machine. A job that was interrupted anywhere goes on from what its
folders hold.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from intel_core.compute.threads import on_threads
from intel_core.errors import DivergenceError, EnvironmentProblem, IntelError, RunError
from intel_core.evaluation.run import Run, load_run
from intel_core.fitting.fit import fit
from intel_core.fitting.resume import resume
from intel_core.recipe.runspec import make_run_spec
from intel_core.replicates.fitting import fit_replicates
from intel_core.replicates.resuming import resume_replicates
from intel_core.runs.folder import GROUP_FILE
from intel_core.runs.lock import locked
from intel_study.jobs import Job
from intel_study.measuring import keep_reason, kept, measured
from intel_study.results import Cell, read_cell
from intel_study.watching import EVERY, Stopped, Until, Watch

__all__ = ["Report", "is_done", "work"]


@dataclass(frozen=True)
class Report:
    """How a job ended: ``done``, or ``stopped`` with everything saved; seconds, and whether it had begun before."""

    status: Literal["done", "stopped"]
    seconds: float
    resumed: bool = False


def is_done(job: Job, seed: int) -> bool:
    """Whether there is nothing left to do for a seed of a job."""
    cell = read_cell(job.cell_path(seed))
    if cell is None or cell.status == "failed":
        return False
    if cell.status == "diverged":
        return True
    if job.pictured and seed == job.picture_seed and job.run_dir.is_dir() and not job.picture_path(seed).is_file():
        return False
    return all(_is_kept(job, cell, alias) for alias in job.metrics)


def _is_kept(job: Job, cell: Cell, alias: str) -> bool:
    found = kept(job, cell, alias)
    # A metric that failed is asked again, where the weights are still there.
    return found is not None and (found.status != "failed" or not job.run_dir.is_dir())


def work(job: Job, until: Until) -> Report:
    """Do what is left of a job, and keep the numbers of each of its seeds.

    Whoever else does the same job is waited for, so that nothing is done twice. An error of a run or a metric becomes
    the reason of its cells.
    """
    started = time.perf_counter()
    begun = job.run_dir.is_dir()
    # On one thread everywhere, since each number of threads rounds otherwise; INTEL_THREADS gives trainings more.
    with _in_folder(job.cwd), on_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what concerns the data was told when the study was planned
        try:
            with _alone(job, until):
                left = [seed for seed in job.seeds if not is_done(job, seed)]
                if left:
                    _do(job, left, until, started)
        except (Stopped, KeyboardInterrupt):
            return Report("stopped", time.perf_counter() - started, begun)
        finally:
            with contextlib.suppress(OSError):
                job.progress.unlink()
    return Report("done", time.perf_counter() - started, begun)


@contextlib.contextmanager
def _in_folder(cwd: str) -> Iterator[None]:
    """Within it, paths are meant from a folder, where it is there."""
    try:
        before = os.getcwd()
    except FileNotFoundError:  # it was removed, or made anew, since the process began
        before = ""
    if before == cwd or not os.path.isdir(cwd):
        yield
        return
    os.chdir(cwd)
    try:
        yield
    finally:
        if before:
            os.chdir(before)


@contextlib.contextmanager
def _alone(job: Job, until: Until) -> Iterator[None]:
    """The lock of a job; if another process has it, that is waited for."""
    job.lock_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(job.lock_dir))
                break
            except EnvironmentProblem:
                raise
            except RunError as error:
                if "in use" not in str(error):
                    raise
            if until.is_over():
                raise Stopped
            time.sleep(EVERY)
        yield


def _do(job: Job, left: list[int], until: Until, started: float) -> None:
    watch = Watch(job, until)
    try:
        runs = _trained(job, watch)
    except (Stopped, KeyboardInterrupt):
        raise
    except DivergenceError as error:
        for seed in left:
            keep_reason(job, seed, "diverged", str(error))
        return
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, IntelError) else f"{type(error).__name__}: {error}"
        for seed in left:
            keep_reason(job, seed, "failed", said)
        return
    training = time.perf_counter() - started
    for seed in left:
        run = runs.get(seed)
        if run is None or run.status != "finished":
            reason = "there is no run" if run is None else run.metrics.get("problem", f"its run is {run.status}")
            diverged = run is not None and run.status == "diverged"
            keep_reason(job, seed, "diverged" if diverged else "failed", reason)
            continue
        try:
            measured(job, run, watch, training / len(job.seeds))
        except (Stopped, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:
            said = str(error) if isinstance(error, IntelError) else f"{type(error).__name__}: {error}"
            keep_reason(job, seed, "failed", said)
    cells = [read_cell(job.cell_path(seed)) for seed in job.seeds]
    if not job.keep_runs and all(cell is not None and cell.status != "failed" for cell in cells):
        shutil.rmtree(job.run_dir, ignore_errors=True)


# --- training ------------------------------------------------------------------------------------------------------


def _trained(job: Job, watch: Watch) -> dict[int, Run]:
    """The ended runs of a job by seed: read, gone on with, or begun.

    Raises:
        Stopped: if they were stopped and saved.
        IntelError: if they cannot be trained.
    """
    folder, several = job.run_dir, len(job.seeds) > 1
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (folder / (GROUP_FILE if several else "run.json")).is_file():
        try:
            runs = _several_again(job, watch) if several else _one_again(job, watch)
            for run in runs.values():
                _ = run.status == "finished" and run.model  # weights that are damaged are found now
        except (DivergenceError, EnvironmentProblem):
            raise
        except IntelError as error:
            if "in use" in str(error):
                raise
            shutil.rmtree(folder, ignore_errors=True)  # nothing to go on from, and the same seed gives the same run
            runs = _begun(job, watch)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        runs = _begun(job, watch)
    if any(run.status in ("interrupted", "unfinished") for run in runs.values()):
        raise Stopped
    return runs


def _begun(job: Job, watch: Watch) -> dict[int, Run]:
    spec = make_run_spec(**job.settings, seed=job.seeds[0])
    if len(job.seeds) > 1:
        where: dict[str, Any] = {"run_dir": job.run_dir, "data_dir": job.data_dir}
        group = fit_replicates(len(job.seeds), spec, watchers=[watch], progress=False, **where)
        return {run.seed: run for run in group.runs}
    run = fit(spec, run_dir=job.run_dir, data_dir=job.data_dir, hooks=[watch], progress=False)
    return {run.seed: run}


def _one_again(job: Job, watch: Watch) -> dict[int, Run]:
    run = load_run(job.run_dir)
    if run.status == "diverged":
        raise DivergenceError(run.metrics.get("problem", "it diverged"))
    if run.status != "finished":
        run = resume(job.run_dir, data_dir=job.data_dir, hooks=[watch], progress=False)
    return {run.seed: run}


def _several_again(job: Job, watch: Watch) -> dict[int, Run]:
    runs = {seed: job.run_dir / f"seed-{seed}" for seed in job.seeds}
    there = {seed: load_run(path) for seed, path in runs.items() if (path / "run.json").is_file()}
    if len(there) == len(runs) and all(run.status in ("finished", "diverged") for run in there.values()):
        return there
    group = resume_replicates(job.run_dir, data_dir=job.data_dir, watchers=[watch])
    return {run.seed: run for run in group.runs}
