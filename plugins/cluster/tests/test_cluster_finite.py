"""Is everything finite everywhere? Values and gradients at the origin, on and beside boundaries, tiny and huge."""

import math
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec

paper = partial(ClusterSpec, preset="paper")

SPECS = {
    "k3": {"k": 3},
    "k2": {"k": 2},
    "k12-turned": {"k": 12, "phase": 0.3},
    "reflex": {"k": 3, "proportions": [0.1, 0.8, 0.1]},
    "smooth": {"k": 4, "form": "smooth"},
    "flat": {"k": 3, "c2": 1.0},
    "steep": {"k": 3, "c2": 0.01, "eps": 1e-12},
    "learnable": {"k": 3, "learnable": True},
    "learnable-two": {"k": 2, "learnable": True},
    "learnable-reflex": {"k": 3, "learnable": True, "proportions": [0.1, 0.8, 0.1], "form": "smooth"},
    "line": {"k": 2, "split": "simplex"},
    "line-learnable": {"k": 2, "split": "simplex", "learnable": True},
    "simplex": {"k": 3, "split": "simplex", "proportions": [0.2, 0.3, 0.5]},
    "simplex-learnable": {"k": 3, "split": "simplex", "learnable": True},
    "line-smooth": {"k": 2, "split": "simplex", "form": "smooth", "proportions": [0.2, 0.8]},
}


def shares_of(spec):
    return list(spec.proportions or [1 / spec.k] * spec.k)


def places(spec, dtype):
    """The origin, the axes, every boundary, bisector and perpendicular, each an ulp to both sides, at all sizes."""
    shares = torch.tensor(shares_of(spec), dtype=torch.float64)
    ends = shares.cumsum(0)
    angles = spec.phase + 2 * math.pi * torch.cat([ends, ends - shares / 2, ends + 0.25, ends - 0.25])
    angles = torch.cat([angles, torch.arange(4) * math.pi / 2])
    unit = torch.stack([angles.cos(), angles.sin()], dim=-1)
    unit = torch.where(unit.abs() < 1e-15, 0.0, unit)
    sizes = (1e-38, 1e-30, 1e-7, 1e-3, 1.0, 1e3, 1e6)
    y = torch.cat([unit * size for size in sizes]).to(dtype)
    infinity = torch.tensor(math.inf, dtype=dtype)
    up, down = torch.nextafter(y, infinity), torch.nextafter(y, -infinity)
    zero = torch.tensor([[0.0, 0.0], [-0.0, 0.0], [0.0, -0.0], [-0.0, -0.0]], dtype=dtype)
    beside = torch.tensor([[b, 0.0] for b in (-0.8416212335729143, -0.8416, 1e-45)], dtype=dtype)
    return torch.cat([zero, y, up, down, y[:, [0, 1]] * torch.tensor([1.0, -1.0], dtype=dtype), beside])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SPECS)
def test_values_and_gradients(name, dtype):
    spec = paper(**SPECS[name])
    mapping = spec.build(2).to(dtype)
    y = places(spec, dtype).requires_grad_()
    parameters = list(mapping.parameters())
    z = mapping(y)
    assert z.isfinite().all()
    assert z.dtype == dtype
    for cotangent in (torch.ones_like(z), torch.tensor([1.0, -1.0], dtype=dtype).expand_as(z)):
        for one in torch.autograd.grad(z, [y, *parameters], cotangent, retain_graph=True):
            assert one.isfinite().all()
    index = mapping.assign(y)
    assert int(index.min()) >= 0
    assert int(index.max()) < mapping.n_clusters
    log_det = mapping.log_abs_det_jacobian(y)
    assert log_det.isfinite().all()
    assert (log_det >= 0).all()
    for one in torch.autograd.grad(log_det.sum(), [y, *parameters], allow_unused=True):
        assert one is None or one.isfinite().all()
    assert mapping.inverse(y).isfinite().all()


@pytest.mark.parametrize("name", SPECS)
def test_input_gradient_never_exceeds_the_cap(name):
    spec = paper(**SPECS[name])
    mapping = spec.build(2).double()
    y = places(spec, torch.float64)
    slope = torch.linalg.matrix_norm(torch.func.vmap(torch.func.jacrev(mapping))(y), 2)
    assert (slope <= (1 + spec.c1 * spec.eps ** (spec.c2 - 1)) * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", ["k3", "reflex", "learnable", "line"])
def test_tiny_points_are_not_lost(name):
    """In float32 squares of 1e-30 are 0; distances must not be."""
    mapping = paper(**SPECS[name]).build(2)
    y = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = (y * 1e-30).float()
    torch.testing.assert_close(mapping(small).double(), mapping(small.double()), rtol=1e-5, atol=1e-33)
    assert ((mapping(small) - small).abs().amax(-1) > 1e-31).float().mean() > 0.9


@pytest.mark.parametrize("u", [[60.0, 0.0, 0.0], [-200.0, 0.0, 3.0], [1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_shares(u, dtype):
    mapping = paper(k=3, learnable=True).build(2).to(dtype)
    with torch.no_grad():
        mapping.splits[0].u.copy_(torch.tensor(u))
    y = places(paper(k=3), dtype).requires_grad_()
    z = mapping(y)
    grads = torch.autograd.grad(z.sum(), [y, mapping.splits[0].u])
    assert all(t.isfinite().all() for t in (z, *grads, mapping.inverse(y.detach()), mapping.log_abs_det_jacobian(y)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["k3", "reflex", "learnable", "line"])
def test_a_bad_row_spoils_no_other(name, bad):
    mapping = paper(**SPECS[name]).build(2)
    y = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    spoilt = y.clone()
    spoilt[3] = bad
    keep = [i for i in range(8) if i != 3]
    assert torch.equal(mapping(spoilt)[keep], mapping(y)[keep])
    assert 0 <= int(mapping.assign(spoilt)[3]) < mapping.n_clusters


@pytest.mark.parametrize("name", ["k3", "learnable", "line"])
def test_the_slope_on_a_boundary_is_the_limit_of_those_beside_it(name):
    mapping = paper(**SPECS[name]).build(2).double()
    jacobian = torch.func.jacrev(mapping)
    on = torch.zeros(2, dtype=torch.float64) if name == "line" else torch.tensor([1.0, 0.0], dtype=torch.float64)
    beside = on + torch.tensor([1e-9, 1e-9], dtype=torch.float64)
    torch.testing.assert_close(jacobian(on), jacobian(beside), rtol=1e-6, atol=1e-4)
