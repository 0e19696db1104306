"""Is the average of weights the weighted mean of all of them, and do steps not know of it?"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from intel_core.compute.averaging import Averaged
from intel_core.compute.optimizer import Adam


def net() -> nn.Module:
    torch.manual_seed(0)
    bare = nn.BatchNorm1d(4, affine=False)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), bare, nn.Linear(4, 2))


def step(model: nn.Module, optimizer: Any, number: int) -> None:
    optimizer.zero_grad(set_to_none=True)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(number)).to(next(model.parameters()))
    model(x).square().sum().backward()
    getattr(optimizer, "update", optimizer.step)()


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@given(decay=st.floats(0, 0.999), steps=st.integers(1, 12))
def test_it_is_the_weighted_mean_of_all_weights_so_far(decay: float, steps: int) -> None:
    model = net().double()
    optimizer = Averaged(torch.optim.SGD(model.parameters(), lr=0.01), model, decay)
    seen = []
    for number in range(steps):
        step(model, optimizer, number)
        seen.append(values(model))
    shares = torch.tensor([decay ** (steps - 1 - s) for s in range(steps)], dtype=torch.float64)
    with optimizer.averaged():
        averaged = values(model)
    for name, value in averaged.items():
        if name.startswith("3.") or name.endswith("num_batches_tracked"):  # a normalisation without weights; a count
            assert torch.equal(value, seen[-1][name])
            continue
        stacked = torch.stack([one[name] for one in seen])
        expected = torch.tensordot(shares / shares.sum(), stacked, dims=1)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_the_steps_are_those_of_the_optimiser_whenever_the_average_is_looked_at(kind: str) -> None:
    def made(model: nn.Module) -> torch.optim.Optimizer:
        return Adam(list(model.parameters()), 1e-2) if kind == "adam" else torch.optim.SGD(model.parameters(), lr=1e-2)

    ours, theirs = net(), net()
    averaged, plain = Averaged(made(ours), ours, 0.9), made(theirs)
    with averaged.averaged():  # before the first step
        assert same(values(ours), values(theirs))
    for number in range(8):
        step(ours, averaged, number)
        step(theirs, plain, number)
        with averaged.averaged(), averaged.averaged():
            assert number == 0 or not same(values(ours), values(theirs))
        assert same(values(ours), values(theirs))


def test_what_is_raised_inside_leaves_the_weights_of_training() -> None:
    model = net()
    optimizer = Averaged(Adam(list(model.parameters()), 1e-2), model, 0.9)
    for number in range(3):
        step(model, optimizer, number)
    before = values(model)
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert same(before, values(model))


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    whole, first = net(), net()
    optimizer = Averaged(Adam(list(whole.parameters()), 1e-2), whole, 0.9)
    begun = Averaged(Adam(list(first.parameters()), 1e-2), first, 0.9)
    for number in range(9):
        step(whole, optimizer, number)
        if number < 4:
            step(first, begun, number)
    second = net()
    second.load_state_dict(first.state_dict())
    resumed = Averaged(Adam(list(second.parameters()), 1e-2), second, 0.9)
    resumed.load_state_dict(copy.deepcopy(begun.state_dict()))
    for number in range(4, 9):
        step(second, resumed, number)
    with optimizer.averaged(), resumed.averaged():
        assert same(values(whole), values(second))
    assert same(values(whole), values(second))


def test_a_state_without_averages_is_refused_and_an_empty_one_is_a_beginning() -> None:
    model = net()
    plain = Adam(list(model.parameters()), 1e-2)
    optimizer = Averaged(Adam(list(model.parameters()), 1e-2), model, 0.9)
    optimizer.load_state_dict(plain.state_dict())
    step(model, plain, 0)
    with pytest.raises(KeyError):
        optimizer.load_state_dict(plain.state_dict())
