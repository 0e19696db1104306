"""How are clusters found that nobody has named? By scikit-learn's mixtures and k-means, several times over."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from intel_core.helpers.contingency import contingency_table, normalised_mutual_information
from intel_core.recipe.starts import FoundClusters

Beginning = Literal["kmeans", "k-means++"]

__all__ = ["best_mixture", "nearest_centres"]

_ITERATIONS = 200
_RIDGE = 0.03
"""Added to the variance of each column, which is 1: it keeps a component from spending itself on a dense spot."""
_SEEDS = 2**32


def best_mixture(
    values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int, begins: Beginning = "kmeans"
) -> FoundClusters:
    """The component of each row under the most likely of several mixtures of Gaussians.

    Columns are scaled to variance 1, and a ridge is added to the variances of every component. Without it the most
    likely mixture of data that are no mixture spends components on dense spots within one cluster.

    Args:
        values: ``(n, d)``.
        clusters: number of components.
        fits: how many mixtures are fitted, each by EM from another beginning.
        examples: at most so many rows are fitted; all of them are assigned.
        seed: decides the rows and the beginnings.
        begins: where EM begins: ``kmeans`` from the clusters of k-means, ``k-means++`` from rows that lie far apart.

    Returns:
        The most probable component of each row; and as facts ``log_likelihood`` (nats per row, of the scaled values)
        and ``agreement``, the mean normalised mutual information of this fit with the others.

    >>> rows = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (50, 2)) for m in (0.0, 1.0)])
    >>> found = best_mixture(rows, 2, 3, 1000, seed=0)
    >>> sorted({tuple(set(found.cluster[part].tolist())) for part in (slice(50), slice(50, None))})
    [(0,), (1,)]
    """
    random = np.random.default_rng(seed)
    values = _scaled(values)
    fitted = _some(values, examples, random)
    models: list[GaussianMixture] = []
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: the same numbers on every machine
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(fits):
            begun = int(random.integers(_SEEDS))
            model = GaussianMixture(
                clusters, reg_covar=_RIDGE, max_iter=_ITERATIONS, random_state=begun, init_params=begins
            )
            models.append(model.fit(fitted))
        best = max(models, key=lambda model: float(model.lower_bound_))
        parts = [torch.from_numpy(model.predict(fitted)).long() for model in (best, *models) if model is not best]
        own = torch.from_numpy(best.predict(fitted)).long()
        cluster = torch.from_numpy(best.predict(values)).long()
    facts: dict[str, JsonValue] = {"fits": fits, "log_likelihood": round(float(best.lower_bound_), 4)}
    if parts:
        facts["agreement"] = round(sum(_agreement(own, other, clusters) for other in parts) / len(parts), 4)
    return FoundClusters(cluster, facts=facts)


def nearest_centres(values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int) -> FoundClusters:
    """The nearest centre of each row, as k-means finds them; arguments as of `best_mixture`.

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


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of variance 1, so that one ridge suits all; constant columns stay as they are."""
    deviation = values.std(0)
    scaled: NDArray[np.float64] = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    return scaled


def _some(values: NDArray[np.float64], most: int, random: np.random.Generator) -> NDArray[np.float64]:
    return values if len(values) <= most else values[np.sort(random.choice(len(values), most, replace=False))]


def _agreement(one: torch.Tensor, other: torch.Tensor, clusters: int) -> float:
    return normalised_mutual_information(contingency_table(one, other, clusters, clusters))
