"""Do samples of the synthetic sets follow the stated laws? Moments and uniformity by independent formulas."""

import cmath
import math

import numpy as np
import pytest
import torch
from intel_datasets.synthetic import CURVES, SHAPES, load, sample
from scipy import stats

from intel_core import DataError

N = 40_000


def draw(name, n=N, seed=0):
    return sample(name, n, torch.Generator().manual_seed(seed)).double().numpy()


def star_corners():
    """The star again, from complex numbers: five tips at radius 2, the first at 90°, five dents at radius 2/3."""
    tips = [2 * cmath.exp(1j * (math.pi / 2 + 2 * math.pi * k / 5)) for k in range(5)]
    dents = [2 / 3 * cmath.exp(1j * (math.pi / 2 + math.pi / 5 + 2 * math.pi * k / 5)) for k in range(5)]
    ring = [corner for pair in zip(tips, dents, strict=True) for corner in pair]
    return np.array([[c.real, c.imag] for c in ring])


def star_second_moment():
    """∫ p pᵀ over a segment from a to b, per length, is (aaᵀ + bbᵀ)/3 + (abᵀ + baᵀ)/6."""
    ring = star_corners()
    total, length = np.zeros((2, 2)), 0.0
    for a, b in zip(ring, np.roll(ring, -1, 0), strict=True):
        side = np.linalg.norm(b - a)
        total += side * ((np.outer(a, a) + np.outer(b, b)) / 3 + (np.outer(a, b) + np.outer(b, a)) / 6)
        length += side
    return np.diag(total / length)


SECOND_MOMENTS = {
    "circle": (2, 2),
    "square": (4 / 3, 4 / 3),  # half at |x| = √2, half uniform with variance 2/3
    "star": tuple(star_second_moment()),
    "infinity": (2, 1 / 2),
    "mixture": (4 + 0.09, 0.09),
    "sphere": (4 / 3, 4 / 3, 4 / 3),
    "three_loops": (2 / 9 + 32 / 27, 2 / 9),  # r²/2, plus the variance of the centres
}


@pytest.mark.parametrize("name", SHAPES)
def test_mean_and_second_moments(name):
    points = draw(name)
    error = 6 * points.std(0) / math.sqrt(N)
    assert (np.abs(points.mean(0)) < error).all()
    expected = SECOND_MOMENTS[name]
    spread = 6 * (points**2).std(0) / math.sqrt(N) + 1e-6
    assert points.shape == (N, len(expected))
    assert (np.abs((points**2).mean(0) - expected) < spread).all()
    cross = points[:, 0] * points[:, 1]
    assert abs(cross.mean()) < 6 * cross.std() / math.sqrt(N)


def test_the_circle_is_uniform_in_angle():
    points = draw("circle")
    angle = np.arctan2(points[:, 1], points[:, 0])
    assert stats.kstest(angle, "uniform", (-math.pi, 2 * math.pi)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "ring"),
    [("square", math.sqrt(2) * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])), ("star", star_corners())],
)
def test_polygons_are_uniform_along_their_perimeter(name, ring):
    points = draw(name)
    gaps, places = [], []
    for a, b in zip(ring, np.roll(ring, -1, 0), strict=True):
        side = b - a
        part = np.clip((points - a) @ side / (side @ side), 0, 1)
        gaps.append(np.linalg.norm(points - a - part[:, None] * side, axis=1))
        places.append(part)
    which = np.argmin(gaps, axis=0)
    assert np.min(gaps, axis=0).max() < 1e-6
    position = which + np.array(places)[which, np.arange(N)]  # all sides are equally long
    assert stats.kstest(position, "uniform", (0, len(ring))).pvalue > 1e-3


