"""Do clusters agree with classes? Independent implementations, known tables, a mapping with known shares."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_metrics import matched_accuracy, normalised_mutual_information, purity
from intel_metrics.specs.clusters import ClustersSpec

from intel_core import NotApplicableError, Subject, fit
from intel_core.helpers.contingency import contingency_table

seeds = st.integers(0, 2**31)


def drawn(seed, clusters, classes, n=60):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, n)
    cluster = np.where(rng.random(n) < rng.random(), target % clusters, rng.integers(0, clusters, n))
    return cluster, target


@settings(max_examples=40, deadline=None)
@given(seed=seeds, clusters=st.integers(1, 5), classes=st.integers(1, 5))
def test_the_best_matching_is_the_best_of_all(seed, clusters, classes):
    cluster, target = drawn(seed, clusters, classes)
    table = contingency_table(torch.tensor(cluster), torch.tensor(target), clusters, classes)
    size = max(clusters, classes)
    square = np.zeros((size, size))
    square[:clusters, :classes] = table
    best = max(sum(square[i, p[i]] for i in range(size)) for p in itertools.permutations(range(size)))
    assert matched_accuracy(table) == pytest.approx(best / 60)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_order_of_clusters_and_classes_means_nothing(seed):
    cluster, target = drawn(seed, 4, 3)
    table = contingency_table(torch.tensor(cluster), torch.tensor(target), 4, 3)
    rng = np.random.default_rng(seed)
    other = table[rng.permutation(4)][:, rng.permutation(3)]
    assert matched_accuracy(other) == matched_accuracy(table)


def test_one_cluster_for_each_class_and_one_for_all():
    assert matched_accuracy(np.array([[0, 7], [3, 0]])) == 1
    all_in_one = np.array([[7, 3], [0, 0]])
    assert (matched_accuracy(all_in_one), purity(all_in_one)) == (0.7, 0.7)
    assert normalised_mutual_information(all_in_one) == 0


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """Two clusters of prior shares 1/4 and 3/4, and labels that follow the first coordinate."""
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    settings = {"mapping": "cluster:k=2,proportions=[0.25,0.75]", "latent": 2, "steps": 20, "device": "cpu"}
    run = fit(data=x, labels=(x[:, 0] > 0).long(), run_dir=tmp_path_factory.mktemp("runs") / "r", **settings)
    return run, x


def test_shares_of_prior_and_data(unequal):
    run, x = unequal
    found = ClustersSpec(n=20_000).measure(Subject(run, dataset=_dataset(run, x)))
    numbers = found.numbers
    for i, share in enumerate((0.25, 0.75)):
        assert numbers[f"prior in cluster {i}"].value == pytest.approx(share, abs=0.015)
        assert numbers[f"prior in cluster {i}"].error == pytest.approx(0.003, abs=2e-4)
        assert numbers[f"data in cluster {i}"].beside["the mapping says"] == pytest.approx(share, abs=1e-6)
    data = [numbers[f"data in cluster {i}"].value for i in range(2)]
    assert sum(data) == pytest.approx(1)
    assert numbers["distance of shares"].value == pytest.approx(abs(data[0] - 0.25), abs=1e-6)
    assert 0 < numbers["distance of shares"].beside["draws of the prior, as many"] < 0.1
    assert not any(name.startswith("learned") for name in numbers)
    assert sum(map(sum, found.details["contingency"])) == 40
    assert numbers["nmi"].beside["shuffled labels"] < 0.3
    assert "one cluster for all" in numbers["purity"].beside


def _dataset(run, x):
    from intel_core import make_dataset

    return make_dataset("array", x, (x[:, 0] > 0).long())


def test_learned_proportions_are_said(tmp_path):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    run = fit(data=x, mapping="cluster:k=2,learnable=true", steps=5, latent=2, run_dir=tmp_path / "r", device="cpu")
    from intel_core import make_dataset

    found = ClustersSpec(n=100).measure(Subject(run, dataset=make_dataset("array", x)))
    learned = [found.numbers[f"learned share {i}"].value for i in range(2)]
    assert learned == pytest.approx(run.model.mapping.proportions().tolist())
    assert found.protocol["proportions"] == "learned"
    assert found.notes == ("There are no classes to compare the clusters with.",)
    assert "nmi" not in found.numbers


def test_a_mapping_without_clusters(tmp_path):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    run = fit(data=x, mapping="identity", steps=2, latent=2, run_dir=tmp_path / "r", device="cpu")
    with pytest.raises(NotApplicableError, match="no clusters"):
        ClustersSpec().measure(Subject(run))
