"""Do samples stay on a known curve or surface, and do they cover it? Two shares, with binomial errors."""

from __future__ import annotations

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from intel_core.data.values import to_float
from intel_core.errors import PluginError
from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.reading.capabilities import OnManifold

__all__ = ["binomial_error", "covered", "measure"]


def covered(places: Tensor, samples: Tensor, near: float) -> Tensor:
    """Which places have a sample nearer than a distance, ``(m, d), (n, d) -> (m,)``.

    >>> covered(torch.tensor([[0.0], [5.0]]), torch.tensor([[0.2]]), near=0.5).tolist()
    [True, False]
    """
    away, _ = cKDTree(samples.double().numpy()).query(places.double().numpy())
    return torch.from_numpy(away < near)


def binomial_error(share: float, n: int) -> float:
    r"""The standard error :math:`\sqrt{p (1 - p) / n}` of a share of n independent trials.

    At p = 0 and 1, where that would be 0, it is the error for the share (½ or n - ½) / n.

    >>> round(binomial_error(0.5, 100), 3), round(binomial_error(0.0, 100), 4)
    (0.05, 0.0071)
    """
    p = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return math.sqrt(p * (1 - p) / n)


def measure(
    subject: Subject,
    *,
    n: int,
    beyond: float,
    near: float,
    n_places: int,
    seed: int,
) -> Measurement:
    """How far samples lie from the known manifold of the data, and how much of it they cover.

    The arguments are the fields of `intel_metrics.specs.topology.ManifoldSpec`; `beyond` is its
    `away`, and `n_places` its `places`.
    """
    run, data = subject.run, subject.run.spec.data
    if not isinstance(data, OnManifold):
        raise NotApplicableError(
            f"{run.info['data'].get('name', 'this data set')} has no known manifold: its spec has no "
            "distance_to_manifold(points) and along_manifold(n)"
        )
    test = run.original_units(to_float(subject.split("test").x))
    clouds = {
        "": run.sample(n, seed=seed, noise=True),
        " of means": run.original_units(subject.generated(n, seed=seed)),
    }
    for cloud in clouds.values():
        if not bool(torch.isfinite(cloud).all()):
            raise NotApplicableError("some generated samples are not finite")
    places = data.along_manifold(n_places)
    # A thousand samples cover more than a hundred do, so the same number is taken of both.
    alike = min(n, len(test))
    numbers, quantiles = {}, {}
    real = _away(data, test)
    real_off = float((real > beyond).double().mean())
    real_covered = float(covered(places, test[:alike], near).double().mean())
    for name, cloud in clouds.items():
        away = _away(data, cloud)
        quantiles["with noise" if not name else "means"] = _quantiles(away)
        off = float((away > beyond).double().mean())
        share = float(covered(places, cloud[:alike], near).double().mean())
        kind = "means of p(x|z)" if name else "samples, noise of p(x|z) included,"
        numbers[f"off{name}"] = Number(
            value=100 * off,
            error=100 * binomial_error(off, len(cloud)),
            unit="%",
            better="lower",
            beside={"test data": 100 * real_off, "its error": 100 * binomial_error(real_off, len(test))},
            about=f"{kind} further than {beyond:g} from the manifold",
        )
        numbers[f"coverage{name}"] = Number(
            value=100 * share,
            error=100 * binomial_error(share, n_places),
            unit="%",
            better="higher",
            beside={"test data": 100 * real_covered, "its error": 100 * binomial_error(real_covered, n_places)},
            about=f"of the manifold that is nearer than {near:g} to one of {alike:,} {kind.rstrip(',')}",
        )
    return Measurement(
        numbers=numbers,
        protocol={
            "samples": n,
            "test examples": len(test),
            "samples for coverage": alike,
            "away": beyond,
            "near": near,
            "places": n_places,
            "units": "of the data before standardisation",
            "errors": "binomial; of coverage over the places, for these samples",
            "seed": seed,
        },
        details={"distance quantiles": {**quantiles, "test data": _quantiles(real)}},
        notes=("Coverage grows with the number of samples: it is compared with as many test examples.",),
    )


def _away(data: OnManifold, points: Tensor) -> Tensor:
    away = data.distance_to_manifold(points)
    if not isinstance(away, Tensor) or away.shape != (len(points),):
        shape = tuple(away.shape) if isinstance(away, Tensor) else type(away).__name__
        raise PluginError(f"{type(data).__name__}.distance_to_manifold gives {shape}, expected ({len(points)},)")
    return away.double()


def _quantiles(values: Tensor) -> dict[str, float]:
    return {f"{q:g}": float(torch.quantile(values[:1_000_000], q)) for q in (0.5, 0.9, 0.99, 1.0)}
