"""Is the displacement the paper's where it can be, and tame where it cannot?"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster import Displacement
from intel_cluster.displacement import solve

PHIS = [
    Displacement(c1, c2, eps, form)
    for c1, c2, eps in [(5.0, 0.2, 1e-3), (5.0, 0.5, 1e-3), (0.3, 0.9, 0.1), (2.0, 1.0, 1e-3), (1.0, 0.05, 1e-12)]
    for form in ("exact", "smooth")
]


def test_exact_form_is_the_papers_beyond_eps_and_linear_below():
    phi = Displacement(5.0, 0.2, 1e-3)
    beyond = torch.logspace(-3, 6, 200, dtype=torch.float64)
    torch.testing.assert_close(phi(beyond), 5 * beyond**0.2, rtol=1e-13, atol=0)
    below = torch.logspace(-300, -3, 200, dtype=torch.float64)
    torch.testing.assert_close(phi(below), 5 * 1e-3**-0.8 * below, rtol=1e-12, atol=0)


def test_smooth_form():
    phi = Displacement(5.0, 0.2, 1e-3, "smooth")
    t = torch.logspace(-3, 6, 200, dtype=torch.float64)
    torch.testing.assert_close(phi(t), 5 * ((t + 1e-3) ** 0.2 - 1e-3**0.2), rtol=1e-12, atol=0)
    # What it costs far away, and that tiny distances keep their digits.
    far = torch.tensor(1e6, dtype=torch.float64)
    assert float(Displacement(5.0, 0.2, 1e-3)(far) - phi(far)) == pytest.approx(1.26, abs=0.01)
    tiny = torch.tensor(1e-30, dtype=torch.float64)
    assert float(phi(tiny)) == pytest.approx(phi.slope_cap * 1e-30, rel=1e-12)


@pytest.mark.parametrize("phi", PHIS, ids=str)
def test_slope_is_the_derivative_and_falls_from_the_cap(phi):
    t = torch.cat([torch.zeros(1), torch.logspace(-15, 3, 400)]).double().requires_grad_()
    (derivative,) = torch.autograd.grad(phi(t).sum(), [t])
    torch.testing.assert_close(phi.slope(t).detach(), derivative, rtol=1e-9, atol=0)
    assert float(derivative[0]) == pytest.approx(phi.slope_cap, rel=1e-12)
    assert (derivative[1:] <= derivative[:-1] * (1 + 1e-12)).all()
    assert (derivative > 0).all()
    assert float(phi(torch.zeros(1))) == 0


@pytest.mark.parametrize("phi", PHIS, ids=str)
def test_unit(phi):
    t = torch.rand(50, dtype=torch.float64)
    torch.testing.assert_close(phi.unit(t) * phi.c1, phi(t), rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("phi", PHIS, ids=str)
def test_precision_is_kept(phi, dtype):
    t = torch.tensor([0.0, 1e-30, 1e-3, 1.0, 1e6], dtype=dtype)
    for value in (phi(t), phi.slope(t)):
        assert value.dtype == dtype
        assert value.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PHIS), st.floats(1e-12, 1e6), st.floats(0, 1))
def test_newton_climbs_to_the_root(phi, goal, gain):
    target = torch.tensor([goal], dtype=torch.float64)
    root = solve(lambda t: (t + gain * phi(t) - target, 1 + gain * phi.slope(t)), torch.zeros_like(target))
    assert float(root + gain * phi(root)) == pytest.approx(goal, rel=1e-13)


def test_root_is_differentiable():
    target = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    phi = Displacement(5.0, 0.2, 1e-3)
    root = solve(lambda t: (t + phi(t) - target, 1 + phi.slope(t)), torch.zeros_like(target))
    (gradient,) = torch.autograd.grad(root.sum(), [target])
    torch.testing.assert_close(gradient, 1 / (1 + phi.slope(root)).detach())
