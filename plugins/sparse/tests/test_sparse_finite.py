"""Are values and gradients finite wherever y is, and however saturated the gates are?"""

import math

import pytest
import torch
from intel_sparse import SparseSpec, sparsity_loss

OPTIONS = [
    {"target": target, "normalisation": how, "floor": floor}
    for target in ("gates", "latent")
    for how in ("paper", "released")
    for floor in (0.0, 0.2)
]


def mapping_of(options, bias=0.0, scale=1.0):
    torch.manual_seed(0)
    mapping = SparseSpec(**options).build(5)
    with torch.no_grad():
        for layer in mapping.selector:
            layer.weight.mul_(scale)
        mapping.selector[-1].bias.fill_(bias)
    return mapping


def check_finite(mapping, y):
    y = y.clone().requires_grad_()
    z, losses = mapping.map_with_regularisers(y)
    assert z.isfinite().all()
    assert losses["sparsity"].isfinite()
    (losses["sparsity"] + z.sum()).backward()
    assert y.grad.isfinite().all()
    for parameter in mapping.parameters():
        assert parameter.grad.isfinite().all()
    return losses["sparsity"].detach()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-12, 1.0, 1e6])
def test_sizes_of_y(options, dtype, size):
    y = size * torch.randn(7, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
    check_finite(mapping_of(options), y)
    check_finite(mapping_of(options), torch.cat([y, torch.zeros(2, 5, dtype=dtype)]))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [-2000.0, -200.0, -90.0, 90.0, 2000.0])
def test_saturated_gates(options, dtype, bias):
    mapping = mapping_of(options, bias)
    y = torch.randn(7, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
    check_finite(mapping, y)
    gates = mapping.gates(y)
    assert gates.min() >= options["floor"]
    assert gates.max() <= 1
    if bias == -2000 and options["floor"] == 0:
        assert torch.count_nonzero(gates) == 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_steep_selectors(options):
    for scale in (30.0, 1000.0):
        y = 10 * torch.randn(50, 5, generator=torch.Generator().manual_seed(1))
        check_finite(mapping_of(options, scale=scale), y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("how", ["paper", "released"])
def test_a_batch_of_zeros_is_even(dtype, how):
    v = torch.zeros(3, 4, dtype=dtype, requires_grad=True)
    loss = sparsity_loss(v, how)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert v.grad.isfinite().all()
    mixed = torch.cat([torch.zeros(1, 4), torch.eye(4)[:1]]).to(dtype)
    # the row of zeros counts as even: log 4 in the first term
    first = math.log(4) / 2
    pooled = [1.0] if how == "paper" else [5 / 8, 1 / 8, 1 / 8, 1 / 8]
    expected = first + sum(p * math.log(p) for p in pooled)
    assert float(sparsity_loss(mixed, how)) == pytest.approx(expected, abs=1e-5)


def test_zeros_among_the_entries():
    v = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    for how, pooled in (("paper", [0.25, 0.5, 0.25]), ("released", [0.25, 0.5, 0.25])):
        v.grad = None
        loss = sparsity_loss(v, how)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(math.log(2) / 2 + sum(p * math.log(p) for p in pooled), abs=1e-6)
        assert v.grad.isfinite().all()


def test_nearly_one_in_float32_is_as_in_float64():
    v = torch.rand(200, 50, generator=torch.Generator().manual_seed(2))
    for how in ("paper", "released"):
        assert float(sparsity_loss(v, how)) == pytest.approx(float(sparsity_loss(v.double(), how)), rel=1e-4)
