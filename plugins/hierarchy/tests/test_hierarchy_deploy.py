"""Does it behave as a module? Shapes, precisions, devices, copies, transforms, compilation."""

import copy

import pytest
import torch
from intel_hierarchy import HierarchySpec

from intel_core.mappings.contract import (
    Annealed,
    Clustering,
    Declared,
    Diagnosable,
    Invertible,
    Levelled,
    Mapping,
    Regularised,
)

SPECS = {
    "paper": {"levels": 3},
    "listed": {"levels": [1, 2, 1, 1, 2]},
    "deep": {"levels": [2, 2, 3], "hidden": (8, 6), "activation": "elu"},
    "tanh": {"levels": 2, "activation": "tanh"},
    "softplus": {"levels": 2, "activation": "softplus"},
    "gelu": {"levels": 2, "activation": "gelu", "hidden": (4,)},
    "affine": {"levels": 3, "form": "affine"},
    "affine-linear": {"levels": [3, 4], "form": "affine", "hidden": ()},
    "affine-smooth": {"levels": 4, "form": "affine", "activation": "tanh", "hidden": (8, 8), "bound": 0.5},
}
D = 7


@pytest.fixture(params=SPECS)
def name(request):
    return request.param


@pytest.fixture
def mapping(name):
    torch.manual_seed(0)
    built = HierarchySpec(**SPECS[name]).build(D)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return built.requires_grad_(False)


def normal(*shape, dtype=torch.float64, seed=4):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_capabilities(mapping, name):
    for capability in (Mapping, Declared, Levelled, Diagnosable):
        assert isinstance(mapping, capability)
    for capability in (Clustering, Regularised, Annealed):
        assert not isinstance(mapping, capability)
    assert isinstance(mapping, Invertible) == name.startswith("affine")


def test_no_random_number_and_no_state_in_the_forward_pass(mapping):
    before, generator = copy.deepcopy(mapping.state_dict()), torch.get_rng_state()
    y = normal(20, D)
    assert torch.equal(mapping(y), mapping(y))
    mapping.diagnose(y, None)
    assert torch.equal(torch.get_rng_state(), generator)
    after = mapping.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_float32_in_float32_out_of_a_float64_module(mapping):
    z = copy.deepcopy(mapping).double()(normal(5, D, dtype=torch.float32))
    assert z.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(mapping, dtype):
    y = normal(50, D, dtype=dtype).requires_grad_()
    z = mapping(y)
    assert z.dtype == dtype
    assert torch.equal(z, mapping(y.float()).to(dtype))
    z.float().sum().backward()
    assert y.grad.dtype == dtype
    assert y.grad.isfinite().all()
    if isinstance(mapping, Invertible):
        assert mapping.inverse(z).dtype == dtype
        assert mapping.log_abs_det_jacobian(y).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_module_of_half_precision(mapping, dtype):
    rounded = copy.deepcopy(mapping).to(dtype)
    y = normal(50, D, dtype=dtype)
    assert rounded(y).dtype == dtype
    assert torch.equal(rounded(y), copy.deepcopy(rounded).float()(y.float()).to(dtype))


def test_repr_says_what_it_is():
    assert "sizes=(3, 2, 2)" in repr(HierarchySpec().build(7))
    assert "sizes=(3, 2, 2), bound=2" in repr(HierarchySpec(form="affine").build(7))
