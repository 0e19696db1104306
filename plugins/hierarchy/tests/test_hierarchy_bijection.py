"""Is the affine form a bijection with the volume change it says? Round trips, Jacobians, densities."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_hierarchy import HierarchySpec

SPECS = {
    "default": {},
    "smooth": {"activation": "tanh", "hidden": (8, 8)},
    "linear": {"hidden": ()},
    "many": {"levels": 6, "bound": 1.0},
    "listed": {"levels": [1, 3, 2], "bound": 5.0, "activation": "elu"},
    "gelu": {"levels": 2, "activation": "gelu"},
}
D = 6


@pytest.fixture(params=SPECS)
def mapping(request):
    return built(0, 0.5, request.param)


def built(seed, size, name):
    torch.manual_seed(seed)
    mapping = HierarchySpec(form="affine", **SPECS[name]).build(D).double()
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return mapping.requires_grad_(False)


def normal(n, seed=0):
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(list(SPECS)), seed=st.integers(0, 2**32), size=st.floats(0, 1), out=st.floats(-6, 4))
def test_round_trips(name, seed, size, out):
    mapping = built(seed, size, name)
    y = 10**out * normal(50, seed)
    # An error of z at one level reaches y at the next through a quotient by exp(s), so bounds enter squared.
    scale = math.exp(2 * mapping.bound) * (1 + float(mapping(y).abs().max()) + float(y.abs().max()))
    torch.testing.assert_close(mapping.inverse(mapping(y)), y, rtol=1e-9, atol=1e-13 * scale)
    torch.testing.assert_close(mapping(mapping.inverse(y)), y, rtol=1e-9, atol=1e-11 * scale)


def test_float32_round_trip(mapping):
    y = normal(200).float()
    torch.testing.assert_close(mapping.float().inverse(mapping(y)), y, rtol=1e-3, atol=1e-2)


def test_log_determinant_against_autograd(mapping):
    y = normal(100)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    sign, expected = torch.linalg.slogdet(jacobian)
    assert (sign == 1).all()
    torch.testing.assert_close(mapping.log_abs_det_jacobian(y), expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 0.1  # it does depend on y


def test_jacobian_of_the_inverse_is_the_inverse(mapping):
    y = normal(30)
    there = torch.func.vmap(torch.func.jacrev(mapping))(y)
    back = torch.func.vmap(torch.func.jacrev(mapping.inverse))(mapping(y))
    torch.testing.assert_close(back @ there, torch.eye(D).double().expand(30, D, D), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("bound", [0.1, 2.0, 20.0])
def test_scales_stay_within_the_bound(bound):
    mapping = HierarchySpec(levels=2, form="affine", bound=bound).build(2).double()
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.mul_(100)
    y = 100 * torch.randn(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    log_det = mapping.log_abs_det_jacobian(y).detach()
    assert log_det.abs().max() <= bound
    assert log_det.abs().max() > 0.9 * bound


def test_no_two_rows_meet(mapping):
    """Theorem 1 with equality needs an injection: distances are never lost, the less the farther."""
    y, other = 2 * normal(3000, 1), 2 * normal(3000, 2)
    assert ((mapping(y) - mapping(other)).norm(dim=-1) > 1e-3).all()
    shared = other.clone()
    shared[:, :-1] = y[:, :-1]  # rows that differ at the very bottom only
    moved = (mapping(shared) - mapping(y)).norm(dim=-1)
    assert (moved >= math.exp(-mapping.bound) * (shared - y).norm(dim=-1) * (1 - 1e-9)).all()


def test_the_implied_density_integrates_to_1():
    torch.manual_seed(0)
    mapping = HierarchySpec(levels=2, form="affine", activation="tanh", bound=0.5).build(2).double()
    axis = torch.linspace(-15, 15, 601, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    y = mapping.inverse(z)
    log_density = -y.square().sum(-1) / 2 - math.log(2 * math.pi) - mapping.log_abs_det_jacobian(y)
    assert float(log_density.detach().exp().sum()) * (30 / 600) ** 2 == pytest.approx(1, abs=1e-6)
