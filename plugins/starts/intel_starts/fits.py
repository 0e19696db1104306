"""How are clusters found that nobody has named? By scikit-learn's mixtures and k-means, several times over."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from intel_core.helpers.contingency import contingency_table, normalised_mutual_information
from intel_core.recipe.starts import FoundClusters

__all__ = ["most_typical_mixture", "nearest_centres"]

_ITERATIONS = 200
_RIDGE = 0.03
"""Added to the variance of each column, which is 1: it keeps a component from spending itself on a dense spot."""
_SEEDS = 2**32


def most_typical_mixture(
    values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int
) -> FoundClusters:
    """The component of each row under the most typical of several mixtures of Gaussians.

    Args:
        values: ``(n, d)``.
        clusters: number of components.
        fits: how many mixtures are fitted, each by EM from k-means with another seed.
        examples: at most so many rows are fitted; all of them are assigned.
        seed: decides the rows and the beginnings.

    Returns:
        The most probable component of each row; and as facts ``agreement``, the mean normalised mutual information
        with the other fits, ``log_likelihood`` (nats per row) and that of the best fit.

    >>> rows = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (50, 2)) for m in (0.0, 1.0)])
    >>> found = most_typical_mixture(rows, 2, 3, 1000, seed=0)
    >>> sorted({tuple(set(found.cluster[part].tolist())) for part in (slice(50), slice(50, None))})
    [(0,), (1,)]
    """
    random = np.random.default_rng(seed)
    values = _spread(values)
    fitted = _some(values, examples, random)
    models: list[GaussianMixture] = []
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: the same numbers on every machine
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(fits):
            model = GaussianMixture(
                clusters, reg_covar=_RIDGE, max_iter=_ITERATIONS, random_state=int(random.integers(_SEEDS))
            )
            models.append(model.fit(fitted))
        parts = [torch.from_numpy(model.predict(fitted)).long() for model in models]
        agreement = _agreement(parts, clusters)
        chosen = max(range(fits), key=lambda index: agreement[index])
        cluster = torch.from_numpy(models[chosen].predict(values)).long()
    bounds = [float(model.lower_bound_) for model in models]
    return FoundClusters(
        cluster,
        facts={
            "fits": fits,
            "agreement": round(agreement[chosen], 4),
            "log_likelihood": round(bounds[chosen], 4),
            "best_log_likelihood": round(max(bounds), 4),
        },
    )


def nearest_centres(values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int) -> FoundClusters:
    """The nearest centre of each row, as k-means finds them; arguments as of `most_typical_mixture`.

    Returns:
        The centre of each row; and as a fact ``distance``, the mean squared distance of the fitted rows to it.
    """
    random = np.random.default_rng(seed)
    fitted = _some(values, examples, random)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        model = KMeans(clusters, n_init=fits, random_state=int(random.integers(_SEEDS))).fit(fitted)
        cluster = torch.from_numpy(model.predict(values)).long()
    return FoundClusters(cluster, facts={"fits": fits, "distance": round(float(model.inertia_) / len(fitted), 4)})


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of variance 1, so that one ridge suits all; constant columns stay as they are."""
    deviation = values.std(0)
    scaled: NDArray[np.float64] = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    return scaled


def _some(values: NDArray[np.float64], most: int, random: np.random.Generator) -> NDArray[np.float64]:
    return values if len(values) <= most else values[np.sort(random.choice(len(values), most, replace=False))]


def _agreement(parts: list[torch.Tensor], clusters: int) -> list[float]:
    """The mean normalised mutual information of each labeling with all others; 1 for a single one."""
    if len(parts) == 1:
        return [1.0]
    n = len(parts)
    table = np.eye(n)
    for i in range(n):
        for j in range(i):
            counts = contingency_table(parts[i], parts[j], clusters, clusters)
            table[i, j] = table[j, i] = normalised_mutual_information(counts)
    return [float(row) for row in (table.sum(1) - 1) / (n - 1)]
