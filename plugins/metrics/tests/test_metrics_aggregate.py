"""Are the distances of samples right, and is the test's p what it says?"""

import math

import numpy as np
import pytest
import torch
from intel_metrics.aggregate import mmd_squared, permutation_test, prior_bandwidth, sliced_wasserstein
from scipy import stats
from scipy.spatial.distance import cdist


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.5, 1.0), (0.0, 0.4), (0.7, 1.6)])
def test_sliced_wasserstein_of_gaussians(shift, scale):
    width, n = 5, 5000
    move = torch.zeros(width, dtype=torch.float64)
    move[1] = shift
    found = sliced_wasserstein(scale * normal(n, width) + move, normal(n, width, seed=1), 500, generator=seeded(2))
    expected = math.sqrt(shift**2 / width + (scale - 1) ** 2)
    # Two samples of one distribution are not at distance 0.
    assert found == pytest.approx(expected, rel=0.06, abs=0.045)


def test_sliced_wasserstein_in_one_dimension_is_wasserstein():
    a, b = normal(300, 1), normal(300, 1, seed=1).square()
    assert sliced_wasserstein(a, b, 7, generator=seeded(0)) == pytest.approx(
        math.sqrt(np.mean((np.sort(a[:, 0].numpy()) - np.sort(b[:, 0].numpy())) ** 2)), rel=1e-12
    )
    assert sliced_wasserstein(a, a.flip(0), generator=seeded(0)) == 0


@pytest.mark.parametrize("bandwidth", [None, 0.3, 2.0])
def test_mmd_against_a_naive_double_loop(bandwidth):
    a, b = normal(12, 3), normal(12, 3, seed=1) + 0.5
    h = bandwidth or prior_bandwidth(3)

    def mean_k(u, v, same):
        terms = [
            math.exp(-float((u[i] - v[j]).square().sum()) / (2 * h * h))
            for i in range(12)
            for j in range(12)
            if not (same and i == j)
        ]
        return sum(terms) / len(terms)

    expected = mean_k(a, a, True) + mean_k(b, b, True) - 2 * mean_k(a, b, False)
    assert mmd_squared(a, b, bandwidth) == pytest.approx(expected, rel=1e-10)


def test_mmd_is_unbiased_and_estimates_its_closed_form():
    # with k of bandwidth h, E k(a, b) over N(m, I) x N(0, I) in one dimension is h/√(h² + 2) exp(-m²/2(h² + 2))
    shift, h = 0.8, 1.0
    height = h / math.sqrt(h**2 + 2)
    truth = 2 * height * (1 - math.exp(-(shift**2) / (2 * (h**2 + 2))))
    found = [mmd_squared(normal(30, 1, seed=s) + shift, normal(30, 1, seed=10_000 + s), h) for s in range(400)]
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / 20
    null = [mmd_squared(normal(30, 1, seed=s), normal(30, 1, seed=10_000 + s), h) for s in range(400)]
    assert abs(np.mean(null)) < 4 * np.std(null) / 20
    assert min(null) < 0


def test_permutations_are_divisions_of_all_points():
    """With every division of so few points among the permutations, p is the exact one."""
    a, b = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[2.5], [3.5], [4.5]])
    distance, discrepancy = permutation_test(a, b, permutations=4000, generator=seeded(0))
    # of 20 divisions only this one and its mirror image are as far apart
    assert distance.p == pytest.approx(0.1, abs=0.02)
    assert discrepancy.p == pytest.approx(0.1, abs=0.02)
    assert distance.value == pytest.approx(2.5)
    assert discrepancy.value == pytest.approx(mmd_squared(a, b), rel=1e-12)


def test_the_permuted_distances_are_those_of_the_permuted_samples():
    a, b = normal(15, 2), normal(15, 2, seed=1) + 1
    distance, _ = permutation_test(a, b, directions=20, permutations=19, generator=seeded(3))
    assert distance.value == pytest.approx(sliced_wasserstein(a, b, 20, generator=seeded(3)), rel=1e-12)


@pytest.mark.slow
def test_false_positives_are_as_frequent_as_the_level_and_misfits_are_found():
    p = np.array(
        [
            [t.p for t in permutation_test(normal(40, 3, seed=s), normal(40, 3, seed=9999 + s), **_few(s))]
            for s in range(300)
        ]
    )
    for column in p.T:
        rejected = int((column <= 0.1).sum())
        assert stats.binomtest(rejected, 300, 0.1).pvalue > 1e-3
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    shifted = [permutation_test(normal(40, 3) + 0.7, normal(40, 3, seed=s), **_few(s)) for s in range(1, 21)]
    assert np.mean([[t.p <= 0.1 for t in pair] for pair in shifted]) > 0.8
    narrow = [permutation_test(0.4 * normal(40, 3), normal(40, 3, seed=s), **_few(s)) for s in range(1, 21)]
    assert np.mean([[t.p <= 0.1 for t in pair] for pair in narrow]) > 0.8


def _few(seed):
    return {"directions": 10, "permutations": 39, "generator": seeded(seed)}


def test_what_is_refused():
    for call in (sliced_wasserstein, mmd_squared):
        with pytest.raises(ValueError, match="two samples of one shape"):
            call(normal(5, 2), normal(6, 2))
    with pytest.raises(ValueError, match="a bandwidth must be positive, not 0"):
        mmd_squared(normal(5, 2), normal(5, 2), 0.0)


def test_the_kernel_keeps_small_distances():
    a = normal(8, 2) * 1e-3 + 100
    b = normal(8, 2, seed=1) * 1e-3 + 100
    k = [np.exp(-cdist(u, v, "sqeuclidean") / 2e-6) for u, v in ((a, a), (b, b), (a, b))]
    expected = (k[0].sum() - 8) / 56 + (k[1].sum() - 8) / 56 - 2 * k[2].mean()
    assert mmd_squared(a, b, 1e-3) == pytest.approx(expected, rel=1e-6)
