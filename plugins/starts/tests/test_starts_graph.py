"""Is what is said of neighbours true, against other code and in graphs of all kinds?"""

from __future__ import annotations

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_starts.graph import joined, modularity, moved, neighbour_graph


def rows(seed: int, n: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3))


@pytest.mark.parametrize("seed", range(3))
def test_modularity_is_that_of_networkx(seed: int) -> None:
    graph = neighbour_graph(rows(seed))
    cluster = np.random.default_rng(seed).integers(0, 4, 60)
    other = networkx.community.modularity(
        networkx.from_scipy_sparse_array(graph), [set(np.flatnonzero(cluster == k).tolist()) for k in range(4)]
    )
    assert modularity(graph, cluster, 4) == pytest.approx(other, abs=1e-12)


def test_neighbours_are_the_nearest_in_either_direction() -> None:
    x = rows(0)
    distance = np.linalg.norm(x[:, None] - x, axis=-1)
    np.fill_diagonal(distance, np.inf)
    near = np.zeros((60, 60))
    np.put_along_axis(near, np.argsort(distance, axis=1)[:, :10], 1.0, axis=1)
    assert (neighbour_graph(x).toarray() == np.maximum(near, near.T)).all()


def test_parts_are_joined_where_edges_are_densest_however_unequal_the_clusters() -> None:
    """Thirteen pieces of a long line and one of a short one: by modularity, halves of the long line would be better."""
    x = np.concatenate([np.linspace(0, 13, 650), np.linspace(40, 41, 50)])[:, None]
    graph, part = neighbour_graph(x), np.arange(700) // 50
    found = joined(graph, part, 14, 2)
    assert found.tolist() == [0] * 650 + [1] * 50
    halves = np.repeat([0, 1], 350)
    assert modularity(graph, halves, 2) > modularity(graph, found, 2)


@settings(max_examples=50)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 8), st.integers(0, 1000))
def test_any_parts_become_as_many_clusters_and_what_was_together_stays_so(n: int, k: int, more: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    graph = neighbour_graph(np.round(random.normal(size=(n, 2))))
    part = random.integers(0, k + more, n)
    found = joined(graph, part, k + more, k)
    assert 0 <= found.min() <= found.max() < k
    assert len(np.unique(found)) == min(k, len(np.unique(part)))  # only empty parts leave clusters empty
    assert all(len(np.unique(found[part == p])) == 1 for p in np.unique(part))


@settings(max_examples=50)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 1000))
def test_moving_empties_no_cluster_and_moves_no_fixed_row(n: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    graph = neighbour_graph(np.round(random.normal(size=(n, 2))))
    cluster, fixed = random.integers(0, k, n), random.integers(0, n, n // 4)
    found = moved(graph, cluster, k, random, fixed)
    assert (found[fixed] == cluster[fixed]).all()
    assert set(found.tolist()) == set(cluster.tolist())


def test_after_moving_nearly_every_row_is_with_most_of_its_neighbours() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 2))
    graph = neighbour_graph(x)
    begun = (x[:, 0] > 0).astype(np.int64)
    wrong = np.random.default_rng(1).random(2000) < 0.2
    found = moved(graph, np.where(wrong, 1 - begun, begun), 2, np.random.default_rng(2))
    votes = np.asarray(graph @ np.eye(2)[found])
    assert (votes.argmax(1) == found).mean() > 0.98
    assert (found == begun).mean() > 0.95
