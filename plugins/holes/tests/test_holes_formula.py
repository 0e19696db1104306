"""Is it equation (5), and its generalisation, to rounding?"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_holes import HolesSpec
from intel_holes.loops import make_loops

from intel_core import SpecError, load_mapping, parse_spec

coordinate = st.floats(-5, 5)


def paper(y, eps):
    """Equation (5), with plain numbers."""
    radius = math.hypot(*y) + eps
    c, s = y[0] / radius, y[1] / radius
    return c, s * (math.sqrt(4 / 3 - (1 - abs(c)) ** 2) - 1 / math.sqrt(3))


@given(y=st.tuples(coordinate, coordinate), eps=st.sampled_from([1e-7, 1e-3, 0.1]))
def test_two_holes_are_equation_five(y, eps):
    z = HolesSpec(h=2, eps=eps).build(2)(torch.tensor([y], dtype=torch.float64))
    assert z[0].tolist() == pytest.approx(paper(y, eps), rel=1e-14, abs=4e-16)


def test_one_hole_is_an_ellipse():
    y = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = HolesSpec(h=1).build(2)(y)
    torch.testing.assert_close(z[:, 0] ** 2 + 3 * z[:, 1] ** 2, torch.ones(100).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spacing", ["mass", "width"])
@pytest.mark.parametrize("h", [1, 2, 3, 5, 8])
def test_general_formula(h, spacing):
    """Loop by loop in plain numbers."""
    ends = [math.cos(math.pi * i / h) if spacing == "mass" else 1 - 2 * i / h for i in range(h + 1)]
    y = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(h))
    z = HolesSpec(h=h, spacing=spacing).build(2)(y)
    for row, image in zip(y.tolist(), z.tolist(), strict=True):
        radius = math.hypot(*row) + 1e-7
        c, s = row[0] / radius, row[1] / radius
        loop = next(i for i in range(h) if c >= ends[i + 1] - 1e-12)
        high, low = ends[loop], ends[loop + 1]
        if h == 1:
            v = 0.0
        elif loop == 0:
            v = (1 - c) / (1 - low)
        elif loop == h - 1:
            v = (c + 1) / (high + 1)
        else:
            v = abs(2 * c - low - high) / (high - low)
        expected = (c, s * (math.sqrt(4 / 3 - v * v) - 1 / math.sqrt(3)))
        assert image == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("h", [1, 2, 3, 4, 7])
def test_equal_mass_means_equal_mass(h):
    loops = make_loops(h, "mass", "natural")
    assert loops.shares == pytest.approx([1 / h] * h, rel=1e-12)
    y = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(1))
    counts = torch.bincount(HolesSpec(h=h).build(2).loop_of(y), minlength=h)
    assert (counts / 40_000).tolist() == pytest.approx([1 / h] * h, abs=0.012)


def test_equal_width_gives_end_loops_more():
    assert make_loops(3, "width", "natural").shares == pytest.approx([0.3918, 0.2163, 0.3918], abs=1e-4)


@pytest.mark.parametrize("spacing", ["mass", "width"])
@pytest.mark.parametrize("h", [2, 3, 6])
def test_equal_size_means_equal_size(h, spacing):
    mapping = HolesSpec(h=h, spacing=spacing, size="equal").build(2)
    turn = torch.linspace(0, math.pi, 200_001, dtype=torch.float64)
    circle = torch.stack([turn.cos(), turn.sin()], dim=-1)
    z, loop = mapping(circle), mapping.loop_of(circle)
    sizes = [(z[loop == i, 0].max() - z[loop == i, 0].min(), z[loop == i, 1].max()) for i in range(h)]
    widths, heights = (torch.stack(column) for column in zip(*sizes, strict=True))
    torch.testing.assert_close(widths, torch.full((h,), 2 / h).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(heights, heights.mean().expand(h), rtol=1e-5, atol=0)
    natural = HolesSpec(h=h, spacing=spacing).build(2)(circle)[:, 1].max()
    torch.testing.assert_close(heights.max(), natural, rtol=1e-5, atol=0)  # the highest loop keeps its height


def test_scale_and_the_dimensions_behind():
    y = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, doubled = HolesSpec(h=3).build(4)(y), HolesSpec(h=3, scale=2).build(4)(y)
    assert torch.equal(z[:, 2:], y[:, 2:])
    torch.testing.assert_close(doubled[:, :2], 2 * z[:, :2])
    assert torch.equal(doubled[:, 2:], y[:, 2:])


@pytest.mark.parametrize("h", [2, 3, 5])
@pytest.mark.parametrize("size", ["natural", "equal"])
def test_the_bound_on_the_slope_holds(h, size):
    mapping = HolesSpec(h=h, size=size, eps=0.1).build(2)
    y = torch.randn(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(h))
    y = y * torch.logspace(-3, 0.5, 20_000, dtype=torch.float64).unsqueeze(-1)
    steepest = torch.linalg.matrix_norm(torch.func.vmap(torch.func.jacrev(mapping))(y), 2).max()
    promised = mapping.properties.hoelder.constant
    assert steepest <= promised


@pytest.mark.parametrize("size", ["natural", "equal"])
@pytest.mark.parametrize("h", [1, 2, 3, 8])
def test_the_bound_on_the_gluing_alone(h, size):
    """Against the slopes of (c, s) -> z on a fine grid of the disc, by differences within each loop."""
    loops = make_loops(h, "mass", size)
    mapping = HolesSpec(h=h, size=size, eps=1e-12).build(2)
    turn = torch.linspace(0, 2 * math.pi, 400_001, dtype=torch.float64)
    z = mapping(torch.stack([turn.cos(), turn.sin()], dim=-1))
    along_the_circle = (z.diff(dim=0).norm(dim=-1) / turn.diff()).max()
    assert along_the_circle <= loops.slope * (1 + 1e-6)
    assert loops.slope < 3 * along_the_circle  # inside the disc it is steeper than on its edge, but not by much


def test_diagnosis_counts_loops():
    report = HolesSpec(h=2, spacing="width").build(3).diagnose(torch.tensor([[1.0, 0, 0], [-1, 0, 0], [-2, 1, 0]]))
    assert report["loop_prior"] == pytest.approx([0.5, 0.5])
    assert report["loop_shares"] == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("holes", 1, "holes need 2 latent dimensions, there is 1"),
        ("holes:h=0", 2, "h"),
        ("holes:h=65", 2, "64"),
        ("holes:spacing=even", 2, "mass"),
        ("holes:hole=3", 2, "hole"),
        ("holes:scale=-1", 2, "scale"),
    ],
)
def test_what_is_impossible_is_said(text, y_dim, message):
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim)


def test_the_default_is_the_papers_figure_eight():
    spec = parse_spec("mappings", "holes")
    assert (spec.h, spec.spacing, spec.size, spec.scale, spec.eps, spec.form) == (
        2,
        "mass",
        "natural",
        1,
        1e-7,
        "paper",
    )
