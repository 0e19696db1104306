"""How are clusters found that nobody has named? By scikit-learn's mixtures and k-means, several times over."""

from __future__ import annotations

import warnings
from typing import Any, Literal

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
from intel_starts.graph import modularities

Criterion = Literal["likelihood", "modularity"]

__all__ = ["best_mixture", "nearest_centres"]

_ITERATIONS = 200
_RIDGE = 0.03
"""Added to the variance of each column, which is about 1."""
_SEEDS = 2**32
_BEGINNINGS = ("kmeans", "k-means++")
_IN_GRAPH = 10_000
"""Rows in the graph of nearest neighbours at most."""


def best_mixture(
    values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int, by: Criterion = "likelihood"
) -> FoundClusters:
    """The component of each row under the best of several mixtures of Gaussians.

    A ridge is added to the variances of every component. Without it the most likely mixture of data that are no mixture
    spends components on dense spots within one cluster.

    Args:
        values: ``(n, d)``, on a scale of about 1.
        clusters: number of components.
        fits: how many mixtures are fitted by EM, in turn from the clusters of k-means and from rows that lie far apart.
        examples: at most so many rows are fitted, or as many as clusters; all of them are assigned.
        seed: decides the rows and the beginnings.
        by: which is the best: the most likely one, or that of the highest modularity (`intel_starts.graph`).

    Returns:
        The most probable component of each row; and as facts ``log_likelihood`` (nats per row),
        ``modularity``, and ``agreement``, the mean normalised mutual information of this fit with the others.

    >>> rows = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (50, 2)) for m in (0.0, 1.0)])
    >>> found = best_mixture(rows, 2, 3, 1000, seed=0)
    >>> sorted({tuple(set(found.cluster[part].tolist())) for part in (slice(50), slice(50, None))})
    [(0,), (1,)]
    """
    random = np.random.default_rng(seed)
    fitted = _some(values, max(examples, clusters), random)
    models: list[GaussianMixture] = []
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: the same numbers on every machine
        warnings.simplefilter("ignore", ConvergenceWarning)
        for index in range(fits):
            begun, begins = int(random.integers(_SEEDS)), _BEGINNINGS[index % len(_BEGINNINGS)]
            model = GaussianMixture(
                clusters, reg_covar=_RIDGE, max_iter=_ITERATIONS, random_state=begun, init_params=begins
            )
            models.append(model.fit(fitted))
        parts = [model.predict(fitted) for model in models]
        near = _some(np.arange(len(fitted)), _IN_GRAPH, random)
        modularity = modularities(fitted[near], [part[near] for part in parts], clusters)
        likelihood = [float(model.lower_bound_) for model in models]
        best = int(np.argmax(modularity if by == "modularity" else likelihood))
        cluster = torch.from_numpy(models[best].predict(values)).long()
    facts: dict[str, JsonValue] = {
        "fits": fits,
        "log_likelihood": round(likelihood[best], 4),
        "modularity": round(float(modularity[best]), 4),
    }
    if fits > 1:
        others = [_agreement(parts[best], part, clusters) for index, part in enumerate(parts) if index != best]
        facts["agreement"] = round(sum(others) / len(others), 4)
    return FoundClusters(cluster, facts=facts)


def nearest_centres(values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int) -> FoundClusters:
    """The nearest centre of each row, as k-means finds them; arguments as of `best_mixture`.

    Returns:
        The centre of each row; and as a fact ``distance``, the mean squared distance of the fitted rows to it.
    """
    random = np.random.default_rng(seed)
    fitted = _some(values, max(examples, clusters), random)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        model = KMeans(clusters, n_init=fits, random_state=int(random.integers(_SEEDS))).fit(fitted)
        cluster = torch.from_numpy(model.predict(values)).long()
    return FoundClusters(cluster, facts={"fits": fits, "distance": round(float(model.inertia_) / len(fitted), 4)})


def _some(values: NDArray[Any], most: int, random: np.random.Generator) -> NDArray[Any]:
    return values if len(values) <= most else values[np.sort(random.choice(len(values), most, replace=False))]


def _agreement(one: NDArray[np.int64], other: NDArray[np.int64], clusters: int) -> float:
    table = contingency_table(torch.from_numpy(one), torch.from_numpy(other), clusters, clusters)
    return normalised_mutual_information(table)
