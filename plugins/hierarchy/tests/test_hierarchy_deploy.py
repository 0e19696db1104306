"""Does it behave as a module? Shapes, precisions, devices, copies, transforms, compilation."""

import copy
import pickle

import pytest
import torch
from intel_hierarchy import HierarchySpec

from intel_core.mapping import Annealed, Clustering, Declared, Diagnosable, Invertible, Levelled, Mapping, Regularised

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


@pytest.mark.parametrize("shape", [(D,), (0, D), (1, D), (33, D), (2, 3, D), (4, 0, 2, D)])
def test_any_leading_shape(mapping, shape):
    y = normal(*shape)
    assert mapping(y).shape == shape
    rows = [mapping(row) for row in y.reshape(-1, D)]
    if rows:
        torch.testing.assert_close(torch.stack(rows).reshape(shape), mapping(y), rtol=1e-12, atol=1e-12)
    if isinstance(mapping, Invertible):
        assert mapping.inverse(y).shape == shape
        assert mapping.log_abs_det_jacobian(y).shape == shape[:-1]


def test_layout_does_not_matter(mapping):
    y = normal(4, 6, D)
    torch.testing.assert_close(mapping(y.transpose(0, 1)), mapping(y).transpose(0, 1), rtol=1e-12, atol=1e-12)
    wide = normal(6, 2 * D)[:, ::2]
    torch.testing.assert_close(mapping(wide), mapping(wide.contiguous()), rtol=1e-12, atol=1e-12)


def test_input_is_not_changed(mapping):
    y = normal(20, D)
    before, version = y.clone(), y._version
    mapping(y)
    mapping.diagnose(y, torch.arange(20) % 3)
    mapping.replace_level(y, 0, torch.zeros_like(mapping.split(y)[0]))
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


def test_no_random_number_and_no_state_in_the_forward_pass(mapping):
    before, generator = copy.deepcopy(mapping.state_dict()), torch.get_rng_state()
    y = normal(20, D)
    assert torch.equal(mapping(y), mapping(y))
    mapping.diagnose(y, None)
    assert torch.equal(torch.get_rng_state(), generator)
    after = mapping.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_true_float64(mapping):
    """Weights of float32 and an input of float64: as with the same weights written in float64, to its last digits."""
    y = normal(50, D)
    z = mapping(y)
    assert z.dtype == torch.float64
    torch.testing.assert_close(z, copy.deepcopy(mapping).double()(y), rtol=0, atol=0)
    single = mapping(y.float()).double()
    assert not torch.equal(z, single)
    torch.testing.assert_close(z, single, rtol=1e-4, atol=1e-4)


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
        with torch.no_grad():
            next(copied.parameters()).add_(1.0)
        assert not torch.equal(copied(y), mapping(y))


def test_functional_call_with_other_parameters(mapping):
    parameters = {name: p.detach() + 0.5 for name, p in mapping.named_parameters()}
    y = normal(50, D)
    z = torch.func.functional_call(mapping, parameters, (y,))
    assert not torch.equal(z, mapping(y))
    mapping.load_state_dict(parameters)
    assert torch.equal(mapping(y), z)


def test_vmap_over_rows(mapping):
    y = normal(33, D)
    torch.testing.assert_close(torch.func.vmap(mapping)(y), mapping(y), rtol=1e-12, atol=1e-12)
    turned = torch.func.vmap(mapping, in_dims=1, out_dims=1)(y.T)
    torch.testing.assert_close(turned, mapping(y).T, rtol=1e-12, atol=1e-12)


def test_gradient_per_row(mapping):
    y = normal(12, D)
    parameters = {name: p.detach().double() for name, p in mapping.named_parameters()}

    def loss(values, row):
        return torch.func.functional_call(mapping, values, (row,)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, y)
    total = torch.func.grad(lambda values: loss(values, y))(parameters)
    for key in parameters:
        torch.testing.assert_close(each[key].sum(0), total[key], rtol=1e-9, atol=1e-9)


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


def test_repr_says_what_it_is():
    assert "sizes=(3, 2, 2)" in repr(HierarchySpec().build(7))
    assert "sizes=(3, 2, 2), bound=2" in repr(HierarchySpec(form="affine").build(7))
