"""How is one job done? Train, resume or read its runs, measure them, keep their numbers; each of it at most once.

This runs in a process of its own, here or on another machine. A job that was interrupted anywhere goes on from what its
folders hold.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from intel_core import files
from intel_core.components.spec import parse_spec
from intel_core.compute.precision import torch_as_usual
from intel_core.data.values import to_float
from intel_core.errors import DivergenceError, EnvironmentProblem, IntelError, RunError
from intel_core.evaluation.measuring import measure
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.run import Run, load_run
from intel_core.evaluation.subject import Subject
from intel_core.fitting.fit import fit
from intel_core.fitting.resume import resume
from intel_core.recipe.runspec import make_run_spec
from intel_core.replicates.fitting import fit_replicates
from intel_core.replicates.resuming import resume_replicates
from intel_core.runs.folder import GROUP_FILE, versions
from intel_core.runs.lock import locked
from intel_core.training.hooks import hookimpl
from intel_core.training.stopping import StopReason
from intel_study.classes import shares_of_classes
from intel_study.jobs import Job
from intel_study.results import Cell, MeasuredBy, read_cell, write_cell

__all__ = ["Report", "Until", "is_done", "work"]

_EVERY = 0.5
"""Seconds between looks at the clock, and between lines of progress."""
_IMAGES = 64
_NUMBERS = ("best_step", "step", "epoch")


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


@dataclass(frozen=True)
class Report:
    """How a job ended: ``done``, or ``stopped`` with everything saved; seconds, and whether it had begun before."""

    status: Literal["done", "stopped"]
    seconds: float
    resumed: bool = False


class _Stopped(Exception):
    """The job is to stop, and what it did is saved."""


class _Watch:
    """Tells how far a training is, and ends it where the job is to stop."""

    def __init__(self, job: Job, until: Until) -> None:
        self.job, self.until, self._next = job, until, 0.0

    def tell(self, what: str, share: float) -> None:
        """Write how far it is, unless that was done just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            with contextlib.suppress(OSError):
                content = {"what": what, "share": round(share, 4), "pid": os.getpid(), "host": platform.node()}
                self.job.progress.parent.mkdir(parents=True, exist_ok=True)
                files_write(self.job.progress, json.dumps(content))

    @hookimpl
    def logged(self, trainer: Any) -> None:
        if self.until.is_over():
            trainer.stop(StopReason("the study is stopped", "signal"))
        self.tell("training", trainer.step / trainer.steps)

    @hookimpl
    def run_start(self, trainer: Any) -> None:
        self.logged(trainer)

    @hookimpl
    def tried(self, record: dict[str, Any]) -> None:
        self.tell(f"start {record.get('start')} of {record.get('of')}", 0.0)


def files_write(path: Path, text: str) -> None:
    """Write a small file that may be lost, in the place of what was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
    found = _kept(job, cell, alias)
    # A metric that failed is asked again, where the weights are still there.
    return found is not None and (found.status != "failed" or not job.run_dir.is_dir())


def _kept(job: Job, cell: Cell, alias: str) -> MeasuredBy | None:
    """What a metric of the study has said of a cell, by whichever name it was asked."""
    wanted = (job.metrics[alias], job.versions[alias])
    return next((one for one in cell.metrics.values() if (one.metric, one.version) == wanted), None)


def work(job: Job, until: Until) -> Report:
    """Do what is left of a job, and keep the numbers of each of its seeds.

    Whoever else does the same job is waited for, so that nothing is done twice. An error of a run or a metric becomes
    the reason of its cells.
    """
    started = time.perf_counter()
    begun = job.run_dir.is_dir()
    with _in_folder(job.cwd), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what concerns the data was told when the study was planned
        try:
            with _alone(job, until):
                left = [seed for seed in job.seeds if not is_done(job, seed)]
                if left:
                    _do(job, left, until, started)
        except (_Stopped, KeyboardInterrupt):
            return Report("stopped", time.perf_counter() - started, begun)
        finally:
            with contextlib.suppress(OSError):
                job.progress.unlink()
    return Report("done", time.perf_counter() - started, begun)


@contextlib.contextmanager
def _in_folder(cwd: str) -> Iterator[None]:
    before = os.getcwd()
    if before == cwd or not os.path.isdir(cwd):
        yield
        return
    os.chdir(cwd)
    try:
        yield
    finally:
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
                raise _Stopped
            time.sleep(_EVERY)
        yield


def _do(job: Job, left: list[int], until: Until, started: float) -> None:
    watch = _Watch(job, until)
    try:
        runs = _trained(job, watch)
    except (_Stopped, KeyboardInterrupt):
        raise
    except DivergenceError as error:
        for seed in left:
            _keep_reason(job, seed, "diverged", str(error))
        return
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, IntelError) else f"{type(error).__name__}: {error}"
        for seed in left:
            _keep_reason(job, seed, "failed", said)
        return
    training = time.perf_counter() - started
    for seed in left:
        run = runs.get(seed)
        if run is None or run.status != "finished":
            reason = "there is no run" if run is None else run.metrics.get("problem", f"its run is {run.status}")
            diverged = run is not None and run.status == "diverged"
            _keep_reason(job, seed, "diverged" if diverged else "failed", reason)
            continue
        try:
            _measured(job, run, watch, training / len(job.seeds))
        except (_Stopped, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:
            said = str(error) if isinstance(error, IntelError) else f"{type(error).__name__}: {error}"
            _keep_reason(job, seed, "failed", said)
    cells = [read_cell(job.cell_path(seed)) for seed in job.seeds]
    if not job.keep_runs and all(cell is not None and cell.status != "failed" for cell in cells):
        shutil.rmtree(job.run_dir, ignore_errors=True)


def _keep_reason(job: Job, seed: int, status: Literal["diverged", "failed"], reason: str) -> None:
    first = " ".join(str(reason).split())[:500] or "no reason was given"
    write_cell(job.cell_path(seed), Cell(**_named(job, seed), status=status, reason=first))


def _named(job: Job, seed: int) -> dict[str, Any]:
    return {
        "problem": job.problem,
        "arm": job.arm,
        "seed": seed,
        "stack": job.seeds if len(job.seeds) > 1 else (),
        "digest": job.digest,
        "data": job.data,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """The kind of this machine: numbers are repeated to the last digit on the same kind only."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


