"""Is it a homeomorphism? Continuity with a known slope, injectivity, the inverse, the volume change."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster import ClusterSpec

paper = partial(ClusterSpec, preset="paper")

FEW = settings(max_examples=60, deadline=None)


@st.composite
def shares(draw, max_k=8):
    raw = draw(st.lists(st.floats(0.02, 1), min_size=2, max_size=max_k))
    return [x / math.fsum(raw) for x in raw]


@st.composite
def planes(draw):
    """A cut of one plane, equal or not, and its slope bound."""
    p = draw(shares() | st.integers(2, 12).map(lambda k: [1 / k] * k))
    spec = paper(
        k=len(p),
        proportions=p,
        phase=draw(st.floats(-7, 7)),
        c1=draw(st.floats(0.1, 10)),
        c2=draw(st.floats(0.05, 1)),
        eps=draw(st.sampled_from([1e-6, 1e-3, 1e-1])),
        form=draw(st.sampled_from(["exact", "smooth"])),
    )
    return spec, torch.tensor(p, dtype=torch.float64)


def cap_of(spec):
    steepest = spec.c1 * spec.eps ** (spec.c2 - 1)
    return steepest if spec.form == "exact" else steepest * spec.c2


def normal(n, d, seed, scale=1.0):
    return scale * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rounding(spec, y):
    return 20 * torch.finfo(torch.float64).eps * (1 + cap_of(spec)) * (1 + y.norm(dim=-1)) * (1 + abs(spec.phase))


def unit(angle):
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


# --- continuity --------------------------------------------------------------------------------------------------


@FEW
@given(planes(), st.floats(1e-16, 1e-2), st.floats(1e-3, 1e3))
def test_no_jump_across_any_boundary(plane, distance, radius):
    spec, p = plane
    mapping = spec.build(2)
    angle = spec.phase + 2 * math.pi * p.cumsum(0)
    ray, across = unit(angle) * radius, unit(angle + math.pi / 2) * distance
    jump = (mapping(ray + across) - mapping(ray - across)).norm(dim=-1)
    assert (jump <= 2 * distance * (1 + cap_of(spec)) + 2 * rounding(spec, ray)).all()


@FEW
@given(planes(), st.integers(0, 2**31), st.floats(-12, 0))
def test_slope_is_bounded_everywhere(plane, seed, exponent):
    # dis is 1-Lipschitz and all maps agree on boundaries, so g is (1 + cap)-Lipschitz on the whole plane.
    spec, _ = plane
    mapping = spec.build(2)
    y = normal(500, 2, seed, 2.0)
    other = y + normal(500, 2, seed + 1) * 10**exponent
    moved, apart = (mapping(y) - mapping(other)).norm(dim=-1), (y - other).norm(dim=-1)
    assert (moved <= (1 + cap_of(spec)) * apart + rounding(spec, y)).all()


def test_slope_cap_of_the_defaults_is_1256_and_is_reached():
    mapping = paper(k=2).build(2)
    jacobian = torch.func.jacrev(mapping)(torch.tensor([1.0, 1e-5], dtype=torch.float64))
    assert float(jacobian[1, 1]) - 1 == pytest.approx(5 * 1e-3**-0.8, rel=1e-12)
    assert round(float(jacobian[1, 1]) - 1) == 1256


@FEW
@given(planes(), st.floats(-300, -1), st.floats(0, 2 * math.pi))
def test_continuous_at_the_origin_from_every_direction(plane, exponent, angle):
    spec, _ = plane
    y = unit(torch.tensor([angle], dtype=torch.float64)) * 10**exponent
    # Coordinates, since the squares of a norm underflow.
    assert float(spec.build(2)(y).abs().max()) <= 1.0000001 * (1 + cap_of(spec)) * 10**exponent


@FEW
@given(st.floats(0.001, 0.999), st.floats(1e-16, 1e-2), st.sampled_from(["exact", "smooth"]))
def test_no_jump_on_the_line(left, distance, form):
    spec = paper(k=2, proportions=[left, 1 - left], form=form)
    mapping = spec.build(1)
    (b,) = mapping.properties.seams[0].point
    z = mapping(torch.tensor([[b - distance], [b], [b + distance]], dtype=torch.float64)).flatten()
    assert float(z[0]) <= float(z[1]) <= float(z[2])
    assert abs(float(z[1])) < 1e-300
    assert float(z[2] - z[0]) <= (1 + cap_of(spec)) * (2 * distance + 4e-15)


# --- injectivity -------------------------------------------------------------------------------------------------


@FEW
@given(planes(), st.integers(0, 2**31))
def test_strictly_monotone_along_bisectors(plane, seed):
    """z moves further than y on any line parallel to the bisector, within the sector: nothing is folded."""
    spec, p = plane
    mapping = spec.build(2)
    y = normal(200, 2, seed)
    index = mapping.assign(y)
    r = unit(spec.phase + 2 * math.pi * (p.cumsum(0) - p / 2))[index]
    further = y + 10 ** normal(200, 1, seed + 1) * r
    assert torch.equal(mapping.assign(further), index)
    advance = ((mapping(further) - mapping(y)) * r).sum(-1)
    assert (advance >= ((further - y) * r).sum(-1) - rounding(spec, further)).all()


@FEW
@given(planes(), st.integers(0, 2**31))
def test_image_of_a_sector_is_the_sector(plane, seed):
    spec, _ = plane
    mapping = spec.build(2)
    y = normal(300, 2, seed)
    assert torch.equal(mapping.assign(mapping(y)), mapping.assign(y))


# --- inverse -----------------------------------------------------------------------------------------------------


@FEW
@given(planes(), st.integers(0, 2**31), st.sampled_from([1e-6, 1e-2, 1.0, 10.0]))
def test_inverse_in_the_plane(plane, seed, scale):
    spec, p = plane
    mapping = spec.build(2)
    y = normal(200, 2, seed, scale)
    back = mapping.inverse(mapping(y))
    # The inverse stretches errors across a bisector by at most 1 + 1/sin(half the width).
    stretch = float((1 + 1 / torch.sin(p.clamp(max=0.5) * math.pi)).max())
    assert float((back - y).abs().max()) <= 1e-11 * max(1.0, scale) * stretch
    z = normal(200, 2, seed + 1, 10 * scale)
    again = mapping(mapping.inverse(z))
    assert float((again - z).abs().max()) <= 1e-10 * max(1.0, scale) + float(rounding(spec, z).max())


@pytest.mark.parametrize(
    "options",
    [
        {"k": 3},
        {"k": 7, "phase": 1.0},
        {"k": 2, "proportions": [0.9, 0.1]},
        {"k": 3, "proportions": [0.02, 0.95, 0.03]},
        {"k": [2, 3]},
        {"k": [3, 2], "form": "smooth"},
        {"k": 2, "split": "simplex"},
        {"k": 2, "split": "simplex", "proportions": [0.01, 0.99]},
        {"k": 3, "learnable": True, "proportions": [0.7, 0.2, 0.1]},
    ],
    ids=str,
)
def test_inverse_round_trip(options):
    mapping = paper(**options).build(5).double().requires_grad_(False)
    y = normal(2000, 5, 0, 1.5)
    z = mapping(y)
    assert float((mapping.inverse(z) - y).abs().max()) < 1e-10
    assert float((mapping(mapping.inverse(y)) - y).abs().max()) < 1e-10
    assert float((mapping.inverse(z.float()) - y).abs().max()) < 1e-4


@pytest.mark.parametrize("form", ["exact", "smooth"])
@pytest.mark.parametrize("c2", [1e-6, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("eps", [1e-12, 1e-3])
@pytest.mark.parametrize("c1", [1e-3, 5.0, 1e3])
def test_inverse_converges_for_extreme_displacements(form, c2, eps, c1):
    spec = paper(k=2, proportions=[0.9, 0.1], c1=c1, c2=c2, eps=eps, form=form)
    y = normal(1000, 2, 3, 1 + c1)
    line = paper(k=2, c1=c1, c2=c2, eps=eps, form=form).build(1)
    for mapping, points in ((spec.build(2), y), (line, y.abs()[:, :1])):
        z = mapping(points)
        # What rounding z costs, and expm1(log1p(t / eps)) where t / eps is 1e15.
        tolerance = 1e-11 + 5e-14 * float(z.abs().max())
        assert float((mapping.inverse(z) - points).abs().max()) < tolerance


@pytest.mark.parametrize("p", [[0.4, 0.35, 0.25], [0.9, 0.1]])
def test_inverse_is_differentiable(p):
    mapping = paper(k=len(p), proportions=p).build(2)
    y = normal(50, 2, 5)
    forward = torch.func.vmap(torch.func.jacrev(mapping))(y)
    backward = torch.func.vmap(torch.func.jacrev(mapping.inverse))(mapping(y))
    torch.testing.assert_close(backward @ forward, torch.eye(2).expand(50, 2, 2).double(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("options", [{"k": 3}, {"k": 2, "proportions": [0.9, 0.1]}, {"k": 2, "split": "simplex"}])
def test_inverse_at_the_edges(options):
    mapping = paper(**options).build(2)
    for value in (0.0, 1e-300, 1e-30, 1e6):
        for z in (torch.tensor([[value, 0.0]]), torch.tensor([[0.0, value]]), torch.tensor([[-value, value]])):
            back = mapping.inverse(z.double())
            assert back.isfinite().all()
            torch.testing.assert_close(mapping(back), z.double(), rtol=1e-12, atol=1e-10)
    assert mapping.inverse(torch.empty(0, 2)).shape == (0, 2)


# --- volume ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"k": 2},
        {"k": 3},
        {"k": 12, "phase": 0.4},
        {"k": 2, "proportions": [0.9, 0.1]},
        {"k": 4, "proportions": [0.05, 0.7, 0.15, 0.1], "form": "smooth"},
        {"k": [3, 2], "c2": 0.7},
        {"k": 2, "split": "simplex", "proportions": [0.3, 0.7]},
        {"k": 3, "learnable": True, "proportions": [0.6, 0.3, 0.1]},
    ],
    ids=str,
)
def test_determinant_against_autograd(options):
    mapping = paper(**options).build(4).double()
    y = normal(400, 4, 7)
    y[:50, :2] *= 1e-4  # some of them below the knee
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    sign, expected = torch.linalg.slogdet(jacobian)
    assert (sign > 0).all()
    torch.testing.assert_close(mapping.log_abs_det_jacobian(y), expected, rtol=1e-10, atol=1e-10)


def test_density_of_the_implied_prior_integrates_to_one():
    # Theorem 1 holds with equality for a bijection; its density p(y) / |det| must be one.
    mapping = paper(k=3, c1=1.0, c2=0.5).build(2)
    centres = (torch.arange(150, dtype=torch.float64) + 0.5) * 18 / 150 - 9
    z = torch.cartesian_prod(centres, centres)
    y = mapping.inverse(z)
    density = torch.exp(-0.5 * (y**2).sum(-1) - mapping.log_abs_det_jacobian(y)) / (2 * math.pi)
    assert float(density.sum()) * (18 / 150) ** 2 == pytest.approx(1, abs=2e-3)
