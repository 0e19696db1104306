"""Does the mapping declare where it is not smooth, and how steep it may be, and is that so?"""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_cluster import ClusterSpec

paper = partial(ClusterSpec, preset="paper")

SPECS = [
    {"k": 3},
    {"k": 2, "phase": 0.3},
    {"k": 5, "c1": 1.0, "c2": 0.5},
    {"k": 3, "proportions": [0.1, 0.8, 0.1]},
    {"k": [2, 3]},
    {"k": 3, "form": "smooth", "eps": 0.1},
    {"k": 2, "split": "simplex", "proportions": [0.3, 0.7]},
]


def test_places_of_a_product():
    declared = paper(k=[2, 3]).build(7).properties
    assert (declared.continuous, declared.injective, declared.clusters) == (True, True, 6)
    assert declared.planes == ((0, 1), (2, 3))
    assert [place.dims for place in declared.centres] == [(0, 1), (2, 3)]
    directions = [place.direction for place in declared.seams if place.dims == (0, 1)]
    assert directions == [(1.0, 0.0), (-1.0, 0.0)]
    assert len([place for place in declared.seams if place.dims == (2, 3)]) == 6  # three borders, three bisectors


def test_a_line_has_one_seam_and_no_centre():
    declared = paper(k=2, proportions=[0.25, 0.75]).build(1).properties
    assert declared.centres == ()
    (seam,) = declared.seams
    assert seam.codimension == 1
    assert seam.point[0] == pytest.approx(-0.6744897501960817)  # the quartile of N(0, 1)


def test_a_wide_sector_has_no_seam_along_its_bisector():
    declared = paper(k=2, proportions=[0.2, 0.8]).build(2).properties
    angles = sorted(math.atan2(*reversed(place.direction)) % (2 * math.pi) for place in declared.seams)
    assert angles == pytest.approx([0, 0.2 * math.pi, 0.4 * math.pi])


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_smooth_away_from_the_declared_places(spec):
    """Where no seam is near, second differences shrink with the square of the step; on a seam they do not."""
    mapping = paper(**spec).build(4)
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(4000, 4, dtype=torch.float64, generator=generator)
    along = torch.randn(4000, 4, dtype=torch.float64, generator=generator)
    along = along / along.norm(dim=-1, keepdim=True)
    far = torch.full((len(y),), True)
    for place in (*mapping.properties.seams, *mapping.properties.centres):
        away = y[:, list(place.dims)] - torch.tensor(place.point)
        if place.direction is not None:
            ray = torch.tensor(place.direction, dtype=torch.float64)
            away = away - (away @ ray).clamp(min=0).unsqueeze(-1) * ray
        far &= away.norm(dim=-1) > 0.15
    assert far.sum() > 500
    h = 1e-3
    second = (mapping(y + h * along) - 2 * mapping(y) + mapping(y - h * along)).norm(dim=-1) / h**2
    # The steepest curvature at 0.15 from a seam is that of the displacement, a perpendicular from a ray aside.
    c1, c2 = mapping.splits[0].displacement.c1, mapping.splits[0].displacement.c2
    assert second[far].max() < 2 * c1 * c2 * 0.15 ** (c2 - 2)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@given(seed=st.integers(0, 2**32), distance=st.floats(-7, 0))
def test_hoelder_constant_holds(spec, seed, distance):
    mapping = paper(**spec).build(4)
    promise = mapping.properties.hoelder
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(200, 4, dtype=torch.float64, generator=generator)
    y[:100] *= 10 ** (distance / 2)  # near the centre
    step = torch.randn(200, 4, dtype=torch.float64, generator=generator)
    step *= 10**distance / step.norm(dim=-1, keepdim=True)
    moved = (mapping(y + step) - mapping(y)).norm(dim=-1)
    assert moved.max() <= promise.constant * (10**distance) ** promise.exponent
