"""Does it behave as a module? Shapes, precisions, devices, copies, transforms, compilation."""

import copy
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec

from intel_core.mappings.contract import Clustering, Declared, Diagnosable, Invertible, Mapping, Regularised

paper = partial(ClusterSpec, preset="paper")

SPECS = {
    "k3": {"k": 3},
    "turned": {"k": 5, "phase": 0.3},
    "reflex": {"k": 3, "proportions": [0.1, 0.8, 0.1]},
    "product": {"k": [2, 3]},
    "learnable": {"k": 3, "learnable": True},
    "learnable-product": {"k": [3, 2], "learnable": True, "form": "smooth"},
    "line": {"k": 2, "split": "simplex", "proportions": [0.3, 0.7]},
    "line-learnable": {"k": 2, "split": "simplex", "learnable": True},
    "simplex": {"k": 5, "split": "simplex", "proportions": [0.1, 0.1, 0.2, 0.3, 0.3]},
    "simplex-learnable": {"k": 6, "split": "simplex", "learnable": True},
    "simplex-product": {"k": [2, 4], "split": "simplex", "learnable": True, "form": "smooth"},
}
D = 5


@pytest.fixture(params=SPECS)
def mapping(request):
    torch.manual_seed(0)
    built = paper(**SPECS[request.param]).build(D)
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


def test_the_rest_passes_through():
    y = normal(10, D)
    for options in SPECS.values():
        built = paper(**options).build(D)
        cut = sum(split.width for split in built.splits)
        assert torch.equal(built(y)[:, cut:], y[:, cut:])


def test_fixed_tables_keep_float64_through_other_precisions():
    y = normal(50, 2)
    built = paper(k=3, phase=0.3).build(2)
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


def test_built_on_another_default_device():
    with torch.device("meta"):
        built = paper(k=3).build(2)
    assert torch.equal(built(normal(5, 2)), paper(k=3).build(2)(normal(5, 2)))


def test_fixed_map_follows_its_input_to_another_device():
    assert paper(k=3).build(2)(torch.empty(3, 2, device="meta")).device.type == "meta"


@pytest.mark.parametrize("options", [{"k": 6, "learnable": True}, {"k": 4, "learnable": False}, {"k": [2, 3]}], ids=str)
def test_compiled_it_is_the_same(options):
    """As one graph, gradients too."""
    mapping = ClusterSpec(**options).build(D)
    y = normal(50, D, dtype=torch.float32).requires_grad_()
    compiled = torch.compile(mapping, fullgraph=True, backend="aot_eager")
    again = y.detach().clone().requires_grad_()
    z, expected = compiled(again), mapping(y)
    torch.testing.assert_close(z, expected)
    z.sin().sum().backward()
    expected.sin().sum().backward()
    torch.testing.assert_close(again.grad, y.grad)


def test_first_use_in_inference_mode_does_not_spoil_training(mapping):
    y = normal(9, D)
    with torch.inference_mode():
        seen = mapping(y)
    leaf = y.clone().requires_grad_()
    z = mapping(leaf)
    z.sum().backward()
    assert torch.equal(z.detach(), seen)


def test_second_derivatives(mapping):
    y = (normal(6, D) + 0.1).requires_grad_()
    assert torch.autograd.gradgradcheck(mapping, (y,), atol=1e-3)


def test_too_few_dimensions_for_the_cuts():
    from intel_cluster.mapping import ClusterMapping

    splits = list(paper(k=[2, 2]).build(4).splits)
    with pytest.raises(ValueError, match="4 dimensions are to be cut, there are 3"):
        ClusterMapping(splits, 3)


def test_repr_says_what_it_is():
    assert "k=3, learnable=False, Displacement(c1=5.0, c2=0.2" in repr(paper(k=3).build(2))
