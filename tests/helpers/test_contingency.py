"""Agreement of two labelings, against scikit-learn: all of its conventions, those for constant labelings included."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from intel_core.helpers.contingency import adjusted_rand, contingency_table, normalised_mutual_information, purity

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60)
AVERAGES = {"mean": "arithmetic", "smaller": "min"}


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_every_score_is_that_of_others(pairs):
    cluster, target = np.array(pairs).T
    table = contingency_table(torch.tensor(cluster), torch.tensor(target), 4, 5)
    seen = table[np.ix_(np.unique(cluster), np.unique(target))]
    assert seen.tolist() == contingency_matrix(cluster, target).tolist()
    assert table.sum() == len(pairs)
    for over, average in AVERAGES.items():
        expected = normalized_mutual_info_score(target, cluster, average_method=average)
        assert normalised_mutual_information(table, over=over) == pytest.approx(expected, abs=1e-9)
    assert adjusted_rand(table) == pytest.approx(adjusted_rand_score(target, cluster), abs=1e-9)
    right = sum(np.bincount(target[cluster == k]).max() for k in set(cluster))
    assert purity(table) == pytest.approx(right / len(pairs))


@pytest.mark.parametrize("over", AVERAGES)
@pytest.mark.parametrize(
    ("table", "expected"),
    [([[7]], 1.0), ([[7, 0], [0, 0]], 1.0), ([[7, 3]], 0.0), ([[7], [3]], 0.0), ([[7, 3], [0, 0]], 0.0)],
    ids=["both constant", "both constant, more possible", "one cluster", "one class", "an empty cluster"],
)
def test_constant_labelings_are_scored_as_by_scikit_learn(table, expected, over):
    table = np.array(table)
    cluster, target = np.repeat(np.indices(table.shape).reshape(2, -1), table.ravel(), axis=1)
    assert normalized_mutual_info_score(target, cluster, average_method=AVERAGES[over]) == expected
    assert normalised_mutual_information(table, over=over) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_clusters_and_classes_means_nothing(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 9, (4, 3)) + np.eye(4, 3, dtype=np.int64)
    other = table[rng.permutation(4)][:, rng.permutation(3)]
    for over in AVERAGES:
        scores = [normalised_mutual_information(one, over=over) for one in (table, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-12)
