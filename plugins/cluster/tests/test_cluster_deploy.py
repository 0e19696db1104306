"""Does it behave as a module? Shapes, precisions, devices, copies, transforms, compilation."""

import copy
import pickle

import pytest
import torch
from intel_cluster import ClusterSpec

from intel_core.mapping import Clustering, Declared, Diagnosable, Invertible, Mapping, Regularised

SPECS = {
    "k3": {"k": 3},
    "turned": {"k": 5, "phase": 0.3},
    "reflex": {"k": 3, "proportions": [0.1, 0.8, 0.1]},
    "product": {"k": [2, 3]},
    "learnable": {"k": 3, "learnable": True},
    "learnable-product": {"k": [3, 2], "learnable": True, "form": "smooth"},
    "line": {"k": 2, "split": "line", "proportions": [0.3, 0.7]},
    "line-learnable": {"k": 2, "split": "line", "learnable": True},
}
D = 5


@pytest.fixture(params=SPECS)
def mapping(request):
    torch.manual_seed(0)
    built = ClusterSpec(**SPECS[request.param]).build(D)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).to(dtype)


def test_capabilities(mapping):
    for capability in (Mapping, Declared, Clustering, Invertible, Diagnosable):
        assert isinstance(mapping, capability)
    assert isinstance(mapping, Regularised) == bool(list(mapping.parameters()))


@pytest.mark.parametrize("shape", [(D,), (0, D), (1, D), (33, D), (2, 3, D), (4, 0, 2, D)])
def test_any_leading_shape(mapping, shape):
    y = normal(*shape)
    assert mapping(y).shape == shape
    assert mapping.inverse(y).shape == shape
    assert mapping.assign(y).shape == shape[:-1]
    assert mapping.assign(y).dtype == torch.long
    assert mapping.log_abs_det_jacobian(y).shape == shape[:-1]
    flat = y.reshape(-1, D)
    torch.testing.assert_close(mapping(flat).reshape(shape), mapping(y), rtol=0, atol=0)


@pytest.fixture
def warn_always():
    torch.set_warn_always(True)  # else a warning that another test provoked would be silent here
    yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("warn_always")
def test_layout_does_not_matter(mapping):
    y = normal(4, 6, D)
    assert torch.equal(mapping(y.transpose(0, 1)), mapping(y).transpose(0, 1))
    y = normal(6, D)
    assert torch.equal(mapping(y.T.contiguous().T), mapping(y))
    assert torch.equal(mapping(normal(6, 2 * D)[:, ::2]), mapping(normal(6, 2 * D)[:, ::2].contiguous()))


def test_the_rest_passes_through():
    y = normal(10, D)
    for options in SPECS.values():
        built = ClusterSpec(**options).build(D)
        cut = sum(split.width for split in built.splits)
        assert torch.equal(built(y)[:, cut:], y[:, cut:])


def test_input_is_not_changed(mapping):
    y = normal(20, D)
    before, version = y.clone(), y._version
    for call in (mapping, mapping.inverse, mapping.assign, mapping.log_abs_det_jacobian):
        call(y)
    assert torch.equal(y, before)
    assert y._version == version


def test_rows_are_independent_bitwise(mapping):
    y = normal(33, D)
    for other in (normal(33, D) * 3, torch.zeros(33, D).double(), torch.full((33, D), float("nan")).double()):
        replaced = other.clone()
        replaced[16] = y[16]
        assert torch.equal(mapping(replaced)[16], mapping(y)[16])


def test_train_and_eval_are_equal(mapping):
    y = normal(20, D)
    assert torch.equal(mapping.train()(y), mapping.eval()(y))


def test_true_float64(mapping):
    y = normal(50, D)
    assert mapping(y).dtype == torch.float64
    assert not torch.equal(mapping(y + 1e-10), mapping(y))
    exact = mapping.double()(y)
    torch.testing.assert_close(mapping.float()(y), exact, rtol=1e-6, atol=1e-6)


