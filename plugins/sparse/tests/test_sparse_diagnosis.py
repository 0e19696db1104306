"""Does the diagnosis say what happened? Known gates, known classes, JSON."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_sparse import SparseSpec, gaussian_floor, hoyer_score
from intel_sparse.diagnosis import describe_sparsity, mean_jaccard_distance


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def one_dimension_per_class():
    labels = torch.arange(300) % 3
    gates = torch.eye(3, dtype=torch.float64)[labels]
    return normal(300, 3), gates, labels


def test_classes_with_a_dimension_each():
    y, gates, labels = one_dimension_per_class()
    report = describe_sparsity(y * gates, gates, labels + 5)
    assert report["hoyer"] == pytest.approx(1)
    assert report["mean_gate"] == pytest.approx(1 / 3)
    assert report["active_share"] == pytest.approx(1 / 3)
    assert report["active_dims"] == 3
    assert report["classes"] == [5, 6, 7]
    assert report["gates_by_class"] == torch.eye(3).tolist()
    assert report["class_gate_distance"] == 1


def test_the_same_gates_for_all():
    gates = torch.tensor([0.9, 0.1, 0.6, 0.4]).repeat(100, 1)
    report = describe_sparsity(normal(100, 4) * gates, gates, torch.arange(100) % 4)
    assert report["class_gate_distance"] == pytest.approx(0, abs=1e-12)
    assert report["active_share"] == 0.5
    assert report["active_dims"] == 2
    assert report["mean_gate"] == pytest.approx(0.5)


def test_a_dimension_is_in_use_from_one_percent_on():
    gates = torch.zeros(200, 3)
    gates[:2, 0] = 1.0  # one percent
    gates[:1, 1] = 1.0
    assert describe_sparsity(normal(200, 3), gates, None)["active_dims"] == 1


def test_of_a_mapping():
    torch.manual_seed(0)
    mapping = SparseSpec().build(4)
    y, labels = normal(60, 4).float(), torch.arange(60) % 2
    report = mapping.diagnose(y, labels)
    gates = mapping.gates(y).detach().numpy().astype(float)
    assert report["hoyer"] == pytest.approx(hoyer_score(mapping(y)), rel=1e-6)
    assert report["gaussian_floor"] == gaussian_floor(4)
    assert report["mean_gate"] == pytest.approx(gates.mean(), rel=1e-6)
    np.testing.assert_allclose(report["gates_by_class"], [gates[0::2].mean(0), gates[1::2].mean(0)], rtol=1e-6)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(
    "labels",
    [None, torch.zeros(50), torch.zeros(50, 2, dtype=torch.long), torch.zeros(49, dtype=torch.long)],
    ids=["none", "real", "several", "short"],
)
def test_labels_that_are_no_classes_are_left_aside(labels):
    report = SparseSpec().build(3).diagnose(normal(50, 3), labels)
    assert set(report) == {"gaussian_floor", "hoyer", "mean_gate", "active_share", "active_dims"}


def test_too_many_classes_and_a_single_one():
    mapping = SparseSpec().build(3)
    assert "classes" not in mapping.diagnose(normal(1001, 3), torch.arange(1001))
    single = mapping.diagnose(normal(20, 3), torch.zeros(20, dtype=torch.long))
    assert len(single["gates_by_class"]) == 1
    assert "class_gate_distance" not in single


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_a_single_one(n):
    report = SparseSpec().build(3).diagnose(normal(n, 3), torch.zeros(n, dtype=torch.long))
    json.dumps(report, allow_nan=False)
    assert ("hoyer" in report) == (n > 0)


def test_half_precision_and_no_gradient():
    mapping = SparseSpec().build(3)
    report = mapping.diagnose(normal(40, 3).bfloat16().requires_grad_(), torch.arange(40) % 2)
    json.dumps(report, allow_nan=False)
    assert all(parameter.grad is None for parameter in mapping.parameters())


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda d: st.lists(st.lists(st.floats(0, 1), min_size=d, max_size=d), min_size=2, max_size=6)
    )
)
def test_distance_against_a_loop(profiles):
    each = []
    for a, b in itertools.combinations(profiles, 2):
        union = sum(max(pair) for pair in zip(a, b, strict=True))
        shared = sum(min(pair) for pair in zip(a, b, strict=True))
        each.append(1 - shared / union if union > 0 else 0.0)
    report = mean_jaccard_distance(torch.tensor(profiles, dtype=torch.float64))
    assert report == pytest.approx(sum(each) / len(each), abs=1e-9)
    assert -1e-12 <= report <= 1 + 1e-12


def test_distance_needs_a_pair():
    with pytest.raises(ValueError, match="a distance needs two rows, there are 1"):
        mean_jaccard_distance(torch.ones(1, 3))
