"""Do the synthetic sets say where their manifold is: distances, even points, Betti numbers?"""

import math

import numpy as np
import pytest
import torch
from intel_datasets.synthetic import BETTI, CURVES, SHAPES, along_manifold, sample
from scipy.spatial import cKDTree

from intel_core import DataError, OnManifold, Shaped, parse_spec

LENGTH = {"circle": 4 * math.pi, "square": 8 * math.sqrt(2), "three_loops": 4 * math.pi}


def test_who_has_a_support_and_who_a_shape():
    for name in SHAPES:
        spec = parse_spec("datasets", name)
        assert isinstance(spec, OnManifold) == (name in CURVES)
        assert isinstance(spec, Shaped)
        assert spec.betti == BETTI[name]
    assert not isinstance(parse_spec("datasets", "digits"), OnManifold | Shaped)


@pytest.mark.parametrize("name", CURVES)
def test_even_points_lie_on_it_and_leave_no_gap(name):
    points = along_manifold(name, 2000)
    spec = parse_spec("datasets", f"{name}:standardize=true")
    assert float(spec.distance_to_manifold(torch.from_numpy(points)).max()) < 1e-6
    assert torch.equal(spec.along_manifold(2000), torch.from_numpy(points))
    drawn = sample(name, 3000, torch.Generator().manual_seed(0)).numpy()
    gaps, _ = cKDTree(points).query(drawn)
    assert gaps.max() < (0.15 if name == "sphere" else 0.01)


@pytest.mark.parametrize("name", [name for name in CURVES if name != "sphere"])
def test_neighbours_are_equally_far_along_the_curve(name):
    points = along_manifold(name, 4800)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    middle = np.median(steps)
    if name in LENGTH:
        assert middle == pytest.approx(LENGTH[name] / 4800, rel=1e-3)
    # But where a corner is cut, and from one loop to the next.
    assert np.sum(np.abs(steps / middle - 1) > 0.01) <= 12


def test_even_points_of_the_sphere_are_even_by_area():
    points = along_manifold("sphere", 5000)
    for axis in range(3):  # by Archimedes the coordinates of a uniform point are uniform
        share = np.histogram(points[:, axis], bins=10, range=(-2, 2))[0] / 5000
        assert np.abs(share - 0.1).max() < 0.005


def test_what_is_refused():
    with pytest.raises(DataError, match="'mixture' has no manifold"):
        along_manifold("mixture", 3)
    with pytest.raises(DataError, match="0 points were asked for"):
        along_manifold("circle", 0)
