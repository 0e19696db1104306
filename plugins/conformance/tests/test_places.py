"""Are points moved onto declared places, and invalid places recognised?"""

from __future__ import annotations

import pytest
import torch
from intel_conformance.places import away_from, distance, onto, problem_of

from intel_core import Locus, Properties

SEAM, RAY, CENTRE = Locus((1,), (0.5,)), Locus((0, 1), (0.0, 0.0), (0.6, 0.8)), Locus((0, 2), (1.0, -1.0))


@pytest.mark.parametrize("place", [SEAM, RAY, CENTRE])
def test_points_of_a_place_are_at_distance_0(place: Locus) -> None:
    y = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = y.clone()
    moved = onto(place, y)
    assert float(distance(place, moved).max()) < 1e-12
    assert torch.equal(y, before)
    free = [d for d in range(3) if d not in place.dims]
    assert torch.equal(moved[:, free], y[:, free])


def test_a_ray_has_a_beginning() -> None:
    y = torch.tensor([[0.6, 0.8], [-0.6, -0.8], [-0.8, 0.6]])
    assert distance(RAY, y).tolist() == pytest.approx([0, 1, 1], abs=1e-6)


def test_rows_near_any_place_are_left_out() -> None:
    y = torch.tensor([[1.0, 0.0, -1.0], [1.0, 0.51, 3.0], [5.0, 2.0, 5.0]])
    assert away_from(Properties(seams=(SEAM,), centres=(CENTRE,)), y, 0.1).tolist() == [[5.0, 2.0, 5.0]]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (Locus((), ()), "not different dimensions"),
        (Locus((0, 0), (0.0, 0.0)), "not different dimensions"),
        (Locus((3,), (0.0,)), "y has 3 dimensions"),
        (Locus((0,), (0.0, 1.0)), "2 coordinates for 1 dimensions"),
        (Locus((0,), (float("nan"),)), "not finite"),
        (Locus((0, 1), (0.0, 0.0), (1.0,)), "direction of 1 coordinates"),
        (Locus((0, 1), (0.0, 0.0), (1.0, 1.0)), "length 1.41421"),
    ],
)
def test_what_is_wrong_with_a_place(place: Locus, problem: str) -> None:
    assert problem in problem_of(place, 3)
    assert not problem_of(SEAM, 3)
