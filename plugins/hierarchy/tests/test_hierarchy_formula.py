"""Is it the paper's map? Against loops over single numbers, and the initial weights against Glorot's bounds."""

import itertools
import math

import numpy as np
import pytest
import torch
from intel_hierarchy import HierarchySpec

ACTIVATIONS = {
    "relu": lambda x: x if x > 0 else 0.0,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "tanh": math.tanh,
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "identity": lambda x: x,
}


def jolt(mapping, seed=0, size=0.5):
    """Weights and biases other than at the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter))
    return mapping


def layer(weight, bias, x):
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def network(weights, x, function, last):
    for i, (weight, bias) in enumerate(weights):
        x = layer(weight, bias, x)
        if last or i < len(weights) - 1:
            x = [function(v) for v in x]
    return x


def reference(mapping, y, sizes, form, activation, bound):
    """g of one row, by loops over Python's numbers; of the mapping only the weights are read."""
    state = {name: value.double().tolist() for name, value in mapping.state_dict().items()}
    depth = len(state) // 2 // (len(sizes) - 1)
    blocks, start = [], 0
    for size in sizes:
        blocks.append(y[start : start + size])
        start += size
    z, function = [list(blocks[0])], ACTIVATIONS[activation]
    for i, own in enumerate(blocks[1:]):
        weights = [[state[f"networks.{i}.layers.{j}.{part}"] for part in ("weight", "bias")] for j in range(depth)]
        if form == "dense":
            z.append(network(weights, [*z[-1], *own], function, last=True))
        else:
            out = network(weights, z[-1], function, last=False)
            scale, shift = out[: len(own)], out[len(own) :]
            z.append(
                [v * math.exp(bound * math.tanh(s / bound)) + t for v, s, t in zip(own, scale, shift, strict=True)]
            )
    return list(itertools.chain(*z))


@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("form", ["dense", "affine"])
def test_against_loops(form, activation, hidden):
    sizes = (3, 2, 1, 4)
    bound = 1.5 if form == "affine" else None
    torch.manual_seed(1)
    spec = HierarchySpec(levels=sizes, form=form, activation=activation, hidden=hidden, bound=bound)
    mapping = jolt(spec.build(10))
    y = 2 * torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = [reference(mapping, row, sizes, form, activation, bound) for row in y.tolist()]
    np.testing.assert_allclose(mapping(y).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_by_hand():
    mapping = HierarchySpec(levels=[1, 2, 1]).build(4).double()
    with torch.no_grad():
        first, second = (part.layers[0] for part in mapping.networks)
        first.weight.copy_(torch.tensor([[2.0, 1.0, 0.0], [-1.0, 0.0, 3.0]]))
        first.bias.copy_(torch.tensor([0.5, -4.0]))
        second.weight.copy_(torch.tensor([[1.0, -1.0, 0.25]]))
    z = mapping(torch.tensor([1.0, -1.0, 2.0, 8.0], dtype=torch.float64))
    # z0 = 1; z1 = relu(2 - 1 + 0.5, -1 + 6 - 4) = (1.5, 1); z2 = relu(1.5 - 1 + 2)
    assert z.tolist() == [1.0, 1.5, 1.0, 2.5]


def test_the_paper_form_at_the_start():
    torch.manual_seed(0)
    mapping = HierarchySpec(levels=[32, 32]).build(64)
    z = mapping(torch.randn(20_000, 64))
    assert (z[:, 32:] >= 0).all()
    # With zero biases each unit is the positive part of a symmetric number; 0.5 within 6 standard errors of a row.
    assert float((z[:, 32:] == 0).double().mean()) == pytest.approx(0.5, abs=6 * 0.5 / math.sqrt(20_000))


@pytest.mark.parametrize(
    ("options", "fans"),
    [
        ({"levels": [40, 60]}, [(100, 60)]),
        ({"levels": [40, 60], "hidden": (80,)}, [(100, 80), (80, 60)]),
        ({"levels": [40, 60], "form": "affine", "hidden": (80,)}, [(40, 80), (80, 120)]),
    ],
    ids=str,
)
def test_glorot_uniform_weights_and_zero_biases(options, fans):
    torch.manual_seed(0)
    (network,) = HierarchySpec(**options).build(100).networks
    assert len(network.layers) == len(fans)
    for dense, (fan_in, fan_out) in zip(network.layers, fans, strict=True):
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert dense.weight.shape == (fan_out, fan_in)
        assert 0.99 * limit < float(dense.weight.detach().abs().max()) <= limit
        assert float(dense.weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.03)
        assert not dense.bias.any()


def test_the_generator_decides_the_weights():
    def built(seed):
        torch.manual_seed(seed)
        return HierarchySpec().build(6).state_dict()

    one, same, other = built(1), built(1), built(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if name.endswith("weight"))


def test_softplus_has_no_jump():
    """A step of 1e-10 across any place moves it by no more than that, up to rounding."""
    mapping = HierarchySpec(levels=2, activation="softplus").build(2).double()
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.copy_(torch.tensor([[0.0, 1.0]]))
    at = torch.linspace(-60, 60, 2401, dtype=torch.float64)
    y = torch.stack([torch.zeros_like(at), at], dim=-1)
    step = torch.tensor([0.0, 1e-10], dtype=torch.float64)
    assert float((mapping(y + step) - mapping(y - step)).detach().abs().max()) < 2.2e-10
