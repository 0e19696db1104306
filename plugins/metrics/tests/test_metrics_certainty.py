"""Which share is uncertain, which share shows which class? Known classifiers and counts."""

import pytest
import torch
from intel_metrics import certainty
from intel_metrics.shares import share_error
from intel_metrics.specs.images import CertaintySpec


def test_exactly_the_threshold_is_certain():
    found = certainty(torch.tensor([[0.8, 0.2], [0.79, 0.21], [0.5, 0.5]], dtype=torch.float64), 0.8)
    assert found.uncertain == pytest.approx(2 / 3)


def test_shares_are_of_the_likeliest_class():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.9, 0.1, 0.0], [0.9, 0.0, 0.1]])
    assert certainty(p).shares == (0.75, 0, 0.25)


def test_the_error_of_a_share_is_that_of_repetitions():
    draws = torch.rand(4000, 200, generator=torch.Generator().manual_seed(0)) < 0.1
    assert share_error(0.1, 200) == pytest.approx(float(draws.float().mean(1).std()), rel=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_count_of_none_or_all_is_not_exact(share):
    assert 1 / 300 < share_error(share, 100) < 3 / 100


def test_what_is_generated_is_what_is_counted(subject_of, stripes):
    """Three of four generated images are of class 1, another fifth is grey and uncertain."""
    x, labels = stripes
    ones, zeros, grey = x[labels == 1][:150], x[labels == 0][:50], torch.full((50, 1, 8, 8), 127, dtype=torch.uint8)
    subject = subject_of(x, labels, generated=torch.cat([ones, zeros, grey]).float() / 255)
    found = CertaintySpec(n=250).measure(subject)
    numbers = found.numbers
    assert numbers["uncertain"].value == pytest.approx(20, abs=3)
    assert numbers["uncertain"].beside["real test data"] < 3
    assert 60 - 1 <= numbers["share of 1"].value <= 80 + 1
    assert numbers["share of 0"].value + numbers["share of 1"].value == pytest.approx(100)
    assert numbers["share of 1"].beside["real test data, labels"] == pytest.approx(
        100 * float(subject.labels("test").double().mean())
    )
    assert numbers["classifier accuracy"].value > 95
    assert numbers["classifier accuracy"].beside["most frequent class"] < 70
    protocol = found.protocol
    assert (protocol["n"], protocol["below"], protocol["classifier"]["name"]) == (250, 0.8, "logistic")
    assert protocol["hash"] == protocol["classifier"]["hash"]


def test_images_too_bright_are_clipped_as_real_ones_are(subject_of, stripes):
    x, labels = stripes
    clipped = (2 * x.float() / 255).clamp(0, 1)
    found = [
        CertaintySpec(n=400).measure(subject_of(x, labels, generated=images)).numbers
        for images in (2 * x.float() / 255, clipped)
    ]
    assert found[0] == found[1]


def test_classes_of_one_name_are_told_apart_by_their_labels(subject_of, stripes):
    x, labels = stripes
    subject = subject_of(x, labels, generated=x[:100].float() / 255, class_names=("striped", "striped"))
    numbers = CertaintySpec(n=100).measure(subject).numbers
    assert numbers["share of striped (0)"].value + numbers["share of striped (1)"].value == pytest.approx(100)
