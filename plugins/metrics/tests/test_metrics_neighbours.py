"""Precision, recall, density and coverage: known cases, a double loop, invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_metrics import prdc
from intel_metrics.examples import sides
from intel_metrics.neighbours import nearest_distances, sampling_errors

from intel_core import parse_spec


def naive(real, generated, k):
    """The definitions, one pair after another."""

    def distance(a, b):
        return float(np.sqrt(((a - b) ** 2).sum()))

    def radius(points, i):
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    balls, own = [radius(real, i) for i in range(len(real))], [radius(generated, j) for j in range(len(generated))]
    inside = [[distance(x, y) <= r for y in generated] for x, r in zip(real, balls, strict=True)]
    recall = np.mean([any(distance(x, y) <= r for y, r in zip(generated, own, strict=True)) for x in real])
    precision = np.mean([any(inside[i][j] for i in range(len(real))) for j in range(len(generated))])
    density = np.sum(inside) / (k * len(generated))
    return precision, recall, density, np.mean([any(row) for row in inside])


seeds = st.integers(0, 2**31)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(5, 20), m=st.integers(5, 20), d=st.integers(1, 4), k=st.integers(1, 4))
def test_it_agrees_with_a_double_loop(seed, n, m, d, k):
    rng = np.random.default_rng(seed)
    real, generated = rng.normal(size=(n, d)), 0.7 * rng.normal(size=(m, d)) + 0.5
    assert prdc(real, generated, k)[:4] == pytest.approx(naive(real, generated, k))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, k=st.integers(1, 5))
def test_orders_and_rotations_change_nothing(seed, k):
    rng = np.random.default_rng(seed)
    real, generated = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) + 0.4
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = prdc(real, generated, k)
    assert prdc(rng.permutation(real), rng.permutation(generated), k) == pytest.approx(found)
    assert prdc(2 * real @ rotation - 1, 2 * generated @ rotation - 1, k) == pytest.approx(found)
    swapped = prdc(generated, real, k)
    assert (swapped.precision, swapped.recall) == (found.recall, found.precision)


def test_a_set_and_itself():
    x = np.random.default_rng(0).normal(size=(600, 5))  # more than are looked at in one go
    found = prdc(x, x.copy(), 4)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # Each point is in the ball of itself and of those that have it among their neighbours, k on average.
    assert found.density == pytest.approx(5 / 4)


def test_sets_far_apart():
    x = np.random.default_rng(0).normal(size=(100, 5))
    assert prdc(x, x + 1000)[:4] == (0, 0, 0, 0)
    assert prdc(x, x + 1000).precision_error > 0


def test_one_kind_out_of_two():
    """Real data of two kinds, generated ones of the first: all likely, half of the kinds."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2)) + 50 * (np.arange(400) % 2)[:, None]
    found = prdc(real, rng.normal(size=(400, 2)))
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_two_samples_of_one_distribution_have_density_near_one():
    rng = np.random.default_rng(0)
    found = prdc(rng.normal(size=(1000, 3)), rng.normal(size=(1000, 3)))
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage > 0.9


def test_a_point_is_not_its_own_neighbour():
    assert nearest_distances(np.array([[0.0], [1.0], [1.0], [5.0]]), 2).tolist() == [1, 1, 1, 4]


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="more than 5 rows, there are 5"):
        prdc(np.zeros((5, 1)), np.zeros((9, 1)), 5)


@pytest.mark.parametrize("bad", [np.zeros((9, 2)), np.full((9, 1), np.inf), np.zeros(9)])
def test_other_features_are_refused(bad):
    with pytest.raises(ValueError, match="features"):
        prdc(np.zeros((9, 1)), bad, 2)


@pytest.mark.promptly("alike")
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (0.8, 0.3), (0.3, 0.0), (1.0, 2.0)], ids=["alike", "near", "narrow", "beside"]
)
def test_errors_are_those_of_drawing_both_sides_anew(scale, shift):
    """Against the spread over 40 draws. With the balls held fixed, they can be a fraction of it."""
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(500, 2)), scale * rng.normal(size=(500, 2)) + shift) for _ in range(40)]
    found = np.array([prdc(*both) for both in draws])
    spread, fixed = found[:, :4].std(axis=0, ddof=1), found[:, 4:].mean(axis=0)
    said = np.sqrt(np.mean(np.square([sampling_errors(*both) for both in draws]), axis=0))
    seen = spread > 0.005  # a share of 1 has the error of one that is not quite 1
    assert seen.sum() >= 2
    assert (said > 0.6 * spread)[seen].all()
    assert (said < 1.6 * spread)[seen].all()
    assert (said >= fixed).all()


def test_halves_are_seeded():
    both = np.random.default_rng(0).normal(size=(2, 100, 2))
    assert sampling_errors(*both, seed=1) == sampling_errors(*both, seed=1) != sampling_errors(*both, seed=2)


def test_few_rows_have_the_error_of_fixed_balls():
    both = np.random.default_rng(0).normal(size=(2, 39, 2))
    assert sampling_errors(*both) == prdc(*both)[4:]


def test_the_error_of_a_run_is_that_of_drawing_anew(subject_of):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3000, 2))).float()
    subject = subject_of(x, generated=torch.from_numpy(rng.normal(size=(300, 2))).float())
    (found,) = [parse_spec("metrics", "prdc:extractor=raw,n=300").measure(subject)]
    sides_of = sides(subject, 300, seed=0)
    both = sides_of.real.double().numpy(), sides_of.generated.double().numpy()
    for number, error in zip(found.numbers.values(), sampling_errors(*both), strict=True):
        assert number.error == pytest.approx(error)
