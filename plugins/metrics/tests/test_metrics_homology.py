"""Are pieces and holes counted right, and is nothing counted that is not there?"""

import sys

import numpy as np
import pytest
import torch
from intel_metrics import homology as room
from intel_metrics.homology import distance_to_measure, homology

from intel_core import NotApplicableError, SpecError, parse_spec


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def ring(n, seed=0, spread=0.05):
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + spread * normal(n, 2, seed=seed + 1)


def count(points, **settings):
    return homology(points, **{"bootstraps": 20, "generator": seeded(0), **settings})


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(room, "CELLS", {1: 200, 2: 48, 3: 16})


def eight():
    return np.concatenate([ring(500, 1) - np.array([1, 0]), ring(500, 3) + np.array([1, 0])])


@pytest.mark.parametrize(
    ("points", "betti"),
    [
        (ring(600), (1, 1)),
        (eight(), (1, 2)),
        (np.concatenate([0.3 * normal(300, 2), 0.3 * normal(300, 2, seed=1) + [4, 0]]), (2, 0)),
        (np.concatenate([ring(500), 0.1 * normal(300, 2) + [5, 0]]), (2, 1)),
        (normal(600, 2), (1, 0)),
        (np.random.default_rng(0).uniform(size=(600, 2)), (1, 0)),
        (np.concatenate([0.2 * normal(300, 1), 0.2 * normal(300, 1, seed=1) + 3]), (2,)),
    ],
    ids=["circle", "figure eight", "two blobs", "circle and blob", "noise", "square filled", "two in one dimension"],
)
def test_betti_numbers(points, betti):
    found = count(points)
    assert found.betti == betti
    clear = [lives for dim, k in zip(found.lifetimes, betti, strict=True) for lives in dim[:k]]
    assert min(clear) > found.band
    # no matter in which units
    assert count(1000 * points).betti == betti
    assert count(1000 * points).band == pytest.approx(1000 * found.band, rel=1e-6)


def test_a_hollow_in_three_dimensions_and_none_in_a_ball():
    points = normal(1500, 3)
    sphere = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert count(sphere).betti == (1, 0, 1)
    assert count(normal(1500, 3)).betti == (1, 0, 0)


def test_strays_inside_do_not_fill_a_loop_but_many_points_do():
    inside = 0.5 * normal(300, 2, seed=9)
    assert count(np.concatenate([ring(600), inside[:6]])).betti == (1, 1)
    assert count(np.concatenate([ring(600), inside])).betti == (1, 0)


def test_the_band_is_rarely_exceeded_by_what_is_not_there():
    """Of 25 samples of one blob, none should show a loop or a second piece at 95 %, or very few."""
    wrong = sum(count(normal(200, 2, seed=s), mass=0.05, bootstraps=30).betti != (1, 0) for s in range(25))
    assert wrong <= 3


def test_more_points_make_the_band_narrower_and_more_confidence_wider():
    assert count(ring(2000)).band < count(ring(200)).band
    assert count(ring(300), level=0.5).band < count(ring(300), level=0.95).band


def test_a_confidence_needs_its_resamples():
    with pytest.raises(ValueError, match=r"a confidence of 0\.99 needs 99 resamples or more, not 98"):
        homology(ring(200), level=0.99, bootstraps=98)
    with pytest.raises(SpecError, match=r"level=0\.999 needs bootstraps=999 or more"):
        parse_spec("metrics", "betti:level=0.999")


@pytest.mark.parametrize(("level", "expected"), [(0.5, 20), (0.98, 49), (0.99, 99)])
def test_in_three_dimensions_there_are_as_many_resamples_as_the_level_needs(monkeypatch, level, expected):
    seen = []

    def resampled(points, at, mass, counts):
        seen.append(len(counts))
        return np.ones(len(at)), np.ones(len(counts))

    monkeypatch.setattr(room, "_resampled", resampled)
    homology(normal(50, 3), level=level, bootstraps=100 if level > 0.9 else 30)
    assert seen == [expected]


def test_distance_to_measure_against_naive_loops():
    points, at = normal(30, 2), normal(7, 2, seed=1)
    away = np.sort(np.linalg.norm(points[None] - at[:, None], axis=-1), axis=1)
    assert distance_to_measure(points, at, 0.2) == pytest.approx(np.sqrt((away[:, :6] ** 2).mean(1)), rel=1e-12)
    assert distance_to_measure(points, at, 0.001) == pytest.approx(away[:, 0], rel=1e-12)


@pytest.mark.parametrize("pairs", [1 << 19, 200])
def test_resamples_are_those_of_the_resampled_points(monkeypatch, pairs):
    monkeypatch.setattr(room, "_NEIGHBOURS", pairs)
    points, at = normal(150, 2), normal(11, 2, seed=1)
    drawn = np.random.default_rng(2).integers(150, size=(4, 150))
    counts = np.stack([np.bincount(row, minlength=150) for row in drawn])
    values, worst = room._resampled(points, at, 0.1, counts)
    assert values == pytest.approx(distance_to_measure(points, at, 0.1), rel=1e-12)
    expected = [np.abs(distance_to_measure(points[row], at, 0.1) - values).max() for row in drawn]
    assert worst == pytest.approx(expected, rel=1e-9)


def test_the_same_seed_gives_the_same():
    assert count(ring(200)) == count(torch.from_numpy(ring(200)))
    assert count(ring(200)).band != count(ring(200), generator=seeded(1)).band


def test_what_is_refused(monkeypatch):
    with pytest.raises(NotApplicableError, match="at most 3 dimensions, not 4"):
        count(normal(50, 4))
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(NotApplicableError, match=r"pip install 'intelvae-metrics\[topology\]'"):
        count(normal(50, 2))


def test_the_first_piece_is_there_however_wide_the_band():
    """On a line the grid ends near the samples, and a wide band exceeded the whole life of the only piece."""
    points = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    found = homology(points, mass=0.005, bootstraps=20)
    assert found.lifetimes[0][0] < found.band
    assert found.betti == (1,)
