"""Does the mapping declare where it is not smooth, and how steep it may be, and is that so?"""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_cluster import ClusterSpec
from intel_cluster.simplex import MOST_WITH_ALL, corners
from intel_conformance.places import distance, problem_of

paper = partial(ClusterSpec, preset="paper")

SPECS = [
    {"k": 3},
    {"k": 2, "phase": 0.3},
    {"k": 5, "c1": 1.0, "c2": 0.5},
    {"k": 3, "proportions": [0.1, 0.8, 0.1]},
    {"k": [2, 3]},
    {"k": 3, "form": "smooth", "eps": 0.1},
    {"k": 2, "split": "simplex", "proportions": [0.3, 0.7]},
    {"k": 3, "split": "simplex", "proportions": [0.2, 0.3, 0.5]},
    {"k": 4, "split": "simplex"},
    {"k": 5, "split": "simplex", "c1": 1.0, "c2": 0.5, "proportions": [0.1, 0.1, 0.2, 0.3, 0.3]},
    {"k": [2, 3], "split": "simplex", "learnable": True},
]


def test_places_of_a_product():
    declared = paper(k=[2, 3]).build(7).properties
    assert (declared.continuous, declared.injective, declared.clusters) == (True, True, 6)
    assert declared.planes == ((0, 1), (2, 3))
    assert [place.dims for place in declared.centres] == [(0, 1), (2, 3)]
    directions = [place.directions[0] for place in declared.seams if place.dims == (0, 1)]
    assert directions == [(1.0, 0.0), (-1.0, 0.0)]
    assert len([place for place in declared.seams if place.dims == (2, 3)]) == 6  # three borders, three bisectors


def test_a_line_has_one_seam_and_no_centre():
    declared = paper(k=2, proportions=[0.25, 0.75]).build(1).properties
    assert declared.centres == ()
    (seam,) = declared.seams
    assert seam.codimension == 1
    assert seam.point[0] == pytest.approx(-0.6744897501960817)  # the quartile of N(0, 1)


@pytest.mark.parametrize(("k", "seams"), [(2, 1), (3, 3 + 3), (4, 6 + 12), (10, 45 + 360), (11, 11), (50, 50)])
def test_places_of_a_simplex(k, seams):
    """Facets between two cells, kinks where two others are equally near; of many cells only neighbours' facets."""
    mapping = ClusterSpec(k=k, proportions=[1 / k] * k).build(k)
    declared = mapping.properties
    assert len(declared.seams) == seams
    assert len(declared.centres) == (k > 2)
    assert {place.codimension for place in declared.seams} == {1}
    assert declared.planes == (((0, 1),) if k > 2 else ())
    for place in declared.seams[:60]:
        assert problem_of(place, k) == ""


@pytest.mark.parametrize("spec", [{"k": 3}, {"k": 4}, {"k": 7, "learnable": True}, {"k": 10}, {"k": [2, 4]}], ids=str)
def test_where_the_cluster_changes_a_seam_is_declared(spec):
    """Found by halving segments between draws of two clusters."""
    mapping = ClusterSpec(**{"learnable": False, **spec}).build(9).double()
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    low, high = torch.randn(2, 60, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first = mapping.assign(low)
    apart = first != mapping.assign(high)
    low, high, first = low[apart], high[apart], first[apart]
    assert len(low) > 20
    for _ in range(60):
        middle = (low + high) / 2
        same = (mapping.assign(middle) == first).unsqueeze(-1)
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    nearest = torch.stack([distance(place, low) for place in mapping.properties.seams]).amin(0)
    assert nearest.max() < 1e-9


@pytest.mark.parametrize("k", [3, 5, MOST_WITH_ALL])
def test_within_a_cell_the_slope_turns_only_at_declared_kinks(k):
    """Along a segment within a cell, the second nearest corner changes where a kink is declared."""
    mapping = ClusterSpec(k=k, learnable=False).build(k - 1)

    def second(y):
        return (y @ corners(k).T).topk(2).indices[:, 1]

    low, high = torch.randn(2, 400, k - 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    keep = (mapping.assign(low) == mapping.assign(high)) & (second(low) != second(high))
    low, high = low[keep], high[keep]
    before = second(low)
    assert len(low) > 10
    for _ in range(60):
        middle = (low + high) / 2
        same = (second(middle) == before).unsqueeze(-1)
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    nearest = torch.stack([distance(place, low) for place in mapping.properties.seams]).amin(0)
    assert nearest.max() < 1e-9


def test_a_wide_sector_has_no_seam_along_its_bisector():
    declared = paper(k=2, proportions=[0.2, 0.8]).build(2).properties
    angles = sorted(math.atan2(*reversed(place.directions[0])) % (2 * math.pi) for place in declared.seams)
    assert angles == pytest.approx([0, 0.2 * math.pi, 0.4 * math.pi])


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_smooth_away_from_the_declared_places(spec):
    """Where no seam is near, second differences shrink with the square of the step; on a seam they do not."""
    mapping = paper(**spec).build(4)
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(4000, 4, dtype=torch.float64, generator=generator)
    along = torch.randn(4000, 4, dtype=torch.float64, generator=generator)
    along = along / along.norm(dim=-1, keepdim=True)
    for place in (*mapping.properties.seams, *mapping.properties.centres):
        y = y[distance(place, y) > 0.15]
    along = along[: len(y)]
    assert len(y) > 300
    h = 1e-3
    second = (mapping(y + h * along) - 2 * mapping(y) + mapping(y - h * along)).norm(dim=-1) / h**2
    # The steepest curvature at 0.15 from a seam is that of the displacement, a perpendicular from a ray aside.
    c1, c2 = mapping.splits[0].displacement.c1, mapping.splits[0].displacement.c2
    assert second.max() < 2 * c1 * c2 * 0.15 ** (c2 - 2)


@pytest.mark.promptly(
    "{'k': 3}",
    "{'k': 3, 'form': 'smooth', 'eps': 0.1}",
    "{'k': [2, 3]}",
    "{'k': 4, 'split': 'simplex'}",
    "{'k': 2, 'split': 'simplex', 'proportions': [0.3, 0.7]}",
)
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
