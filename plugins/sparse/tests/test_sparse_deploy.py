"""Does it behave as a module? Shapes, precisions, copies, transforms, compilation."""

import copy

import pytest
import torch
from intel_sparse import SparseSpec

from intel_core.mappings.contract import Annealed, Clustering, Declared, Diagnosable, Invertible, Mapping, Regularised

SPECS = {
    "default": {},
    "released": {"floor": 0.2, "target": "latent", "normalisation": "released"},
    "flat": {"hidden": (), "gamma": 0.0},
    "deep": {"hidden": (8, 16, 8), "normalisation": "released"},
}
D = 5


@pytest.fixture(params=SPECS)
def mapping(request):
    torch.manual_seed(0)
    built = SparseSpec(**SPECS[request.param]).build(D)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return built


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).to(dtype)


def test_capabilities(mapping):
    for capability in (Mapping, Declared, Regularised, Diagnosable):
        assert isinstance(mapping, capability)
    for other in (Clustering, Invertible, Annealed):
        assert not isinstance(mapping, other)


def test_the_gates_are_computed_once(mapping):
    calls = []
    select = mapping._select
    mapping._select = lambda y: calls.append(1) or select(y)
    mapping.map_with_regularisers(normal(3, D))
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(mapping, dtype):
    y = normal(50, D, dtype=dtype).requires_grad_()
    z, losses = mapping.map_with_regularisers(y)
    assert z.dtype == mapping.gates(y).dtype == dtype
    assert losses["sparsity"].dtype == torch.float32
    assert torch.equal(z, mapping(y.float()).to(dtype))
    assert torch.equal(losses["sparsity"], mapping.map_with_regularisers(y.float())[1]["sparsity"])
    (z.float().sum() + losses["sparsity"]).backward()
    assert y.grad.dtype == dtype
    assert y.grad.isfinite().all()


def test_a_module_in_bfloat16(mapping):
    rounded = copy.deepcopy(mapping).bfloat16()
    y = normal(50, D, dtype=torch.bfloat16)
    assert rounded(y).dtype == torch.bfloat16
    torch.testing.assert_close(rounded(y).float(), mapping(y).float(), rtol=0.05, atol=0.05)


def test_jacobian_by_transforms(mapping):
    y = normal(6, D)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    step = 1e-6 * torch.eye(D, dtype=torch.float64)
    for d in range(D):
        difference = (mapping(y + step[d]) - mapping(y - step[d])) / 2e-6
        torch.testing.assert_close(jacobian[:, :, d], difference, rtol=1e-6, atol=1e-7)


def test_autocast_keeps_the_loss_in_float32(mapping):
    y = normal(64, D, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        _, losses = mapping.map_with_regularisers(y)
    assert losses["sparsity"].dtype == torch.float32
    exact = mapping.map_with_regularisers(y)[1]["sparsity"]
    assert float((losses["sparsity"] - exact).detach().abs()) < 0.02


def test_inside_a_composition():
    from intel_core import load_mapping
    from intel_core.mappings.compose import Compose

    first, second = SparseSpec(gamma=2).build(D), SparseSpec(gamma=3).build(D)
    both = Compose([first, second])
    assert both.regularisers == {"sparsity0": 2.0, "sparsity1": 3.0}
    y = normal(10, D)
    z, losses = both.map_with_regularisers(y)
    assert torch.equal(z, second(first(y)))
    assert torch.equal(losses["sparsity1"], second.map_with_regularisers(first(y))[1]["sparsity"])
    some = load_mapping("sparse:dims=1-3", D)
    assert torch.equal(some(y)[:, [0, 4]], y[:, [0, 4]])


def test_repr_says_what_it_is():
    assert "gamma=30, floor=0.2, target=gates, normalisation=released" in repr(SparseSpec(gamma=30, floor=0.2).build(2))
