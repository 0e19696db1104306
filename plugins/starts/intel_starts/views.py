"""What is looked at when neighbours are sought? The encodings of the examples, and their values as a second view."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import PCA

from intel_core.data.values import to_float
from intel_starts.graph import modularity, neighbour_graph

if TYPE_CHECKING:
    from intel_core.recipe.starts import StartData

__all__ = ["Narrowed", "SecondView", "Values", "second_view", "values_of"]

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


class Narrowed:
    """The first principal components of some rows, and those of others.

    Args:
        values: rows ``(n, d)`` that are narrowed; if they are no wider than `most`, they stay as they are.
        most: number of components.
        random: decides the approximation.

    Attributes:
        rows: the narrow rows, float64.

    >>> Narrowed(np.eye(4), 2, np.random.default_rng(0)).rows.shape
    (4, 2)
    """

    def __init__(self, values: NDArray[Any], most: int, random: np.random.Generator) -> None:
        self._components: PCA | None = None
        self.rows: NDArray[np.float64] = values.astype(np.float64)
        if min(values.shape) > most:
            self._components = PCA(most, svd_solver="randomized", random_state=int(random.integers(2**32)))
            self.rows = self._components.fit_transform(values).astype(np.float64)

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The same components of other rows."""
        narrow: NDArray[np.float64] = values.astype(np.float64)
        return narrow if self._components is None else self._components.transform(values).astype(np.float64)


class SecondView(NamedTuple):
    """Neighbours among the values.

    Attributes:
        narrow: 50 principal components of the values.
        graph: who is near whom there.
    """

    narrow: Narrowed
    graph: sparse.csr_matrix


def second_view(
    first: sparse.csr_matrix,
    values: NDArray[Any],
    cluster: NDArray[np.int64],
    clusters: int,
    random: np.random.Generator,
) -> SecondView | None:
    """The view of the values; None if it does not tell clusters that the first graph tells.

    Args:
        first: the graph in which the clusters were found.
        values: ``(n, e)``.
        cluster: ``(n,)``; the graph among the values has to be at least half as modular under it.
        clusters: K.
        random: for the components.
    """
    narrow = Narrowed(values, _COMPONENTS, random)
    graph = neighbour_graph(narrow.rows)
    tells = modularity(graph, cluster, clusters) > modularity(first, cluster, clusters) / 2
    return SecondView(narrow, graph) if tells else None
