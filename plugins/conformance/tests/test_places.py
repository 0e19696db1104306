"""Are points moved onto declared places, and invalid places recognised?"""

from __future__ import annotations

import pytest
import torch
from intel_conformance.places import distance, onto, problem_of, share_near, usual_rows

from intel_core import Locus, Properties

SEAM, RAY, CENTRE = Locus((1,), (0.5,)), Locus((0, 1), (0.0, 0.0), ((0.6, 0.8),)), Locus((0, 2), (1.0, -1.0))


CONE = Locus((2, 0, 1), (0.1, 0.2, 0.3), ((0.6, 0.8, 0.0), (0.0, -0.6, 0.8)))
WHOLE = Locus((0, 1), (1.0, 0.0), ((1.0, 0.0), (0.0, 1.0)))


@pytest.mark.parametrize("place", [SEAM, RAY, CENTRE, CONE, WHOLE])
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


def test_the_distance_from_a_cone_is_at_least_what_is_said_and_0_within() -> None:
    generator = torch.Generator().manual_seed(0)
    y = 2 * torch.randn(40, 3, dtype=torch.float64, generator=generator)
    ways = torch.tensor(CONE.directions, dtype=torch.float64)
    weights = torch.cartesian_prod(*[torch.linspace(0, 12, 400, dtype=torch.float64)] * 2)
    cone = torch.tensor(CONE.point, dtype=torch.float64) + weights @ ways
    exact = torch.cdist(y[:, [2, 0, 1]], cone).amin(1)
    said = distance(CONE, y)
    assert (said <= exact + 1e-9).all()
    assert (said > 0.5 * exact).all()  # so that few rows are left out without need
    inside = exact < 0.03
    assert (said[inside] < 0.03).all()


def test_rows_near_any_place_are_left_out() -> None:
    y = torch.tensor([[1.0, 0.0, -1.0], *[[5.0, 2.0, 5.0]] * 20])
    assert len(usual_rows(Properties(seams=(SEAM,), centres=(CENTRE,)), y, 0.1)) == 20
    assert share_near((SEAM, CENTRE), y, 0.1) == pytest.approx(1 / 21)


def test_no_declaration_leaves_out_most_rows() -> None:
    y = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    everywhere = Properties(seams=tuple(Locus((0,), (i / 100 - 4,)) for i in range(800)))
    assert 170 <= len(usual_rows(everywhere, y)) < 200


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (Locus((), ()), "not different dimensions"),
        (Locus((0, 0), (0.0, 0.0)), "not different dimensions"),
        (Locus((3,), (0.0,)), "y has 3 dimensions"),
        (Locus((0,), (0.0, 1.0)), "2 coordinates for 1 dimensions"),
        (Locus((0,), (float("nan"),)), "not finite"),
        (Locus((0, 1), (0.0, 0.0), ((1.0,),)), "direction of 1 coordinates"),
        (Locus((0, 1), (0.0, 0.0), ((1.0, 1.0),)), "length 1.41421"),
        (Locus((0, 1), (0.0, 0.0), ((1.0, 0.0), (-1.0, 0.0))), "2 directions of which only 1 are independent"),
    ],
)
def test_what_is_wrong_with_a_place(place: Locus, problem: str) -> None:
    assert problem in problem_of(place, 3)
    assert not problem_of(SEAM, 3)
