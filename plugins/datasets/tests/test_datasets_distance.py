"""Is the distance to each manifold exact? Against dense polylines, and by its own laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_datasets.synthetic import CURVES, distance_to_manifold, sample

from intel_core import DataError

PLANAR = [name for name in CURVES if name != "sphere"]
coordinates = st.floats(-6, 6, allow_nan=False)
planes = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=20)
K = 4000


def ring(corners):
    corners = np.array(corners)
    return [np.linspace(a, b, K) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]


def dense(name):
    """Points along the curve, closely spaced, written down independently."""
    t = np.linspace(0, 2 * math.pi, 10 * K)
    unit = np.stack([np.cos(t), np.sin(t)], 1)
    if name == "circle":
        return 2 * unit
    if name == "infinity":
        return np.stack([2 * np.cos(t), np.sin(2 * t)], 1)
    if name == "three_loops":
        return np.concatenate([unit * 2 / 3 + [c, 0] for c in (-4 / 3, 0, 4 / 3)])
    a = math.sqrt(2)
    if name == "square":
        return np.concatenate(ring([(a, a), (-a, a), (-a, -a), (a, -a)]))
    angles = [math.pi / 2 + k * math.pi / 5 for k in range(10)]
    return np.concatenate(
        ring([((2, 2 / 3)[k % 2] * math.cos(v), (2, 2 / 3)[k % 2] * math.sin(v)) for k, v in enumerate(angles)])
    )


CURVE = {name: dense(name) for name in PLANAR}


@pytest.mark.parametrize("name", PLANAR)
@settings(deadline=None, max_examples=40)
@given(planes)
def test_it_agrees_with_a_dense_polyline(name, points):
    points = np.array(points)
    distance = distance_to_manifold(name, points)
    nearest = np.sqrt(((points[:, None, :] - CURVE[name]) ** 2).sum(2).min(1))
    # The polyline's points lie on the curve, so can only be further away, by less than half their spacing.
    assert (nearest - distance > -1e-6).all()
    assert (nearest - distance < 4e-4).all()


@pytest.mark.parametrize("name", CURVES)
def test_samples_are_at_distance_zero(name):
    points = sample(name, 2000, torch.Generator().manual_seed(1))
    assert distance_to_manifold(name, points).max() < 1e-6


@pytest.mark.parametrize("name", PLANAR)
@settings(deadline=None)
@given(planes, coordinates, coordinates)
def test_it_changes_no_faster_than_the_point_moves(name, points, dx, dy):
    points = np.array(points)
    moved = distance_to_manifold(name, points + np.array([dx, dy]))
    assert (np.abs(moved - distance_to_manifold(name, points)) <= math.hypot(dx, dy) + 1e-6).all()


@pytest.mark.parametrize(
    ("name", "point", "distance"),
    [
        ("circle", (0, 0), 2),
        ("circle", (3, 4), 3),
        ("sphere", (1, 2, 2), 1),
        ("sphere", (0, 0, 0), 2),
        ("square", (0, 0), math.sqrt(2)),
        ("square", (math.sqrt(2) + 3, math.sqrt(2) + 4), 5),
        ("star", (0, 3), 1),
        ("star", (0, 0), 2 / 3),
        ("infinity", (0, 0), 0),
        ("infinity", (2, 0), 0),
        ("infinity", (5, 0), 3),
        ("infinity", (-5, 0), 3),
        ("infinity", (math.sqrt(2), 2), 1),
        ("infinity", (-math.sqrt(2), -2), 1),
        ("three_loops", (0, 0), 2 / 3),
        ("three_loops", (2 / 3, 0), 0),
        ("three_loops", (3, 0), 1),
    ],
)
def test_known_distances(name, point, distance):
    assert distance_to_manifold(name, [point])[0] == pytest.approx(distance, abs=1e-7)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_infinity_stays_exact_far_away(scale):
    for angle in np.linspace(0, 2 * math.pi, 13):
        point = scale * np.array([math.cos(angle), math.sin(angle)])
        nearest = np.sqrt(((point - CURVE["infinity"]) ** 2).sum(1).min())
        assert distance_to_manifold("infinity", [point])[0] == pytest.approx(nearest, abs=1e-3)


def test_many_points_are_treated_alike():
    points = np.random.default_rng(0).normal(size=(20_001, 2))
    distance = distance_to_manifold("infinity", points)
    assert distance.shape == (20_001,)
    np.testing.assert_allclose(
        distance[[0, 8191, 8192, 20_000]], distance_to_manifold("infinity", points[[0, 8191, 8192, 20_000]])
    )


def test_no_points_have_no_distances():
    for name in PLANAR:
        assert distance_to_manifold(name, np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("name", "points", "message"),
    [
        ("mixture", [[0, 0]], "a mixture fills the plane"),
        ("cirle", [[0, 0]], "did you mean 'circle'"),
        ("circle", [0, 0], r"shape \(2,\), expected \(n, 2\)"),
        ("sphere", [[0, 0]], r"shape \(1, 2\), expected \(n, 3\)"),
        ("infinity", [[math.nan, 0]], "NaN or infinity"),
    ],
)
def test_what_has_no_distance_is_refused(name, points, message):
    with pytest.raises(DataError, match=message):
        distance_to_manifold(name, points)
