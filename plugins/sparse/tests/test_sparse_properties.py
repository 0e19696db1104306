"""Is what the mapping declares of itself so?"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_sparse import SparseSpec, gaussian_floor, hoyer

from intel_core.mappings.properties import Properties


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scaled(dims, scale, seed=0, **options):
    torch.manual_seed(seed)
    mapping = SparseSpec(**options).build(dims).double()
    with torch.no_grad():
        for layer in mapping.selector:
            layer.weight.mul_(scale)
            layer.bias.copy_(0.3 * scale * torch.randn_like(layer.bias))
    return mapping.requires_grad_(False)


def test_what_is_declared():
    declared = SparseSpec().build(5).properties
    assert declared == Properties(continuous=True, injective=False, sparsity=(0.0, 1.0))
    assert SparseSpec().build(2).properties.planes == ((0, 1),)
    low, high = SparseSpec(floor=0.2).build(50).properties.sparsity
    assert low == 0
    assert 0.62 < high < 0.63


@settings(max_examples=60, deadline=None)
@given(
    dims=st.integers(2, 12),
    floor=st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    scale=st.sampled_from([0.3, 1.0, 5.0, 50.0]),
    seed=st.integers(0, 1000),
)
def test_sparsity_lies_within_its_bounds_for_any_weights(dims, floor, scale, seed):
    mapping = scaled(dims, scale, seed, floor=floor)
    scores = hoyer(mapping(normal(2000, dims, seed=seed)))
    low, high = mapping.properties.sparsity
    error = 4 * float(scores.std()) / math.sqrt(2000)
    assert low <= float(scores.mean()) <= high + error


def test_the_upper_bound_is_nearly_reached_by_gates_that_know_the_largest():
    """A wide selector: gate 1 for the entries beyond 1.55 in size, floor for the others."""
    dims, floor, steep = 10, 0.2, 200.0
    mapping = SparseSpec(floor=floor, hidden=(2 * dims,)).build(dims).double().requires_grad_(False)
    eye = torch.eye(dims, dtype=torch.float64)
    with torch.no_grad():
        mapping.selector[0].weight.copy_(torch.cat([eye, -eye]))  # ReLU of y and of -y: their sum is |y|
        mapping.selector[0].bias.zero_()
        mapping.selector[1].weight.copy_(steep * torch.cat([eye, eye], dim=1))
        mapping.selector[1].bias.fill_(-steep * 1.55)
    reached = float(hoyer(mapping(normal(20000, dims))).mean())
    _, high = mapping.properties.sparsity
    assert gaussian_floor(dims) + 0.25 < reached <= high
    assert high - reached < 0.2


@settings(max_examples=60, deadline=None)
@given(scale=st.sampled_from([0.3, 1.0, 3.0]), seed=st.integers(0, 1000), step=st.sampled_from([1e-3, 1e-6, 1e-9]))
def test_continuous(scale, seed, step):
    """Steps of y move z by at most a multiple of them, bounded by norms of the weights."""
    mapping = scaled(4, scale, seed)
    y, along = normal(100, 4, seed=seed), torch.nn.functional.normalize(normal(100, 4, seed=seed + 1), dim=-1)
    moved = (mapping(y + step * along) - mapping(y)).norm(dim=-1)
    slope = math.prod(float(torch.linalg.matrix_norm(layer.weight, 2)) for layer in mapping.selector)
    # |z - z'| <= |y - y'| + max|y| |DS - DS'|, and a sigmoid's slope is at most 1/4
    assert (moved <= step * (1 + (y.abs().amax(-1) + step) * slope / 4) + 1e-14).all()


def test_two_points_can_meet():
    """Along an axis z = t σ(-5t) rises and falls, so that it takes values twice."""
    mapping = SparseSpec(hidden=()).build(2).double().requires_grad_(False)
    with torch.no_grad():
        mapping.selector[0].weight.copy_(-5 * torch.eye(2))
        mapping.selector[0].bias.zero_()

    def along(t):
        return mapping(torch.tensor([t, 0.0], dtype=torch.float64))

    target = float(along(0.1)[0])
    low, high = 0.3, 5.0
    assert float(along(low)[0]) > target > float(along(high)[0])
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float(along(middle)[0]) > target else (low, middle)
    assert low > 0.3
    torch.testing.assert_close(along(low), along(0.1), rtol=0, atol=1e-14)


def test_large_weights_fold_the_space():
    """Determinants of both signs: a continuous injection of R^d keeps its orientation."""

    def share_folded(scale):
        mapping = scaled(6, scale, seed=1)
        jacobian = torch.func.vmap(torch.func.jacrev(mapping))(normal(500, 6))
        return float((torch.linalg.det(jacobian) < 0).double().mean())

    assert share_folded(0.3) == 0
    assert 0.02 < share_folded(4.0) < 0.98


@pytest.mark.parametrize("dims", [3, 50])
def test_properties_are_cheap(dims):
    import time

    mapping = SparseSpec(floor=0.2).build(dims)
    first = mapping.properties
    start = time.perf_counter()
    for _ in range(1000):
        assert mapping.properties == first
    assert time.perf_counter() - start < 0.5