def test_fixed_tables_keep_float64_through_other_precisions():
    y = normal(50, 2)
    built = ClusterSpec(k=3, phase=0.3).build(2)
    expected = built(y)
    for convert in (torch.nn.Module.float, torch.nn.Module.half, torch.nn.Module.bfloat16, torch.nn.Module.double):
        assert torch.equal(convert(copy.deepcopy(built))(y), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(mapping, dtype):
    y = normal(50, D, dtype=dtype).requires_grad_()
    z = mapping(y)
    assert z.dtype == dtype
    assert torch.equal(z, mapping(y.float()).to(dtype))
    z.float().sum().backward()
    assert y.grad.dtype == dtype
    assert y.grad.isfinite().all()
    assert mapping.inverse(z).dtype == dtype
    assert mapping.log_abs_det_jacobian(y).dtype == dtype
    assert torch.equal(mapping.assign(y), mapping.assign(y.float()))


def test_meta_device(mapping):
    y = torch.empty(7, D, device="meta")
    moved = copy.deepcopy(mapping).to("meta")
    assert moved(y).device.type == "meta"
    assert moved.proportions().device.type == "meta"
    assert all(split.device.type == "meta" for split in moved.splits)
    restored = copy.deepcopy(mapping).to("meta").to_empty(device="cpu")
    restored.load_state_dict(mapping.state_dict())
    assert torch.equal(restored(normal(7, D)), mapping(normal(7, D)))


def test_built_on_another_default_device():
    with torch.device("meta"):
        built = ClusterSpec(k=3).build(2)
    assert torch.equal(built(normal(5, 2)), ClusterSpec(k=3).build(2)(normal(5, 2)))


def test_fixed_map_follows_its_input_to_another_device():
    assert ClusterSpec(k=3).build(2)(torch.empty(3, 2, device="meta")).device.type == "meta"


def test_first_use_in_inference_mode_does_not_spoil_training(mapping):
    y = normal(9, D)
    with torch.inference_mode():
        seen = mapping(y)
    leaf = y.clone().requires_grad_()
    z = mapping(leaf)
    z.sum().backward()
    assert torch.equal(z.detach(), seen)


def test_copies(mapping):
    y = normal(20, D)
    for copied in (copy.deepcopy(mapping), pickle.loads(pickle.dumps(mapping))):
        assert torch.equal(copied(y), mapping(y))


@pytest.mark.parametrize("name", SPECS)
def test_state_dict_into_a_fresh_instance(mapping, name):
    fresh = ClusterSpec(**SPECS[name]).build(D)
    source = ClusterSpec(**SPECS[name]).build(D)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(torch.randn_like(parameter))
    fresh.load_state_dict(source.state_dict(), strict=True)
    assert torch.equal(fresh(normal(20, D)), source(normal(20, D)))


def test_forward_changes_no_state(mapping):
    before = copy.deepcopy(mapping.state_dict())
    mapping(normal(20, D))
    after = mapping.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_functional_call_with_other_parameters(mapping):
    parameters = {name: p.detach() + 0.5 * torch.randn_like(p) for name, p in mapping.named_parameters()}
    y = normal(50, D)
    mapping(y)
    z = torch.func.functional_call(mapping, parameters, (y,))
    assert torch.equal(z, mapping(y)) == (not parameters)
    with torch.no_grad():
        for name, p in mapping.named_parameters():
            p.copy_(parameters[name])
    assert torch.equal(mapping(y), z)


@pytest.mark.usefixtures("warn_always")
def test_vmap_over_rows(mapping):
    y = normal(33, D)
    assert torch.equal(torch.func.vmap(mapping)(y), mapping(y))
    assert torch.equal(torch.func.vmap(mapping, in_dims=1, out_dims=1)(y.T), mapping(y).T)
    assert torch.equal(torch.func.vmap(mapping.assign)(y), mapping.assign(y))
    torch.testing.assert_close(torch.func.vmap(mapping.inverse)(y), mapping.inverse(y), rtol=0, atol=1e-12)


def test_gradient_per_row(mapping):
    y = normal(12, D)
    parameters = {name: p.detach() for name, p in mapping.named_parameters()}

    def loss(values, row):
        return torch.func.functional_call(mapping, values, (row,)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, y)
    total = torch.func.grad(lambda values: loss(values, y))(parameters)
    for name in parameters:
        torch.testing.assert_close(each[name].sum(0), total[name], rtol=1e-4, atol=1e-4)


def test_second_derivatives(mapping):
    y = (normal(6, D) + 0.1).requires_grad_()
    assert torch.autograd.gradgradcheck(mapping, (y,), atol=1e-3)


def test_compiles_without_a_break(mapping):
    torch._dynamo.reset()
    compiled = torch.compile(mapping, backend="eager", fullgraph=True)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        y = normal(20, D, dtype=dtype)
        assert torch.equal(compiled(y), mapping(y))
    leaf, other = normal(20, D).requires_grad_(), normal(20, D).requires_grad_()
    compiled(leaf).sum().backward()
    mapping(other).sum().backward()
    assert torch.equal(leaf.grad, other.grad)


def test_too_few_dimensions_for_the_cuts():
    from intel_cluster.mapping import ClusterMapping

    splits = list(ClusterSpec(k=[2, 2]).build(4).splits)
    with pytest.raises(ValueError, match="4 dimensions are to be cut, there are 3"):
        ClusterMapping(splits, 3)


def test_repr_says_what_it_is():
    assert "k=3, learnable=False, Displacement(c1=5.0, c2=0.2" in repr(ClusterSpec(k=3).build(2))
