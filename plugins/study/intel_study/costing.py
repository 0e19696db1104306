"""How long will a training take? A few steps of it are timed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads

if TYPE_CHECKING:
    from intel_study.jobs import Job
    from intel_study.planning import Planner

__all__ = ["seconds_of"]

_WARM, _STEPS, _SECONDS = 3, 30, 1.0


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
            started, before = time.perf_counter(), trainer.step
            until = min(steps, before + _STEPS)
            while trainer.step < until and time.perf_counter() - started < _SECONDS:
                trainer.advance(min(until, trainer.step + 5))
            taken = trainer.step - before
            each = (time.perf_counter() - started) / taken if taken else 0.0
    spec = job.spec
    restarts, trial = int(spec.get("restarts") or 1), float(spec.get("trial") or 0.2)
    whole = steps * each * (1 + (restarts - 1) * trial if restarts > 1 else 1)
    return whole * len(job.seeds)
