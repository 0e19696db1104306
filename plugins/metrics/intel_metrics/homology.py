r"""How many pieces and holes has the set that samples fill, and with which confidence?

They are counted by persistent homology of the distance to a measure. With :math:`r_u(x)` the radius of the ball around
x that holds the share u of the samples,

.. math:: d_m(x) = \Big( \frac1m \int_0^m r_u(x)^2 \, du \Big)^{1/2}

is the root mean square distance to the nearest m n of n samples. Near a few outliers it stays large, unlike the
distance to the nearest sample. As t grows, pieces and holes of :math:`\{d_m \le t\}` are born and die. The bottleneck
distance of a sample's diagram from that of the distribution is at most the largest difference of the two functions,
which a bootstrap estimates: with c the quantile of :math:`\sup |d_m^* - d_m|` over resamples, and δ the largest change
of d_m within a cell of the grid on which it is computed, every feature that lives longer than 2 (c + δ) is one of the
distribution, all of them together with the stated confidence (asymptotically). Features that are not counted may exist,
too: the number is a lower bound.

Sources: Fasy et al., "Confidence sets for persistence diagrams", 2014; Chazal et al., "Robust topological inference:
distance to a measure and kernel distance", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import JsonValue
from scipy.spatial import cKDTree
from torch import Tensor

from intel_core.evaluation.measurement import Measurement, NotApplicableError, Number
from intel_core.evaluation.subject import Subject
from intel_core.helpers.own_prior import own_prior
from intel_core.mappings.compose import properties_of
from intel_core.reading.capabilities import Shaped
from intel_metrics.confidence import resamples_for

__all__ = ["Homology", "distance_to_measure", "homology", "measure"]

CELLS = {1: 2000, 2: 128, 3: 36}
"""Cells along the longest side of the grid, by number of dimensions."""
MARGIN = 0.1
"""Margin of the grid around the samples on each side, as a share of the longest side of their box."""

_NEIGHBOURS = 1 << 19
"""Pairs of place and neighbour that are in memory at a time, some 20 MB."""

Array = np.ndarray[Any, Any]


class Homology(NamedTuple):
    """Pieces and holes of a sample.

    Attributes:
        betti: b0, b1, … up to one below the number of dimensions: features that live longer than the band, and the
            first piece, which never dies.
        band: the lifetime above which a feature is counted, in the units of the points.
        lifetimes: of the features of each dimension, the ten longest, longest first; the first piece never dies, and
            lives to the largest value on the grid.
    """

    betti: tuple[int, ...]
    band: float
    lifetimes: tuple[tuple[float, ...], ...]


def distance_to_measure(points: Array, at: Array, mass: float) -> Array:
    """The root mean square distance to the nearest share `mass` of the points.

    Args:
        points: ``(n, d)``.
        at: where, ``(m, d)``.
        mass: share of the points, in (0, 1]; at least one point is looked at.

    Returns:
        float64 ``(m,)``.

    >>> distance_to_measure(np.array([[0.0], [2.0], [9.0]]), np.array([[1.0]]), 0.6).tolist()
    [1.0]
    """
    k = max(1, round(mass * len(points)))
    away, _ = cKDTree(points).query(at, k=k)
    root: Array = np.sqrt(np.square(away.reshape(len(at), k)).mean(1))
    return root


def homology(
    points: Array | Tensor,
    *,
    mass: float = 0.02,
    level: float = 0.95,
    bootstraps: int = 100,
    generator: torch.Generator | None = None,
) -> Homology:
    """Betti numbers of the set that points fill, of features that are real with a stated confidence.

    Args:
        points: independent points ``(n, d)``, d at most 3.
        mass: m; a loop that holds less than this share of the points is not found.
        level: the confidence.
        bootstraps: number of resamples; in three dimensions a third as many, but at least as many as the level needs.
        generator: source of the resamples, on the CPU.

    Raises:
        ValueError: if there are too few resamples for the confidence: B of them give at most B / (B + 1).
        NotApplicableError: in more than three dimensions, where there is no grid, or without gudhi.

    >>> angle = torch.linspace(0, 6.28, 300)
    >>> found = homology(torch.stack([angle.cos(), angle.sin()], 1), bootstraps=20)
    >>> found.betti
    (1, 1)
    """
    gudhi = _gudhi()
    cloud = np.asarray(points.detach().cpu() if isinstance(points, Tensor) else points, dtype=np.float64)
    n, width = cloud.shape
    if width not in CELLS:
        raise NotApplicableError(f"Betti numbers are counted on a grid of at most 3 dimensions, not {width}")
    grid, shape, cell = _grid(cloud)
    needed = resamples_for(level)
    if bootstraps < needed:
        raise ValueError(f"a confidence of {level:g} needs {needed} resamples or more, not {bootstraps}")
    seed = int(torch.randint(2**62, (1,), generator=generator))
    resamples = bootstraps if width < 3 else max(20, needed, bootstraps // 3)
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    values, worst = _resampled(cloud, grid, mass, np.stack([np.bincount(row, minlength=n) for row in drawn]))
    # The distance changes at most as much as the place does: by half the diagonal of a cell.
    band = 2 * (float(np.quantile(worst, level, method="higher")) + 0.5 * cell * math.sqrt(width))
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=values.reshape(shape))
    complex_.compute_persistence()
    top = float(values.max())
    lifetimes = []
    for dim in range(width):
        bars = np.asarray(complex_.persistence_intervals_in_dimension(dim)).reshape(-1, 2)
        lifetimes.append(np.sort(np.minimum(bars[:, 1], top) - bars[:, 0])[::-1])
    # The first piece never dies, however short the grid makes its life.
    betti = tuple(max(int((lives > band).sum()), int(dim == 0)) for dim, lives in enumerate(lifetimes))
    return Homology(betti, band, tuple(tuple(lives[:10].tolist()) for lives in lifetimes))


def _resampled(points: Array, at: Array, mass: float, counts: Array) -> tuple[Array, Array]:
    """The distance to the measure at some places, and its largest difference from that of each resample.

    A resample has each point `counts` times, ``(resamples, n)``. The order of neighbours is the same for all of them,
    so it is computed once.
    """
    n, k = len(points), max(1, round(mass * len(points)))
    wide = min(n, 3 * k + 60)
    tree = cKDTree(points)
    values, worst = np.empty(len(at)), np.zeros(len(counts))
    rows = max(1, _NEIGHBOURS // wide)
    for start in range(0, len(at), rows):
        some = slice(start, start + rows)
        away, index = tree.query(at[some], k=wide)
        square = np.square(away.reshape(-1, wide))
        index = index.reshape(-1, wide)
        values[some] = np.sqrt(square[:, :k].mean(1))
        for b, count in enumerate(counts):
            reached = np.minimum(count[index].cumsum(1), k)
            share = np.diff(reached, axis=1, prepend=0)
            # So wide a neighbourhood hardly ever has too few points; its last one is used for missing ones.
            total = (square * share).sum(1) + square[:, -1] * (k - reached[:, -1])
            worst[b] = max(worst[b], np.abs(np.sqrt(total / k) - values[some]).max())
    return values, worst


def _gudhi() -> Any:
    try:
        import gudhi
    except ImportError:
        raise NotApplicableError(
            "Betti numbers are counted with gudhi, which is not installed: pip install 'intelvae-metrics[topology]'"
        ) from None
    return gudhi


def _grid(points: Array) -> tuple[Array, tuple[int, ...], float]:
    """Centres of cubic cells that fill a box around the points, their number along each side, and a cell's side."""
    low, high = points.min(0), points.max(0)
    longest = max(float((high - low).max()), 1e-12)
    margin = MARGIN * longest
    cell = (longest + 2 * margin) / CELLS[points.shape[1]]
    shape = tuple(math.ceil((side + 2 * margin) / cell) for side in (high - low))
    sides = [start - margin + cell * (np.arange(count) + 0.5) for start, count in zip(low, shape, strict=True)]
    return np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, points.shape[1]), shape, cell


