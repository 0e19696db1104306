"""The optimiser is torch's fused Adam bit for bit, whatever happens to gradients and states on the way."""

import copy

import pytest
import torch
from torch import nn

from intel_core.compute.optimizer import Adam


def nets():
    """A net, and the same again."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 4), nn.ReLU(), nn.Conv2d(3, 5, 2), nn.Flatten(), nn.Linear(20, 2))
    return net, copy.deepcopy(net)


def step(net, optimizer, number, frozen=None):
    optimizer.zero_grad()
    x = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(number))
    net(x).square().sum().backward()
    if frozen is not None:
        net[frozen].weight.grad = None
    getattr(optimizer, "update", optimizer.step)()


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def pair(lr=1e-2):
    ours, theirs = nets()
    return (ours, Adam(list(ours.parameters()), lr)), (
        theirs,
        torch.optim.Adam(theirs.parameters(), lr=lr, eps=1e-7, fused=True),
    )


def test_every_step_is_torchs():
    (ours, mine), (theirs, plain) = pair()
    for number in range(12):
        step(ours, mine, number)
        step(theirs, plain, number)
        assert same(ours, theirs)


@pytest.mark.parametrize("first", [0, 3])
def test_a_parameter_may_have_no_gradient_for_a_while(first):
    (ours, mine), (theirs, plain) = pair()
    for number in range(12):
        frozen = 2 if first <= number < first + 4 else None
        step(ours, mine, number, frozen)
        step(theirs, plain, number, frozen)
        assert same(ours, theirs)
    counts = [float(state["step"]) for state in mine.state.values()]
    assert counts == [float(state["step"]) for state in plain.state.values()]


def test_the_learning_rate_may_change():
    (ours, mine), (theirs, plain) = pair()
    for number in range(8):
        for optimizer in (mine, plain):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
        step(ours, mine, number)
        step(theirs, plain, number)
    assert same(ours, theirs)


def test_going_back_to_a_state_and_on_from_there():
    (ours, mine), _ = pair()
    for number in range(5):
        step(ours, mine, number)
    weights, state = copy.deepcopy(ours.state_dict()), copy.deepcopy(mine.state_dict())
    for number in range(5, 9):
        step(ours, mine, number)
    there = copy.deepcopy(ours)
    ours.load_state_dict(weights)
    mine.load_state_dict(state)
    for number in range(5, 9):
        step(ours, mine, number)
    assert same(ours, there)


def test_a_state_in_another_memory_order_is_put_in_that_of_the_weights():
    (ours, mine), _ = pair()
    ours.to(memory_format=torch.channels_last)
    for number in range(5):
        step(ours, mine, number)
    again = copy.deepcopy(ours)
    other = Adam(list(again.parameters()), 1e-2)
    state = copy.deepcopy(mine.state_dict())
    for moments in state["state"].values():
        moments |= {name: value.contiguous() for name, value in moments.items()}
    other.load_state_dict(state)
    for number in range(5, 8):
        step(ours, mine, number)
        step(again, other, number)
    assert same(ours, again)
