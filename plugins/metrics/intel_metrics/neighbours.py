"""Are generated examples like real ones, and is every kind of real one generated? Counts of nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_metrics.examples import grey_notes, sides
from intel_metrics.features import ExtractorName, Floats, features_of, make_extractor, real_features
from intel_metrics.shares import share_error

__all__ = ["PRDC", "nearest_distances", "prdc", "sampling_errors"]

Rows = npt.NDArray[np.bool_]

_ROWS = 256
_SPLITS = 8
_FEWEST = 4
"""Rows per neighbour that a half must have to be representative."""


class PRDC(NamedTuple):
    """Precision, recall, density and coverage, and their standard errors.

    The errors are those of the mean over the examples that are counted, with the balls around the others held fixed.
    They are smaller, often by far, than the errors over new examples on both sides; see `sampling_errors`.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    precision_error: float
    recall_error: float
    density_error: float
    coverage_error: float


def _distances(first: Floats, second: Floats) -> Iterator[tuple[slice, Floats]]:
    """Euclidean distances, a few rows at a time, computed so that equal points are at distance 0 exactly."""
    for start in range(0, len(first), _ROWS):
        rows = slice(start, min(start + _ROWS, len(first)))
        yield rows, cdist(first[rows], second)


def nearest_distances(features: Floats, k: int) -> Floats:
    """Distance of each row to the k-th nearest of the other rows, ``(n, d) -> (n,)``.

    Raises:
        ValueError: unless 1 <= k < n.

    >>> nearest_distances(np.array([[0.0], [1.0], [3.0]]), 1).tolist()
    [1.0, 1.0, 2.0]
    """
    if not 1 <= k < len(features):
        raise ValueError(f"k = {k} neighbours need more than {k} rows, there are {len(features)}")
    radii: Floats = _radii(features, k, np.ones((1, len(features)), dtype=bool))[0]
    return radii


def _radii(features: Floats, k: int, parts: Rows) -> Floats:
    """Distance of each row to the k-th nearest other row of its part, ``(s, n)``, for parts ``(s, n)`` of the rows."""
    radii = np.full(parts.shape, np.nan)
    for rows, distances in _distances(features, features):
        for part, found in zip(parts, radii, strict=True):
            own = rows.start + np.flatnonzero(part[rows])
            within = distances[np.ix_(own - rows.start, np.flatnonzero(part))]
            found[own] = np.partition(within, k, axis=1)[:, k]  # the row itself is at distance 0
    return radii


def prdc(real: Floats, generated: Floats, k: int = 5) -> PRDC:
    r"""Precision, recall, density and coverage of generated features.

    B(x) is the closed ball around x that reaches to its k-th nearest neighbour within its own set.

    - precision: share of generated points in the ball of some real point;
    - recall: share of real points in the ball of some generated point;
    - density: mean number of real balls around a generated point, over k; it may exceed 1, and for two samples of one
      distribution it is near 1;
    - coverage: share of real points whose ball holds a generated point.

    For two identical sets precision, recall and coverage are 1 and density is (k + 1) / k, as each point lies in its
    own ball too.

    Source: Kynkäänniemi et al. 2019 (precision, recall); Naeem et al. 2020 (density, coverage).

    Args:
        real: shape ``(n, d)``.
        generated: shape ``(m, d)``.
        k: number of neighbours.

    Raises:
        ValueError: for other shapes, values that are not finite, or sets of k points or fewer.

    >>> rng = np.random.default_rng(0)
    >>> found = prdc(rng.normal(size=(300, 2)), 0.1 * rng.normal(size=(300, 2)))
    >>> found.precision, found.recall < 0.2  # all of them likely, few kinds
    (1.0, True)
    """
    real, generated = _checked(real, generated, k)
    return _of_parts(real, generated, k, *(np.ones((1, len(side)), dtype=bool) for side in (real, generated)))[0]


def _checked(real: Floats, generated: Floats, k: int) -> tuple[Floats, Floats]:
    real, generated = np.asarray(real, dtype=np.float64), np.asarray(generated, dtype=np.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"features of shapes {real.shape} and {generated.shape}; expected (n, d) and (m, d)")
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        raise ValueError("features hold NaN or infinity")
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f"k = {k} neighbours need more than {k} rows, there are {min(len(real), len(generated))}")
    return real, generated


def _of_parts(real: Floats, generated: Floats, k: int, of_real: Rows, of_generated: Rows) -> list[PRDC]:
    """The same for parts of both sides, ``(s, n)`` and ``(s, m)``; distances are computed once for all of them."""
    real_radii, generated_radii = _radii(real, k, of_real), _radii(generated, k, of_generated)
    balls = np.zeros(of_generated.shape)
    recalled, covered = np.zeros(of_real.shape, dtype=bool), np.zeros(of_real.shape, dtype=bool)
    for rows, distances in _distances(real, generated):
        for s, (part, others) in enumerate(zip(of_real, of_generated, strict=True)):
            own, beside = rows.start + np.flatnonzero(part[rows]), np.flatnonzero(others)
            between = distances[np.ix_(own - rows.start, beside)]
            within = between <= real_radii[s, own, None]
            balls[s, beside] += within.sum(0)
            covered[s, own] = within.any(1)
            recalled[s, own] = (between <= generated_radii[s, beside]).any(1)
    return [
        _counted(balls[s, others], recalled[s, part], covered[s, part], k)
        for s, (part, others) in enumerate(zip(of_real, of_generated, strict=True))
    ]