def measure(
    subject: Subject,
    *,
    n: int,
    mass: float,
    level: float,
    bootstraps: int,
    seed: int,
) -> Measurement:
    """Betti numbers of z under the prior and of generated samples, above a confidence band.

    The arguments are the fields of `intel_metrics.specs.topology.BettiSpec`.
    """
    _gudhi()
    mapping = subject.model.mapping
    declared = properties_of(mapping)
    z = subject.prior(n, seed=seed).z
    dims = sorted({d for plane in declared.planes for d in plane})
    # Dimensions that are passed through do not change the topology, and would only blur it.
    acting = bool(dims) and mapping.z_dim == mapping.y_dim
    z = z[:, dims] if acting else z
    most = max(CELLS)
    clouds = {"z": z} if z.shape[1] <= most else {}
    if len(subject.model.x_shape) == 1 and subject.model.x_shape[0] <= most:
        made = subject.run.original_units(subject.generated(n, seed=seed))
        clouds["x"] = made
    if not clouds:
        raise NotApplicableError(
            f"Betti numbers are counted in at most {most} dimensions; here z has {z.shape[1]} and x "
            f"{math.prod(subject.model.x_shape)}"
        )
    data = subject.run.spec.data
    is_other = own_prior(subject.model) is not None
    known: dict[str, tuple[str, Sequence[int] | None]] = {
        "z": ("declared", None)
        if is_other
        else ("declared", declared.betti or ((declared.clusters,) if declared.clusters else None)),
        "x": ("data", data.betti if isinstance(data, Shaped) else None),
    }
    numbers: dict[str, Number] = {}
    details: dict[str, JsonValue] = {}
    notes = ["Only features that live longer than the band are counted; smaller ones may exist, too."]
    if is_other and (declared.betti or declared.clusters):
        notes.append(
            f"What the mapping declares holds of N(0, I); nothing is declared for the prior {subject.run.spec.prior}."
        )
    for i, (name, cloud) in enumerate(clouds.items()):
        subject.tell(f"Betti numbers of {name}", i / len(clouds))
        if not bool(torch.isfinite(cloud).all()):
            notes.append(f"{name} is not finite for some draws of the prior, so nothing was counted.")
            continue
        generator = subject.generator(seed, f"homology of {name}")
        found = homology(cloud, mass=mass, level=level, bootstraps=bootstraps, generator=generator)
        whose, expected = known[name]
        details[name] = {"band": found.band, "lifetimes": [list(lives) for lives in found.lifetimes]}
        for dim, count in enumerate(found.betti):
            beside = {}
            # A number of clusters says nothing about loops.
            if expected is not None and (dim < len(expected) or (name == "x" or declared.betti is not None)):
                beside[whose] = float(expected[dim]) if dim < len(expected) else 0.0
            lives = found.lifetimes[dim]
            about = f"{('pieces', 'loops', 'hollows')[dim]} of {name} under the prior"
            if lives:
                last = f"longest lifetimes over the band {', '.join(f'{life / found.band:.1f}' for life in lives[:4])}"
                about = f"{about}; {last}"
            numbers[f"b{dim} of {name}"] = Number(value=count, beside=beside, about=about)
    if not numbers:
        raise NotApplicableError(notes[-1])
    return Measurement(
        numbers=numbers,
        protocol={
            "draws": n,
            "x": "mean of p(x|z), in the data's own units",
            "dimensions of z": dims if acting else "all",
            "filtration": "distance to a measure, on a grid",
            "mass": mass,
            "confidence": level,
            "bootstraps": bootstraps,
            "seed": seed,
        },
        details=details,
        notes=tuple(notes),
    )
