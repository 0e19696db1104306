"""Has the image as many holes as it should? By counting what the curve separates from the outside."""

import math

import numpy as np
import pytest
import torch
from intel_holes import HolesSpec
from scipy import ndimage

ROWS = [(h, spacing, size) for h in range(1, 9) for spacing in ("mass", "width") for size in ("natural", "equal")]
SIDE = 2400


def image_of_the_circle(mapping, n=400_000):
    turn = torch.linspace(0, 2 * math.pi, n + 1, dtype=torch.float64)
    return mapping(torch.stack([turn.cos(), turn.sin()], dim=-1)).numpy()


@pytest.mark.promptly(
    "1-mass-natural",
    "1-width-equal",
    "2-mass-equal",
    "2-width-natural",
    "3-mass-natural",
    "3-width-equal",
    "4-mass-equal",
    "5-width-natural",
    "6-mass-natural",
    "8-width-equal",
)
@pytest.mark.parametrize(("h", "spacing", "size"), ROWS)
def test_bounded_components_of_the_complement(h, spacing, size):
    """By Alexander duality, the first Betti number of a compact set in the plane."""
    curve = image_of_the_circle(HolesSpec(h=h, spacing=spacing, size=size).build(2))
    low, high = curve.min(0), curve.max(0)
    pixels = np.round((curve - low) / (high - low) * (SIDE - 1)).astype(int) + 2
    drawn = np.zeros((SIDE + 4, SIDE + 4), dtype=bool)
    drawn[tuple(pixels.T)] = True
    assert np.abs(np.diff(pixels, axis=0)).max() <= 1  # the curve has no gap between pixels
    _, components = ndimage.label(~drawn)
    assert components - 1 == h  # one of them is the outside
    assert ndimage.label(drawn, structure=np.ones((3, 3)))[1] == 1
    assert HolesSpec(h=h, spacing=spacing, size=size).build(2).properties.betti == (1, h)


@pytest.mark.parametrize(("h", "spacing", "size"), ROWS)
def test_just_the_declared_pairs_are_glued(h, spacing, size):
    """Of a fine subdivision of the circle, only points within a step of a glue pair come close to another arc."""
    mapping = HolesSpec(h=h, spacing=spacing, size=size, eps=1e-12).build(2)
    for a in mapping.loops.glue:
        pair = torch.tensor([[a, math.sqrt(1 - a * a)], [a, -math.sqrt(1 - a * a)]], dtype=torch.float64)
        images = mapping(pair)
        torch.testing.assert_close(images[0], images[1], rtol=0, atol=1e-7)
    # Upper and lower arc meet at the glue points only: the second coordinate vanishes nowhere else.
    turn = torch.linspace(0, math.pi, 100_001, dtype=torch.float64)[1:-1]
    upper = mapping(torch.stack([turn.cos(), turn.sin()], dim=-1))
    away = torch.full((len(turn),), True)
    for a in mapping.loops.glue:
        away &= (turn - math.acos(a)).abs() > 1e-3
    assert upper[away, 1].min() > 1e-6
    # And the first coordinate falls all along, so an arc does not meet itself.
    assert (upper[:, 0].diff() < 0).all()
