"""Is it the paper's formula, on the right dimensions, with the prior uniform on the image?"""

import math

import pytest
import torch
from intel_circle import CircleSpec, SphereMapping, SphereSpec, TorusSpec
from scipy import stats

from intel_core import SpecError, load_mapping, parse_spec


def draws(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_circle_acts_on_the_first_plane_only():
    y = draws(50, 5)
    z = CircleSpec(eps=0.25).build(5)(y)
    for row, image in zip(y.tolist(), z.tolist(), strict=True):
        radius = math.hypot(row[0], row[1])
        assert image == pytest.approx([row[0] / (radius + 0.25), row[1] / (radius + 0.25), *row[2:]], rel=1e-13)


def test_smooth_form():
    y = draws(50, 3)
    z = SphereSpec(eps=0.25, form="smooth").build(3)(y)
    for row, image in zip(y.tolist(), z.tolist(), strict=True):
        radius = math.sqrt(sum(value**2 for value in row) + 0.25**2)
        assert image == pytest.approx([value / radius for value in row], rel=1e-13)


def test_torus_is_a_circle_in_each_plane():
    y = draws(50, 7)
    z = TorusSpec(planes=2).build(7)(y)
    circle = CircleSpec().build(2)
    torch.testing.assert_close(z[:, :2], circle(y[:, :2]))
    torch.testing.assert_close(z[:, 2:4], circle(y[:, 2:4]))
    assert torch.equal(z[:, 4:], y[:, 4:])
    assert TorusSpec().build(7).count == 3


def test_sphere_on_chosen_dimensions():
    y = draws(50, 5)
    z = load_mapping("sphere:dims=[0,2,4]", 5)(y)
    torch.testing.assert_close(z[:, [0, 2, 4]], SphereSpec().build(3)(y[:, [0, 2, 4]]))
    assert torch.equal(z[:, [1, 3]], y[:, [1, 3]])


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_prior_is_uniform_on_the_sphere(d):
    """One coordinate u of a uniform point on S^(d-1): (u + 1) / 2 is Beta((d - 1)/2, (d - 1)/2)."""
    z = SphereSpec().build(d)(draws(20_000, d, seed=d))
    for coordinate in z.T.numpy():
        assert stats.kstest((coordinate + 1) / 2, stats.beta((d - 1) / 2, (d - 1) / 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("mapping", "betti"),
    [
        (CircleSpec().build(2), (1, 1)),
        (CircleSpec().build(4), (1, 1)),
        (SphereSpec().build(4), (1, 0, 0, 1)),
        (TorusSpec().build(4), (1, 2, 1)),
        (TorusSpec().build(6), (1, 3, 3, 1)),
        (SphereMapping(6, 3, 2), (1, 0, 2, 0, 1)),
    ],
)
def test_betti_numbers(mapping, betti):
    """Textbook values; the Euler characteristic of a product is the product of the factors' (0 or 2)."""
    assert mapping.properties.betti == betti
    euler = sum(number * (-1) ** i for i, number in enumerate(betti))
    assert euler == (1 + (-1) ** (mapping.sphere_dim - 1)) ** mapping.count


def test_the_inverse_finds_radii_again():
    y = draws(200, 3)
    for form in ("paper", "smooth"):
        g = SphereSpec(eps=1e-2, form=form).build(3)
        torch.testing.assert_close(g.inverse(g(y)), y, rtol=1e-9, atol=1e-12)


def test_in_float32_radii_from_a_half_to_three_fall_onto_few_numbers():
    """So no decoder sees them, although g is injective on paper."""
    radius = torch.linspace(0.5, 3, 10_000)
    y = torch.stack([radius, torch.zeros_like(radius)], dim=-1)
    assert CircleSpec().build(2)(y)[:, 0].unique().numel() <= 8


@pytest.mark.parametrize(
    ("text", "y_dim", "message"),
    [
        ("circle", 1, "a circle needs 2 latent dimensions, there is 1"),
        ("sphere", 1, "a sphere needs at least 2 latent dimensions, there is 1"),
        ("torus:planes=3", 5, "a torus of 3 planes needs 6 latent dimensions, there are 5"),
        ("torus", 1, "a torus of 1 planes needs 2 latent dimensions, there is 1"),
        ("circle:eps=0", 2, "eps"),
        ("circle:form=exact", 2, "smooth"),
        ("sphere:dims=0", 3, "a sphere needs at least 2"),
    ],
)
def test_what_is_impossible_is_said(text, y_dim, message):
    with pytest.raises(SpecError, match=message):
        load_mapping(text, y_dim)


def test_defaults_are_the_papers():
    spec = parse_spec("mappings", "circle")
    assert (spec.eps, spec.form) == (1e-7, "paper")