# --- training ------------------------------------------------------------------------------------------------------


def _trained(job: Job, watch: _Watch) -> dict[int, Run]:
    """The ended runs of a job by seed: read, gone on with, or begun.

    Raises:
        _Stopped: if they were stopped and saved.
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
        raise _Stopped
    return runs


def _begun(job: Job, watch: _Watch) -> dict[int, Run]:
    spec = make_run_spec(**job.settings, seed=job.seeds[0])
    if len(job.seeds) > 1:
        group = fit_replicates(len(job.seeds), spec, run_dir=job.run_dir, data_dir=job.data_dir, watchers=[watch])
        return {run.seed: run for run in group.runs}
    run = fit(spec, run_dir=job.run_dir, data_dir=job.data_dir, hooks=[watch])
    return {run.seed: run}


def _one_again(job: Job, watch: _Watch) -> dict[int, Run]:
    run = load_run(job.run_dir)
    if run.status == "diverged":
        raise DivergenceError(run.metrics.get("problem", "it diverged"))
    if run.status != "finished":
        run = resume(job.run_dir, data_dir=job.data_dir, hooks=[watch])
    return {run.seed: run}


def _several_again(job: Job, watch: _Watch) -> dict[int, Run]:
    runs = {seed: job.run_dir / f"seed-{seed}" for seed in job.seeds}
    there = {seed: load_run(path) for seed, path in runs.items() if (path / "run.json").is_file()}
    if len(there) == len(runs) and all(run.status in ("finished", "diverged") for run in there.values()):
        return there
    group = resume_replicates(job.run_dir, data_dir=job.data_dir, watchers=[watch])
    return {run.seed: run for run in group.runs}


# --- measuring -----------------------------------------------------------------------------------------------------


def _measured(job: Job, run: Run, watch: _Watch, training: float) -> None:
    """Measure what is missing of a run, and keep its cell after each metric."""
    started = time.perf_counter()
    before = read_cell(job.cell_path(run.seed))
    subject = Subject(
        run,
        data_dir=None if job.data_dir is None else Path(job.data_dir),
        tell=lambda what, share: watch.tell(what, share),
    )
    found: dict[str, MeasuredBy] = {}
    for alias, text in job.metrics.items():
        kept = None if before is None else _kept(job, before, alias)
        if kept is not None and kept.status != "failed":
            found[alias] = kept
            continue
        if watch.until.is_over():
            raise _Stopped
        spec = parse_spec("metrics", text)
        assert isinstance(spec, MetricSpec)
        (said,) = measure(subject, [spec])
        measurement = said.measurement
        found[alias] = MeasuredBy(
            metric=text,
            version=job.versions[alias],
            status=said.status,
            reason=said.reason,
            seconds=said.seconds,
            **({} if measurement is None else measurement.model_dump(include={"numbers", "protocol", "notes"})),
        )
    if job.pictured and run.seed == job.picture_seed:
        _keep_picture(job, run, subject)
    measuring = sum(one.seconds for one in found.values())
    metrics = run.metrics
    cell = Cell(
        **_named(job, run.seed),
        status="measured",
        training={
            **{name: metrics[name] for name in _NUMBERS if name in metrics},
            "test": _finite(metrics["test"]),
            "mapping": _finite({**_plain(metrics["mapping"]), **_shares(subject, metrics["mapping"])}),
        },
        metrics=found,
        seconds={
            "training": float(metrics["seconds"]),
            "measuring": round(measuring, 3),
            "whole": round(max(training, float(metrics["seconds"])) + time.perf_counter() - started, 3),
        },
    )
    write_cell(job.cell_path(run.seed), cell)


def _shares(subject: Subject, diagnosis: dict[str, Any]) -> dict[str, float]:
    """The shares of classes where the mapping has clusters; the names of classes are those of the data."""
    if "contingency" not in diagnosis:
        return {}
    return shares_of_classes(diagnosis, subject.dataset.class_names)


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers among what a mapping says of itself."""
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def _finite(value: Any) -> Any:
    """With None for what JSON cannot hold, and without lists, which nothing shows."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items() if not isinstance(item, list)}
    return None if isinstance(value, float) and value - value != 0 else value


@torch_as_usual()
def _keep_picture(job: Job, run: Run, subject: Subject) -> None:
    """Keep some samples, and as many examples of the data, for the pictures."""
    import io

    import numpy as np

    test = subject.split("test")
    is_image = test.read(torch.arange(1)).dim() == 4
    count = min(job.pictured, _IMAGES) if is_image else job.pictured
    drawn = run.sample(count, seed=0, noise=not is_image)
    data = run.original_units(to_float(test.read(torch.arange(min(count, len(test))))))
    arrays = [values.numpy() for values in (drawn, data)]
    if is_image:
        arrays = [(values.clip(0, 1) * 255).round().astype(np.uint8) for values in arrays]
    stream = io.BytesIO()
    np.savez_compressed(stream, samples=arrays[0], data=arrays[1])
    path = job.picture_path(run.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, stream.getvalue())


Work = Callable[[Job, Until], Report]