def test_infinity_is_uniform_in_t_not_in_length():
    points = draw("infinity")
    x, y = points[:, 0] / 2, points[:, 1] / 2
    assert np.abs(y**2 - x**2 * (1 - x**2)).max() < 1e-6  # the lemniscate of Gerono
    assert stats.kstest(x, stats.arcsine(-1, 2).cdf).pvalue > 1e-3  # the law of cos t
    assert abs((x > 0).mean() - 0.5) < 0.02
    assert abs((x * y > 0).mean() - 0.5) < 0.02


def test_every_coordinate_of_a_uniform_sphere_is_uniform():
    points = draw("sphere")
    assert np.abs(np.linalg.norm(points, axis=1) - 2).max() < 1e-6
    for axis in range(3):  # Archimedes' hat-box theorem
        assert stats.kstest(points[:, axis], "uniform", (-2, 4)).pvalue > 1e-3


def test_three_loops_carry_a_third_each_and_are_uniform():
    points = draw("three_loops")
    centres = np.array([-4 / 3, 0, 4 / 3])
    offset = points[:, None, :] - np.stack([centres, np.zeros(3)], 1)
    gap = np.abs(np.linalg.norm(offset, axis=2) - 2 / 3)
    which = gap.argmin(1)
    assert gap.min(1).max() < 1e-6
    assert stats.chisquare(np.bincount(which)).pvalue > 1e-3
    inside = offset[np.arange(N), which]
    assert stats.kstest(np.arctan2(inside[:, 1], inside[:, 0]), "uniform", (-math.pi, 2 * math.pi)).pvalue > 1e-3


def test_the_mixture_is_exactly_half_and_half_and_gaussian(load):
    data = load("mixture:n=1001")
    assert data.train.labels.bincount().tolist() == [501, 500]
    assert data.class_names == ("left", "right")
    whole = load(f"mixture:n={N}").train
    for k, centre in enumerate((-2, 2)):
        points = whole.x[whole.labels == k].double().numpy()
        assert stats.kstest(points[:, 0], stats.norm(centre, 0.3).cdf).pvalue > 1e-3
        assert stats.kstest(points[:, 1], stats.norm(0, 0.3).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_parts_have_their_sizes_and_do_not_repeat_each_other(name, load):
    data = load(f"{name}:n=100")
    assert (len(data.train), len(data.validation), len(data.test), data.support) == (100, 20, 20, "real")
    parts = [data.train.x[:20], data.validation.x, data.test.x]
    assert all(not torch.equal(a, b) for a, b in [(parts[0], parts[1]), (parts[1], parts[2]), (parts[0], parts[2])])
    assert (data.train.labels is None) == (name != "mixture")
    assert data.train.x.dtype == torch.float32


@pytest.mark.parametrize("name", SHAPES)
def test_the_seed_decides_everything_and_the_global_generator_nothing(name, load):
    before = torch.random.get_rng_state()
    first, again, other = load(name), load(name), load(f"{name}:data_seed=1")
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", CURVES)
def test_noise_has_its_standard_deviation_in_every_direction(name, load):
    clean = SECOND_MOMENTS[name]
    noisy = load(f"{name}:n={N},noise=0.5").train.x.double().numpy()
    error = 6 * (noisy**2).std(0) / math.sqrt(N)
    assert (np.abs((noisy**2).mean(0) - np.array(clean) - 0.25) < error).all()


def test_an_unknown_set_is_named_with_the_nearest():
    with pytest.raises(DataError, match="'stars'; did you mean 'star'"):
        sample("stars", 3, torch.Generator())


@pytest.mark.parametrize("name", ["infinity", "mixture"])
def test_standardised_points_and_the_way_back(name):
    plain, scaled = load(name, 2000, seed=3), load(name, 2000, seed=3, standardize=True)
    assert plain.scaling is None
    mean, std = (torch.tensor(numbers) for numbers in scaled.scaling)
    assert scaled.train.x.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(scaled.train.x.std(0, correction=0), torch.ones(2))
    for split in ("train", "validation", "test"):
        back = getattr(scaled, split).x * std + mean
        torch.testing.assert_close(back, getattr(plain, split).x, rtol=1e-5, atol=1e-5)
