"""Are gates, z and the loss what the paper's formulas say, computed another way?"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_sparse import SparseSpec, sparsity_loss


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def built(dims, **options):
    torch.manual_seed(1)
    mapping = SparseSpec(**options).build(dims).double()
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return mapping


def entropy(v):
    """One vector, entry by entry."""
    total = sum(v)
    return -sum(x / total * math.log(x / total) for x in v if x > 0)


def loss_by_loop(rows, normalisation):
    rows = [[float(x) for x in row] for row in rows]
    dims, count = len(rows[0]), len(rows)
    first = sum(entropy(row) for row in rows) / count
    if normalisation == "released":
        rows = [[x / sum(row) for x in row] for row in rows]
    return first - entropy([sum(row[d] for row in rows) / count for d in range(dims)])


def gates_by_numpy(mapping, y):
    signal = y
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in mapping.selector]
    for i, (weight, bias) in enumerate(layers):
        signal = np.einsum("oi,ni->no", weight, signal) + bias
        if i < len(layers) - 1:
            signal = np.where(signal > 0, signal, 0)
    return mapping.floor + (1 - mapping.floor) / (1 + np.exp(-signal))


@pytest.mark.parametrize("hidden", [(), (7,), (10, 10)])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_gates_and_z(hidden, floor):
    mapping = built(5, hidden=hidden, floor=floor)
    assert [layer.out_features for layer in mapping.selector] == [*hidden, 5]
    y = normal(40, 5)
    expected = gates_by_numpy(mapping, y.numpy())
    np.testing.assert_allclose(mapping.gates(y).detach().numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(mapping(y).detach().numpy(), y.numpy() * expected, rtol=1e-13)
    assert expected.std() > 0.05  # else a constant would do


@pytest.mark.parametrize("normalisation", ["paper", "released"])
@pytest.mark.parametrize("target", ["gates", "latent"])
def test_the_loss_of_a_mapping(target, normalisation):
    mapping = built(6, target=target, normalisation=normalisation, floor=0.1)
    y = normal(4, 9, 6)
    z, losses = mapping.map_with_regularisers(y)
    assert torch.equal(z, mapping(y))
    gates = gates_by_numpy(mapping, y.reshape(36, 6).numpy())
    looked_at = gates if target == "gates" else np.abs(y.reshape(36, 6).numpy() * gates)
    expected = loss_by_loop(looked_at, normalisation)
    assert list(losses) == ["sparsity"]
    assert losses["sparsity"].shape == ()
    assert losses["sparsity"].item() == pytest.approx(expected, rel=1e-6)
    assert expected < -1e-3


def test_targets_and_normalisations_differ():
    y = normal(30, 6)
    values = {
        built(6, target=target, normalisation=how).map_with_regularisers(y)[1]["sparsity"].item()
        for target in ("gates", "latent")
        for how in ("paper", "released")
    }
    assert len({round(value, 4) for value in values}) == 4


vectors = st.integers(2, 6).flatmap(
    lambda d: st.lists(st.lists(st.floats(0.01, 100), min_size=d, max_size=d), min_size=1, max_size=7)
)


@pytest.mark.parametrize("normalisation", ["paper", "released"])
@settings(max_examples=100, deadline=None)
@given(rows=vectors)
def test_the_loss_against_a_loop(normalisation, rows):
    loss = float(sparsity_loss(torch.tensor(rows, dtype=torch.float64), normalisation))
    assert loss == pytest.approx(loss_by_loop(rows, normalisation), abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 6).flatmap(
        lambda d: st.lists(st.lists(st.just(0.0) | st.floats(0, 1e6), min_size=d, max_size=d), min_size=1, max_size=7)
    )
)
def test_bounds_of_the_loss(rows):
    v = torch.tensor(rows, dtype=torch.float64)
    count, dims = v.shape
    assert -math.log(min(count, dims)) - 1e-9 <= float(sparsity_loss(v, "released")) <= 1e-9
    assert -math.log(dims) - 1e-9 <= float(sparsity_loss(v, "paper")) <= math.log(dims) + 1e-9


@pytest.mark.parametrize("normalisation", ["paper", "released"])
def test_extremes(normalisation):
    dims = 5
    one_each = torch.eye(dims, dtype=torch.float64).repeat(3, 1)
    assert float(sparsity_loss(one_each, normalisation)) == pytest.approx(-math.log(dims), abs=1e-6)
    always_the_same = one_each[:1].repeat(8, 1)  # sparse, but the same dimension for all
    assert float(sparsity_loss(always_the_same, normalisation)) == pytest.approx(0, abs=1e-6)
    assert float(sparsity_loss(torch.ones(8, dims, dtype=torch.float64), normalisation)) == pytest.approx(0, abs=1e-12)
    few = torch.eye(dims, dtype=torch.float64)[:2]  # fewer rows than dimensions
    assert float(sparsity_loss(few, normalisation)) == pytest.approx(-math.log(2), abs=1e-6)
    assert float(sparsity_loss(few[0], normalisation)) == pytest.approx(0, abs=1e-12)  # a single row, without a batch


def test_the_paper_s_loss_can_be_positive():
    """A large sparse row decides the mean, while most rows are dense."""
    rows = torch.tensor([[1000.0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], dtype=torch.float64)
    assert float(sparsity_loss(rows, "paper")) == pytest.approx(loss_by_loop(rows, "paper"), abs=1e-6)
    assert float(sparsity_loss(rows, "paper")) > 0.8
    assert float(sparsity_loss(rows, "released")) < 0


def test_all_leading_dimensions_are_one_batch():
    v = normal(3, 4, 5).abs()
    for how in ("paper", "released"):
        pooled = sparsity_loss(v.reshape(12, 5), how)
        torch.testing.assert_close(sparsity_loss(v, how), pooled, rtol=0, atol=0)
        each = torch.stack([sparsity_loss(part, how) for part in v]).mean()
        assert abs(float(each - pooled)) > 1e-3


def test_no_rows_lose_nothing():
    v = torch.zeros(0, 4, requires_grad=True)
    loss = sparsity_loss(v)
    assert float(loss.detach()) == 0
    loss.backward()
    assert v.grad.shape == (0, 4)


def test_half_precision_is_widened():
    v = normal(50, 8).abs().to(torch.bfloat16)
    assert sparsity_loss(v).dtype == torch.float32
    assert torch.equal(sparsity_loss(v), sparsity_loss(v.float()))


@pytest.mark.parametrize("normalisation", ["paper", "released"])
@pytest.mark.parametrize("target", ["gates", "latent"])
def test_gradients_against_finite_differences(target, normalisation):
    mapping = built(4, hidden=(6,), floor=0.1, target=target, normalisation=normalisation)
    y = normal(5, 4).requires_grad_()
    names = [name for name, _ in mapping.named_parameters()]

    def both(y, *values):
        class Call(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = mapping

            def forward(self, y):
                z, losses = self.inner.map_with_regularisers(y)
                return z, losses["sparsity"]

        return torch.func.functional_call(Call(), {f"inner.{n}": v for n, v in zip(names, values, strict=True)}, (y,))

    values = [parameter.detach().clone().requires_grad_() for parameter in mapping.parameters()]
    assert torch.autograd.gradcheck(both, (y, *values))
    assert torch.autograd.gradcheck(lambda v: sparsity_loss(v, normalisation), (normal(4, 3).abs().requires_grad_(),))


def test_initialisation():
    torch.manual_seed(3)
    mapping = SparseSpec(hidden=(400,), floor=0.2).build(300)
    for layer in mapping.selector:
        assert torch.count_nonzero(layer.bias) == 0
        fan_out, fan_in = layer.weight.shape
        bound = math.sqrt(6 / (fan_in + fan_out))
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert mapping.gates(torch.zeros(300)).tolist() == pytest.approx([0.6] * 300)
    torch.manual_seed(3)
    again = SparseSpec(hidden=(400,), floor=0.2).build(300)
    assert torch.equal(again.selector[0].weight, mapping.selector[0].weight)
