"""What is looked at when neighbours are sought? The encodings of the examples, and their values as a second view."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import PCA

from intel_core.data.values import to_float
from intel_starts.graph import modularity, neighbour_graph

if TYPE_CHECKING:
    from intel_core.recipe.starts import StartData

__all__ = ["Values", "narrowed", "second_graph", "values_of"]

Values = Callable[[NDArray[np.int64]], NDArray[Any]]
"""The values of some examples by their numbers, ``(m,) -> (m, e)``."""

_MOST_NUMBERS = 2**27
"""Values of examples that are looked at in search of neighbours, half a GiB; with more, encodings alone are."""
_COMPONENTS = 50


def values_of(given: StartData, examples: int) -> Values | None:
    """The values of examples as a second view; None if those of so many would fill the memory."""

    def values(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        x: NDArray[np.float32] = to_float(given.train.read(torch.from_numpy(rows))).flatten(1).cpu().numpy()
        return x

    return values if examples * math.prod(given.train.shape[1:]) <= _MOST_NUMBERS else None


def narrowed(values: NDArray[Any], most: int, random: np.random.Generator) -> NDArray[np.float64]:
    """The first principal components, at most so many; values that are no wider stay as they are.

    >>> narrowed(np.eye(4), 2, np.random.default_rng(0)).shape
    (4, 2)
    """
    if min(values.shape) <= most:
        return values.astype(np.float64)
    components = PCA(most, svd_solver="randomized", random_state=int(random.integers(2**32)))
    narrow: NDArray[np.float64] = components.fit_transform(values).astype(np.float64)
    return narrow


def second_graph(
    first: sparse.csr_matrix,
    values: NDArray[Any],
    cluster: NDArray[np.int64],
    clusters: int,
    random: np.random.Generator,
) -> sparse.csr_matrix | None:
    """The graph of neighbours among the values; None if it does not tell clusters that the first graph tells.

    Args:
        first: the graph in which the clusters were found.
        values: ``(n, e)``, of which 50 principal components are used.
        cluster: ``(n,)``; the second graph has to be at least half as modular under it.
        clusters: K.
        random: for the components.
    """
    graph = neighbour_graph(narrowed(values, _COMPONENTS, random))
    return graph if modularity(graph, cluster, clusters) > modularity(first, cluster, clusters) / 2 else None
