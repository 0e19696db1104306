"""How long will a training take? A few steps of it are timed."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads

if TYPE_CHECKING:
    from intel_study.jobs import Job
    from intel_study.planning import Planner

__all__ = ["seconds_of"]

_WARM, _STEPS, _CHUNK, _SECONDS = 3, 60, 5, 1.5


@torch_as_usual()
def seconds_of(planner: Planner, job: Job) -> float:
    """Seconds that the training of a job takes on one thread, trials of several starts included; metrics are not.

    A stack is counted as so many runs one after another, which is more than it takes.
    """
    with on_threads(1):
        trainer = planner.trainer(job)
        trainer.model.train()
        steps = trainer.steps
        with trainer.batches:
            trainer.advance(min(_WARM, steps))
            # On a CPU the time that the process computed, which other processes do not lengthen.
            clock = time.process_time if trainer.device.type == "cpu" else time.perf_counter
            started, each = time.perf_counter(), list[float]()
            until = min(steps, trainer.step + _STEPS)
            while trainer.step < until and time.perf_counter() - started < _SECONDS:
                before, begun = trainer.step, clock()
                trainer.advance(min(until, before + _CHUNK))
                each.append((clock() - begun) / max(1, trainer.step - before))
    spec = job.spec
    restarts, trial = int(spec.get("restarts") or 1), float(spec.get("trial") or 0.2)
    whole = steps * (statistics.median(each) if each else 0.0) * (1 + (restarts - 1) * trial if restarts > 1 else 1)
    return whole * len(job.seeds)
