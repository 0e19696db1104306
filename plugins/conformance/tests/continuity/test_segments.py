"""Do segments lie where they are wanted?"""

from __future__ import annotations

import pytest
import torch
from intel_conformance.continuity.segments import crossing, points_of, random_segments

from intel_core.mappings.properties import Locus


def drawer(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_segments_are_reproducible_and_of_many_lengths():
    starts, ends = random_segments(200, 4, drawer(3))
    again = random_segments(200, 4, drawer(3))
    assert torch.equal(starts, again[0])
    assert torch.equal(ends, again[1])
    lengths = (ends - starts).norm(dim=-1)
    assert lengths.min() < 0.01
    assert lengths.max() > 3
    assert starts.dtype == ends.dtype == torch.float64
    assert starts.shape == ends.shape == (200, 4)


@pytest.mark.parametrize(
    "place", [Locus((1,), (0.5,)), Locus((0, 2), (0.3, 0.0), ((0.6, 0.8),)), Locus((2, 1), (0.0, 0.0), ((-1.0, 0.0),))]
)
def test_crossings_cross_seams_off_the_grid(place):
    starts, ends = crossing(place, 50, 3, drawer(2))
    begin, finish = (y[:, list(place.dims)] - torch.tensor(place.point).double() for y in (starts, ends))
    if not place.directions:
        low, high = begin[:, 0], finish[:, 0]
    else:
        ((along, across),) = place.directions
        turned = torch.tensor([-across, along]).double()
        low, high = begin @ turned, finish @ turned
    assert (low * high < 0).all()
    share = low / (low - high)
    assert ((share > 0.14) & (share < 0.86)).all()
    assert ((share * 256) % 1 > 1e-3).all()
    if place.directions:
        ray = torch.tensor(place.directions[0]).double()
        assert ((begin + share.unsqueeze(-1) * (finish - begin)) @ ray > 0).all()


def test_crossings_of_a_cone_cross_it_within():
    """A quarter of the plane at y1 = 0.5, in three of four dimensions."""
    place = Locus((3, 1, 0), (0.0, 0.5, 0.0), ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    starts, ends = crossing(place, 60, 4, drawer(2))
    low, high = starts[:, 1] - 0.5, ends[:, 1] - 0.5
    assert (low * high < 0).all()
    at = starts + (low / (low - high)).unsqueeze(-1) * (ends - starts)
    assert (at[:, [0, 3]] > 0).all()
    assert at[:, [0, 3]].amin() < 1e-3
    assert at[:, [0, 3]].amax() > 1


@pytest.mark.parametrize("d", [2, 3, 5])
def test_centres_are_passed_closely(d):
    place = Locus((0, 1), (0.5, 0.0))
    starts, ends = crossing(place, 60, d, drawer(2))
    begin, finish = (y[:, :2] - torch.tensor([0.5, 0.0]).double() for y in (starts, ends))
    way = finish - begin
    t = -(begin * way).sum(-1, keepdim=True) / way.square().sum(-1, keepdim=True)
    closest = (begin + t * way).norm(dim=-1)
    assert closest.max() < 0.11
    assert closest.min() < 1e-8


@pytest.mark.parametrize("draw", [crossing, points_of])
def test_a_place_in_another_space_is_refused(draw):
    with pytest.raises(ValueError, match="does not lie in 2"):
        draw(Locus((2,), (0.0,)), 1, 2, drawer(0))
