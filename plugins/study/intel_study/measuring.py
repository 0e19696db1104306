"""How is a run of a job measured, and how are its numbers kept?"""

from __future__ import annotations

import datetime
import io
import os
import platform
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from intel_core import files
from intel_core.components.spec import parse_spec
from intel_core.compute.precision import torch_as_usual
from intel_core.data.values import to_float
from intel_core.evaluation.measuring import measure
from intel_core.evaluation.metric import MetricSpec
from intel_core.evaluation.run import Run
from intel_core.evaluation.subject import Subject
from intel_core.runs.folder import versions
from intel_study.classes import shares_of_classes
from intel_study.jobs import Job
from intel_study.results import Cell, MeasuredBy, read_cell, write_cell
from intel_study.watching import Stopped, Watch

__all__ = ["keep_reason", "kept", "machine", "measured"]

_IMAGES = 64
_NUMBERS = ("best_step", "step", "epoch")


def kept(job: Job, cell: Cell, alias: str) -> MeasuredBy | None:
    """What a metric of the study has said of a cell, by whichever name it was asked."""
    wanted = (job.metrics[alias], job.versions[alias])
    return next((one for one in cell.metrics.values() if (one.metric, one.version) == wanted), None)


def keep_reason(job: Job, seed: int, status: Literal["diverged", "failed"], reason: str) -> None:
    """Keep why a seed has no numbers."""
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


def measured(job: Job, run: Run, watch: Watch, training: float) -> None:
    """Measure what is missing of a run, and keep its cell after each metric."""
    started = time.perf_counter()
    before = read_cell(job.cell_path(run.seed))
    subject = Subject(
        run,
        data_dir=None if job.data_dir is None else Path(job.data_dir),
        cache_dir=_cache(),
        tell=lambda what, share: watch.tell(what, share),
    )
    found: dict[str, MeasuredBy] = {}
    for alias, text in job.metrics.items():
        known = None if before is None else kept(job, before, alias)
        if known is not None and known.status != "failed":
            found[alias] = known
            continue
        if watch.until.is_over():
            raise Stopped
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


def _cache() -> Path:
    """Where metrics keep classifiers: apart from those that were trained on more threads, and so round otherwise."""
    root = os.environ.get("INTEL_CACHE_DIR")
    return (Path(root) if root else Path.home() / ".cache" / "intelvae") / "one-thread"


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