def _counted(balls: Floats, recalled: Rows, covered: Rows, k: int) -> PRDC:
    """From the number of real balls around each generated point, and which real points are recalled and covered."""
    columns = (balls > 0, recalled, balls / k, covered)
    precision, recall, density, coverage = (float(values.mean()) for values in columns)
    return PRDC(
        precision,
        recall,
        density,
        coverage,
        precision_error=share_error(precision, len(balls)),
        recall_error=share_error(recall, len(recalled)),
        density_error=float(balls.std(ddof=1) / k / np.sqrt(len(balls))),
        coverage_error=share_error(coverage, len(covered)),
    )


def sampling_errors(real: Floats, generated: Floats, k: int = 5, *, seed: int = 0) -> tuple[float, float, float, float]:
    r"""Standard errors of precision, recall, density and coverage over new examples on both sides.

    Both sides are cut at random into halves, S = 8 times. With :math:`\theta_s, \theta'_s` the values of the halves,
    the error is

    .. math:: \Big( \frac{1}{4 S} \sum_s (\theta_s - \theta'_s)^2 \Big)^{1/2}

    or the error with the balls held fixed (`PRDC`) if that is larger or if a half would have fewer than 4 k rows. It is
    right if the variance falls as 1/n, which is only approximately true for rare neighbours: in simulations with 1000
    rows a side the errors were 0.6 to 1.6 times the true ones, also for a generator that is too narrow or off the data;
    only that of a density far above 1 was a third of the true one.

    Source: half-samples; McCarthy, "Pseudo-replication: half samples", 1969.

    Args:
        real: shape ``(n, d)``.
        generated: shape ``(m, d)``.
        k: number of neighbours.
        seed: of the halves.

    Raises:
        ValueError: as `prdc` does.

    >>> rows = np.random.default_rng(0).normal(size=(2, 500, 2))
    >>> all(0.001 < error < 0.1 for error in sampling_errors(rows[0], rows[1]))
    True
    """
    return _with_errors(real, generated, k, seed)[1]


def _with_errors(real: Floats, generated: Floats, k: int, seed: int) -> tuple[PRDC, tuple[float, float, float, float]]:
    """The results of `prdc` and `sampling_errors`, from distances that are computed once."""
    real, generated = _checked(real, generated, k)
    splits = _SPLITS if min(len(real), len(generated)) >= 2 * _FEWEST * k else 0
    rng = np.random.default_rng(seed)
    of_real, of_generated = (
        np.array([np.ones(n, dtype=bool), *(part for _ in range(splits) for part in _halves(n, rng))])
        for n in (len(real), len(generated))
    )
    found, *halves = _of_parts(real, generated, k, of_real, of_generated)
    fixed = (found.precision_error, found.recall_error, found.density_error, found.coverage_error)
    if not halves:
        return found, fixed
    values = np.array([half[:4] for half in halves])
    spread = np.sqrt(np.square(values[0::2] - values[1::2]).mean(0) / 4)
    precision, recall, density, coverage = (max(pair) for pair in zip(fixed, spread.tolist(), strict=True))
    return found, (precision, recall, density, coverage)


def _halves(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    half: Rows = rng.permutation(n) < n // 2
    return half, ~half


_ABOUT = {
    "precision": "share of generated examples within the real ones",
    "recall": "share of real examples within the generated ones",
    "density": "how densely real examples lie around generated ones; near 1 for the same distribution",
    "coverage": "share of real examples that have a generated one nearby",
}


def measure_prdc(
    subject: Subject,
    *,
    extractor: ExtractorName,
    weights: str | None,
    classifier_seed: int,
    most: int,
    k: int,
    seed: int,
) -> Measurement:
    """Precision, recall, density and coverage of generated examples, beside those of real ones.

    The arguments are the fields of `intel_metrics.specs.images.PRDCSpec`; `most` is its `n`.
    """
    extract = make_extractor(extractor, subject, weights=weights, seed=classifier_seed)
    compared = sides(subject, most, seed=seed)
    n = len(compared.real)
    if n <= k:
        raise NotApplicableError(f"{n} examples a side are too few for k={k} neighbours")
    real, other = (real_features(subject, extract, x) for x in (compared.real, compared.other))
    generated = features_of(subject, extract, compared.generated)
    found, errors = _with_errors(real, generated, k, seed)
    subject.tell("comparing real with real", 0.5)
    floor = prdc(real, other, k)
    return Measurement(
        numbers={
            name: Number(
                value=getattr(found, name),
                error=error,
                better=None if name == "density" else "higher",  # unbounded, and high for mean images
                beside={"real against real": getattr(floor, name)},
                about=about,
            )
            for (name, about), error in zip(_ABOUT.items(), errors, strict=True)
        },
        protocol={
            **compared.protocol,
            "extractor": extract.description,
            "hash": extract.hash,
            "features": real.shape[1],
            "k": k,
            "balls": "closed; the k-th nearest of the other points",
            "error": f"from {_SPLITS} cuts of both sides into halves, or with the balls held fixed where that is "
            f"larger or n is below {2 * _FEWEST * k}",
        },
        notes=grey_notes(subject),
    )
