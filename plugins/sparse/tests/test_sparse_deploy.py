"""Does it behave as a module? Shapes, precisions, copies, transforms, compilation."""

import copy
import pickle

import pytest
import torch
from intel_sparse import SparseSpec

from intel_core.mapping import Annealed, Clustering, Declared, Diagnosable, Invertible, Mapping, Regularised

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


@pytest.mark.parametrize("shape", [(D,), (0, D), (1, D), (33, D), (2, 3, D), (4, 0, 2, D)])
def test_any_leading_shape(mapping, shape):
    y = normal(*shape)
    assert mapping(y).shape == shape
    assert mapping.gates(y).shape == shape
    z, losses = mapping.map_with_regularisers(y)
    assert torch.equal(z, mapping(y))
    assert losses["sparsity"].shape == ()
    assert losses["sparsity"].isfinite()
    flat = y.reshape(-1, D)
    torch.testing.assert_close(mapping(flat).reshape(shape), mapping(y), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(mapping.map_with_regularisers(flat)[1], losses, rtol=1e-12, atol=1e-12)


def test_layout_does_not_matter(mapping):
    y = normal(4, 6, D)
    torch.testing.assert_close(mapping(y.transpose(0, 1)), mapping(y).transpose(0, 1), rtol=1e-13, atol=1e-13)
    y = normal(6, 2 * D)[:, ::2]
    torch.testing.assert_close(mapping(y), mapping(y.contiguous()), rtol=1e-13, atol=1e-13)


def test_input_is_not_changed(mapping):
    y = normal(20, D)
    before, version = y.clone(), y._version
    for call in (mapping, mapping.gates, mapping.map_with_regularisers, mapping.diagnose):
        call(y)
    assert torch.equal(y, before)
    assert y._version == version


def test_rows_are_mapped_alone(mapping):
    y = normal(33, D)
    for other in (normal(33, D) * 3, torch.zeros(33, D).double(), torch.full((33, D), float("nan")).double()):
        replaced = other.clone()
        replaced[16] = y[16]
        torch.testing.assert_close(mapping(replaced)[16], mapping(y)[16], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(torch.stack([mapping(row) for row in y]), mapping(y), rtol=1e-13, atol=1e-13)


def test_train_and_eval_are_equal(mapping):
    y = normal(20, D)
    in_training = mapping.train().map_with_regularisers(y)
    in_use = mapping.eval().map_with_regularisers(y)
    assert torch.equal(in_training[0], in_use[0])
    assert torch.equal(in_training[1]["sparsity"], in_use[1]["sparsity"])


def test_the_gates_are_computed_once(mapping):
    calls = []
    select = mapping._select
    mapping._select = lambda y: calls.append(1) or select(y)
    mapping.map_with_regularisers(normal(3, D))
    assert len(calls) == 1


def test_true_float64(mapping):
    y = normal(50, D)
    z, losses = mapping.map_with_regularisers(y)
    assert z.dtype == losses["sparsity"].dtype == mapping.gates(y).dtype == torch.float64
    assert not torch.equal(mapping.gates(y + 1e-10), mapping.gates(y))
    # the parameters' values are kept exactly by a wider type
    assert torch.equal(copy.deepcopy(mapping).double()(y), z)
    torch.testing.assert_close(mapping(y.float()).double(), z, rtol=1e-5, atol=1e-5)


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


def test_meta_device(mapping):
    moved = copy.deepcopy(mapping).to("meta")
    assert moved(torch.empty(7, D, device="meta")).device.type == "meta"
    restored = moved.to_empty(device="cpu")
    restored.load_state_dict(mapping.state_dict())
    assert torch.equal(restored(normal(7, D)), mapping(normal(7, D)))


def test_copies(mapping):
    y = normal(20, D)
    for copied in (copy.deepcopy(mapping), pickle.loads(pickle.dumps(mapping))):
        assert torch.equal(copied(y), mapping(y))
        assert copied.regularisers == mapping.regularisers
    with torch.no_grad():
        copied.selector[0].weight.add_(1.0)
    assert not torch.equal(copied(y), mapping(y))


@pytest.mark.parametrize("options", SPECS.values(), ids=SPECS)
def test_state_dict_into_a_fresh_instance(options):
    torch.manual_seed(5)
    source, fresh = SparseSpec(**options).build(D), SparseSpec(**options).build(D)
    y = normal(20, D)
    assert not torch.equal(fresh.gates(y), source.gates(y))
    fresh.load_state_dict(source.state_dict(), strict=True)
    assert torch.equal(fresh.gates(y), source.gates(y))


def test_forward_changes_no_state(mapping):
    before = copy.deepcopy(mapping.state_dict())
    mapping.map_with_regularisers(normal(20, D))
    assert all(torch.equal(before[key], value) for key, value in mapping.state_dict().items())


def test_vmap_over_rows(mapping):
    y = normal(33, D)
    torch.testing.assert_close(torch.func.vmap(mapping)(y), mapping(y), rtol=1e-13, atol=1e-13)
    by_column = torch.func.vmap(mapping, in_dims=1, out_dims=1)(y.T)
    torch.testing.assert_close(by_column, mapping(y).T, rtol=1e-13, atol=1e-13)
    batches = normal(3, 11, D)
    terms = torch.func.vmap(lambda batch: mapping.map_with_regularisers(batch)[1]["sparsity"])(batches)
    alone = torch.stack([mapping.map_with_regularisers(batch)[1]["sparsity"] for batch in batches])
    torch.testing.assert_close(terms, alone, rtol=1e-11, atol=1e-12)


def test_jacobian_by_transforms(mapping):
    y = normal(6, D)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y)
    step = 1e-6 * torch.eye(D, dtype=torch.float64)
    for d in range(D):
        difference = (mapping(y + step[d]) - mapping(y - step[d])) / 2e-6
        torch.testing.assert_close(jacobian[:, :, d], difference, rtol=1e-6, atol=1e-7)


def test_compiles_without_a_break(mapping):
    torch._dynamo.reset()
    whole = torch.compile(mapping.map_with_regularisers, backend="eager", fullgraph=True)
    compiled = torch.compile(mapping, backend="eager", fullgraph=True)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        y = normal(20, D, dtype=dtype)
        assert torch.equal(compiled(y), mapping(y))
        z, losses = whole(y)
        assert torch.equal(z, mapping(y))
        assert torch.equal(losses["sparsity"], mapping.map_with_regularisers(y)[1]["sparsity"])


def test_autocast_keeps_the_loss_in_float32(mapping):
    y = normal(64, D, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        _, losses = mapping.map_with_regularisers(y)
    assert losses["sparsity"].dtype == torch.float32
    exact = mapping.map_with_regularisers(y)[1]["sparsity"]
    assert float((losses["sparsity"] - exact).detach().abs()) < 0.02


def test_inside_a_composition():
    from intel_core import load_mapping
    from intel_core.compose import Compose

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
