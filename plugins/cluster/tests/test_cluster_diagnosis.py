"""Does the diagnosis count rightly? Shares, contingency, purity, and the accuracy under the best matching."""

import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster import ClusterSpec
from intel_cluster.diagnosis import best_matching, describe_clusters

from intel_core.helpers.parts_of_mapping import clustering_of, diagnose
from intel_core.mappings.building import load_mapping

HALF = torch.tensor([0.5, 0.5])


def rows(entries, k):
    return st.lists(entries, min_size=k, max_size=k)


def test_counts():
    index = torch.tensor([0, 0, 0, 1, 1, 2])
    labels = torch.tensor([5, 5, 9, 9, 9, 7])
    report = describe_clusters(index, torch.tensor([0.2, 0.3, 0.5]), labels)
    assert report["data_shares"] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert report["proportions"] == pytest.approx([0.2, 0.3, 0.5])
    assert report["classes"] == [5, 7, 9]
    assert report["contingency"] == [[2, 0, 1], [0, 0, 2], [0, 1, 0]]
    assert report["purity"] == pytest.approx(5 / 6)
    assert report["accuracy"] == pytest.approx(5 / 6)


def test_purity_and_accuracy_differ_where_clusters_share_a_class():
    report = describe_clusters(torch.tensor([0, 0, 1, 1]), HALF, torch.tensor([0, 0, 0, 1]))
    assert report["purity"] == 0.75
    assert report["accuracy"] == 0.75
    report = describe_clusters(torch.tensor([0, 0, 1, 1, 1]), HALF, torch.tensor([0, 0, 0, 0, 1]))
    assert report["purity"] == pytest.approx(4 / 5)
    assert report["accuracy"] == pytest.approx(3 / 5)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6).flatmap(lambda k: rows(rows(st.integers(0, 50), k), k)))
def test_best_matching_is_the_best_of_all(table):
    k = len(table)
    every = (sum(table[i][p[i]] for i in range(k)) for p in itertools.permutations(range(k)))
    assert best_matching(table) == max(every)


def test_ten_classes_are_matched():
    index = torch.arange(1000) % 10
    report = describe_clusters(index, torch.full((10,), 0.1), (index * 3 + 1) % 10)
    assert report["accuracy"] == 1.0


def test_accuracy_needs_as_many_classes_as_clusters():
    assert "accuracy" not in describe_clusters(torch.tensor([0, 1, 0]), HALF, torch.tensor([0, 1, 2]))
    index = torch.arange(26) % 13
    assert "accuracy" not in describe_clusters(index, torch.full((13,), 1 / 13), index)


@pytest.mark.parametrize(
    "labels",
    [None, torch.rand(4), torch.zeros(4, 3, dtype=torch.long), torch.zeros(3, dtype=torch.long)],
    ids=["none", "real", "several", "other-length"],
)
def test_labels_that_are_no_classes_are_left_aside(labels):
    assert set(describe_clusters(torch.tensor([0, 1, 1, 0]), HALF, labels)) == {"proportions", "data_shares"}


def test_no_data():
    report = describe_clusters(torch.empty(0, dtype=torch.long), HALF, torch.empty(0, dtype=torch.long))
    assert report == {"proportions": [0.5, 0.5], "data_shares": [0.0, 0.0]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("text", ["cluster:k=3", "cluster:k=2,learnable=true", "cluster:k=[2,2]"])
def test_of_a_mapping_as_json(text, dtype):
    mapping = load_mapping(text, 4)
    y = torch.randn(100, 4, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    report = mapping.diagnose(y, mapping.assign(y))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["accuracy"] == report["purity"] == 1.0
    assert sum(report["proportions"]) == pytest.approx(1)
    assert sum(report["data_shares"]) == pytest.approx(1)
    assert sum(map(sum, report["contingency"])) == 100


def test_on_chosen_dimensions_through_the_core():
    mapping = load_mapping("cluster:k=3,dims=1-2", 4)
    y = torch.randn(50, 4)
    part, dims = clustering_of(mapping)
    assert dims == (1, 2)
    index = ClusterSpec(k=3).build(2).assign(y[:, 1:3])
    assert torch.equal(part.assign(y[:, 1:3]), index)
    assert diagnose(mapping, y, index)["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("index", "labels", "nmi"), [([0, 0], [3, 3], 1.0), ([0, 0], [3, 4], 0.0), ([0, 1], [3, 3], 0.0)]
)
def test_one_cluster_agrees_with_one_class_alone(index, labels, nmi):
    assert describe_clusters(torch.tensor(index), HALF, torch.tensor(labels))["nmi"] == nmi


def test_cohesion_is_1_where_no_class_is_torn_apart():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert describe_clusters(torch.tensor([0, 0, 0, 0, 1, 1]), HALF, labels)["cohesion"] == 1.0
    assert describe_clusters(torch.tensor([0, 1, 0, 1, 0, 1]), HALF, labels)["cohesion"] == 0.5
