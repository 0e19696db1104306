"""What does a bias cost or gain beside a run on the same data without it? Likelihoods, and what metrics say of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.evaluation.bias.evidence import Compared
from intel_core.evaluation.measurement import Number
from intel_core.evaluation.measuring import Measured
from intel_core.model.objectives import log_importance_weights
from intel_core.randomness import stream
from intel_core.runs.stored_run import StoredRun

__all__ = ["bounds_of", "from_metrics", "likelihoods", "paired"]

_BOUND_DRAWS = 16
_MOST_EXAMPLES = 2000


@torch.no_grad()
def bounds_of(run: StoredRun, x: Tensor, seed: int = 0, conditions: Tensor | None = None) -> Tensor:
    """The importance-weighted bound of each example, in nats, with 16 draws, ``(n,)``."""
    model, found = run.model, []
    generator = torch.Generator(run.model_device).manual_seed(stream(seed, "report"))
    examples = Split(x, conditions=conditions)
    for rows in torch.split(torch.arange(min(len(x), _MOST_EXAMPLES)), 100):
        part = examples.part(rows)
        values, given = to_float(part.x.to(run.model_device)), model.on(part.conditions)
        shape = (_BOUND_DRAWS, len(values), model.noise_dim)
        noise = torch.randn(shape, generator=generator, device=run.model_device)
        found.append(torch.logsumexp(log_importance_weights(given, values, noise), 0) - math.log(_BOUND_DRAWS))
    return torch.cat(found).double().cpu()


def paired(mine: Tensor, other: Tensor, unit: str = "nats per example") -> Compared:
    """Two runs' bounds on the same examples; the error is that of the mean of differences."""
    difference = mine - other
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else None
    what = (
        f"A lower bound of log p(x), the IWAE bound with {_BOUND_DRAWS} draws, on the same {len(mine):,} test examples "
        "for both (paired)"
    )
    return Compared(what, float(mine.mean()), float(other.mean()), error, unit, by="paired bounds", n=len(mine))


def likelihoods(
    run: StoredRun, against: StoredRun, x: Tensor, measured: Compared | None, conditions: Tensor | None = None
) -> Compared:
    """The likelihoods of two runs on test examples, with the error of their difference.

    The standard errors that a metric gives are over examples. Since the same examples are hard for both runs, the
    difference is known more precisely than that: its standard deviation over examples is estimated from bounds on the
    metric's own examples, or the first 2,000 of them.

    Args:
        run: a run.
        against: another one.
        x: the examples of the test part.
        measured: the likelihoods of both by a metric; if there is none, the bounds themselves are used.
        conditions: of the examples, for a run that has some.
    """
    n = len(x) if measured is None or measured.n is None else measured.n
    mine, others = (bounds_of(one, x[:n], conditions=conditions) for one in (run, against))
    bounds = paired(mine, others)
    if measured is None:
        return bounds
    assert bounds.n is not None
    error = None if bounds.error is None else bounds.error * math.sqrt(bounds.n / n)
    return replace(measured, error=error)


def from_metrics(name: str, mine: Sequence[Measured], others: Sequence[Measured], better: str) -> Compared | None:
    """The first number with that direction that both runs have from one metric with the same spec, newest first."""
    for one in sorted(mine, key=lambda one: one.created, reverse=True):
        for two in others:
            if not one.name == two.name == name or one.metric != two.metric:
                continue
            if one.measurement is None or two.measurement is None:
                continue
            measured = (one.measurement, two.measurement)
            for key, number in one.measurement.numbers.items():
                beside = two.measurement.numbers.get(key)
                if number.better == better and beside is not None:
                    what = number.about or f"{name} {key.replace('_', ' ')}"
                    what = what[:1].upper() + what[1:]
                    doubts = [m.numbers["doubtful"].value for m in measured if "doubtful" in m.numbers]
                    compared = _compared(what, number, beside, f"metric {one.metric}")
                    counted = [m.protocol.get("examples") for m in measured]
                    n = counted[0] if isinstance(counted[0], int) and counted[0] == counted[1] else None
                    return replace(compared, doubtful=max(doubts, default=0.0), n=n)
    return None


def _compared(what: str, mine: Number, other: Number, by: str) -> Compared:
    error = None if mine.error is None or other.error is None else math.hypot(mine.error, other.error)
    return Compared(what, mine.value, other.value, error, mine.unit, by)
