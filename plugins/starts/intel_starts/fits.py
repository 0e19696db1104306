"""How are clusters found that nobody has named? By scikit-learn's mixtures and k-means, several times over."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from intel_core.helpers.contingency import contingency_table, normalised_mutual_information
from intel_core.recipe.starts import FoundClusters
from intel_starts.graph import joined, modularity, moved, neighbour_graph
from intel_starts.views import Narrowed, SecondView, Values, second_view

__all__ = ["FITS", "FITS_OF_PARTS", "best_mixture", "fits_for", "joined_mixture", "nearest_centres"]

FITS, FITS_OF_PARTS = 16, 8
"""Of mixtures of K Gaussians and of many, if nobody says how many."""
_ITERATIONS = 200
_ITERATIONS_OF_PARTS = 20
_RIDGE = 0.03
"""Added to the variance of each column, which is about 1."""
_SEEDS = 2**32
_BEGINNINGS = ("kmeans", "k-means++")
_DIMENSIONS_OF_PARTS = 20
_ROWS_OF_PART = 20
"""Rows that there are for each part, at least."""
_MOST_PARTS = 150
_NEAREST = 10


def fits_for(usual: int, components: int) -> int:
    """How many mixtures are fitted if nobody says: fewer of very many components, one of which takes minutes.

    >>> fits_for(16, 150), fits_for(16, 600), fits_for(8, 3000)
    (16, 4, 1)
    """
    return usual if components <= _MOST_PARTS else max(1, usual * _MOST_PARTS // components)


def best_mixture(values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int) -> FoundClusters:
    """The component of each row under the most likely of several mixtures of Gaussians.

    A ridge is added to the variances of every component. Without it the most likely mixture of data that are no mixture
    spends components on dense spots within one cluster.

    Args:
        values: ``(n, d)``, on a scale of about 1.
        clusters: number of components.
        fits: how many mixtures are fitted by EM, in turn from the clusters of k-means and from rows that lie far apart.
        examples: at most so many rows are fitted, or as many as clusters; all of them are assigned.
        seed: decides the rows and the beginnings.

    Returns:
        The most probable component of each row; and as facts ``log_likelihood`` (nats per row), and ``agreement``, the
        mean normalised mutual information of this fit with the others.

    >>> rows = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (50, 2)) for m in (0.0, 1.0)])
    >>> found = best_mixture(rows, 2, 3, 1000, seed=0)
    >>> sorted({tuple(set(found.cluster[part].tolist())) for part in (slice(50), slice(50, None))})
    [(0,), (1,)]
    """
    random = np.random.default_rng(seed)
    fitted = values[_some(len(values), max(examples, clusters), random)]
    with threadpool_limits(1):  # one thread: the same numbers on every machine
        models = _mixtures(fitted, clusters, fits, _ITERATIONS, random)
        parts = [model.predict(fitted) for model in models]
        likelihood = [float(model.lower_bound_) for model in models]
        best = int(np.argmax(likelihood))
        cluster = torch.from_numpy(models[best].predict(values)).long()
    facts: dict[str, JsonValue] = {"fits": fits, "log_likelihood": round(likelihood[best], 4)}
    if fits > 1:
        facts["agreement"] = round(float(_agreements(parts, clusters)[best]), 4)
    return FoundClusters(cluster, facts=facts)


def joined_mixture(
    values: NDArray[np.float64],
    clusters: int,
    fits: int,
    examples: int,
    seed: int,
    parts: int = 10,
    also: Values | None = None,
) -> FoundClusters:
    """Clusters of any shape: many Gaussians, those joined that have neighbours in common.

    A cluster of encodings is seldom Gaussian. Several mixtures of many components are fitted, the components of each
    are joined to K clusters by the density of edges between them in the graph of nearest neighbours, and each row moves
    to the cluster of most of its neighbours (`intel_starts.graph`). Of the clusterings that come out, that is taken
    which agrees most with the others.

    Args:
        values: ``(n, d)``, on a scale of about 1, of which 20 principal components are used.
        clusters: K.
        fits: number of mixtures.
        examples: at most so many rows are fitted, or as many as clusters; the others take the cluster of most of their
            ten nearest ones among these.
        seed: decides the rows and the beginnings.
        parts: components for each cluster; fewer where there would be less than 20 rows for one, or more than 150 in
            all.
        also: a second view of the rows, whose neighbours count as well if it tells the same clusters
            (`intel_starts.views.second_view`).

    Returns:
        The cluster of each row; and as facts ``parts``, in all, and ``agreement``, the mean normalised mutual
        information with the other clusterings, and ``views``, 1 or 2.

    >>> random = np.random.default_rng(0)
    >>> angle = random.uniform(0, 2 * np.pi, 400)
    >>> radius = np.repeat([1.0, 3.0], 200) + 0.05 * random.normal(size=400)
    >>> rings = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    >>> found = joined_mixture(rings, 2, 3, 1000, seed=0)
    >>> sorted({tuple(set(found.cluster[part].tolist())) for part in (slice(200), slice(200, None))})
    [(0,), (1,)]
    """
    random = np.random.default_rng(seed)
    rows = _some(len(values), max(examples, clusters), random)
    with threadpool_limits(1):
        narrow = Narrowed(values, _DIMENSIONS_OF_PARTS, random).rows
        fitted = narrow[rows]
        n_parts = max(clusters, min(parts * clusters, _MOST_PARTS, len(fitted) // _ROWS_OF_PART))
        graph = neighbour_graph(fitted)
        found_parts = [
            model.predict(fitted) for model in _mixtures(fitted, n_parts, fits, _ITERATIONS_OF_PARTS, random)
        ]
        view: SecondView | None = None
        if also is not None:
            first = _typical(found_parts, n_parts, clusters, graph, random)[0]
            view = second_view(graph, also(rows), first, clusters, random)
            graph = graph if view is None else graph + view.graph
        best, agreement = _typical(found_parts, n_parts, clusters, graph, random)
        cluster = np.empty(len(values), dtype=np.int64)
        left = np.setdiff1d(np.arange(len(values)), rows)
        cluster[rows] = best
        for some in np.array_split(left, -(-len(left) // len(rows))) if len(left) else ():
            votes = _votes(fitted, narrow[some], best, clusters)
            if view is not None and also is not None:
                votes += _votes(view.narrow.rows, view.narrow.of(also(some)), best, clusters)
            cluster[some] = votes.argmax(1)
    facts: dict[str, JsonValue] = {"fits": fits, "parts": n_parts, "views": 1 if view is None else 2}
    if fits > 1:
        facts["agreement"] = round(agreement, 4)
    facts["modularity"] = round(modularity(graph, best, clusters), 4)
    return FoundClusters(torch.from_numpy(cluster), facts=facts)


def nearest_centres(values: NDArray[np.float64], clusters: int, fits: int, examples: int, seed: int) -> FoundClusters:
    """The nearest centre of each row, as k-means finds them; arguments as of `best_mixture`.

    Returns:
        The centre of each row; and as a fact ``distance``, the mean squared distance of the fitted rows to it.
    """
    random = np.random.default_rng(seed)
    fitted = values[_some(len(values), max(examples, clusters), random)]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        model = KMeans(clusters, n_init=fits, random_state=int(random.integers(_SEEDS))).fit(fitted)
        cluster = torch.from_numpy(model.predict(values)).long()
    return FoundClusters(cluster, facts={"fits": fits, "distance": round(float(model.inertia_) / len(fitted), 4)})


def _mixtures(
    fitted: NDArray[np.float64], components: int, fits: int, iterations: int, random: np.random.Generator
) -> list[GaussianMixture]:
    """Mixtures from different beginnings."""
    models: list[GaussianMixture] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for index in range(fits):
            begun, begins = int(random.integers(_SEEDS)), _BEGINNINGS[index % len(_BEGINNINGS)]
            model = GaussianMixture(
                components, reg_covar=_RIDGE, max_iter=iterations, random_state=begun, init_params=begins
            )
            models.append(model.fit(fitted))
    return models


def _typical(
    parts: list[NDArray[np.int64]],
    n_parts: int,
    clusters: int,
    graph: sparse.csr_matrix,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], float]:
    """What becomes of the parts of several fits: the clustering that agrees most with the others, and how much."""
    found = [moved(graph, joined(graph, part, n_parts, clusters), clusters, random) for part in parts]
    agreements = _agreements(found, clusters)
    best = int(agreements.argmax())
    return found[best], float(agreements[best])


def _votes(
    known: NDArray[np.float64], asked: NDArray[np.float64], cluster: NDArray[np.int64], clusters: int
) -> NDArray[np.float64]:
    """How many of each row's nearest known rows are in each cluster, ``(m, K)``."""
    nearest = NearestNeighbors(n_neighbors=min(_NEAREST, len(known))).fit(known)
    return np.asarray(nearest.kneighbors_graph(asked) @ np.eye(clusters)[cluster])


def _some(n: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """The numbers of some rows, in their order."""
    return np.arange(n) if n <= most else np.sort(random.choice(n, most, replace=False))


def _agreements(parts: list[NDArray[np.int64]], clusters: int) -> NDArray[np.float64]:
    """The mean normalised mutual information of each clustering with the others; 1 if there is one alone."""
    of_two = np.eye(len(parts))
    for i, one in enumerate(parts):
        for j, other in enumerate(parts[:i]):
            table = contingency_table(torch.from_numpy(one), torch.from_numpy(other), clusters, clusters)
            of_two[i, j] = of_two[j, i] = normalised_mutual_information(table)
    return np.ones(1) if len(parts) == 1 else (of_two.sum(1) - 1) / (len(parts) - 1)
