"""Does a dense network by hand give the numbers and gradients of autograd, and is every other network left to it?"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from intel_core.compute.dense import DenseNetwork
from intel_core.networks.layers import mlp_decoder, mlp_encoder

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "gelu", "silu")
LEFT_TO_AUTOGRAD = ("elu", "softplus")


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def both(net: nn.Module, x: Tensor, of_out: Tensor) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Output, gradient of the input and of the parameters: by hand, and by autograd."""
    by_hand = DenseNetwork.of(net)
    assert by_hand is not None
    with torch.no_grad():
        out = by_hand.forward(x)
        of_x = by_hand.backward(of_out, of_input=True)
    ours: list[Tensor | None] = [out, of_x, *(None if p.grad is None else p.grad.clone() for p in net.parameters())]
    net.zero_grad()
    x = x.clone().requires_grad_()
    expected = net(x)
    expected.backward(of_out)
    assert x.grad is not None
    return ours, [expected.detach(), x.grad.flatten(1), *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numbers_and_gradients_are_those_of_autograd_bit_for_bit(activation: str, dtype: torch.dtype) -> None:
    for net, x, out in (
        (mlp_encoder((3,), (16, 9), 4, activation), (100, 3), (100, 4)),
        (mlp_encoder((1, 4, 4), (8,), 6, activation), (7, 1, 4, 4), (7, 6)),
        (mlp_decoder(2, (5, 7), (1, 4, 4), activation), (9, 2), (9, 1, 4, 4)),
        (mlp_encoder((3,), (), 2, activation), (5, 3), (5, 2)),
    ):
        ours, expected = both(net.to(dtype), draws(*x, dtype=dtype), draws(*out, seed=1, dtype=dtype))
        for one, other in zip(ours, expected, strict=True):
            assert one is not None
            assert other is not None
            assert torch.equal(one, other)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.integers(1, 130), st.sampled_from(ACTIVATIONS))
def test_of_any_widths_and_batch(widths: list[int], n: int, activation: str) -> None:
    net = mlp_encoder((widths[0],), tuple(widths[1:-1]), widths[-1], activation).double()
    ours, expected = both(net, draws(n, widths[0], dtype=torch.float64), draws(n, widths[-1], dtype=torch.float64))
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_batches_of_another_size_and_replaced_weights_are_followed() -> None:
    net = mlp_encoder((3,), (8,), 2, "gelu")
    by_hand = DenseNetwork.of(net)
    assert by_hand is not None
    with torch.no_grad():
        for n in (4, 9, 4):
            assert torch.equal(by_hand.forward(draws(n, 3)), net(draws(n, 3)))
        net.load_state_dict({name: 2 * value for name, value in net.state_dict().items()}, assign=True)
        assert torch.equal(by_hand.forward(draws(4, 3)), net(draws(4, 3)))


class _OwnLinear(nn.Linear):
    pass


def _shared() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def _half_frozen() -> nn.Module:
    net = mlp_encoder((3,), (4,), 2, "relu")
    next(net.parameters()).requires_grad_(False)
    return net


@pytest.mark.parametrize(
    "net",
    [
        nn.Linear(3, 2),
        nn.Sequential(),
        nn.Sequential(nn.Linear(3, 2), nn.ReLU()),
        nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(_OwnLinear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), parametrizations.weight_norm(nn.Linear(4, 2))),
        nn.Sequential(nn.Flatten(0, 1), nn.Linear(3, 4)),
        mlp_encoder((3,), (4,), 2, "relu").to(torch.bfloat16),
        mlp_encoder((3,), (4,), 2, "relu").to("meta"),
        _shared(),
        _half_frozen(),
        *(mlp_encoder((3,), (4,), 2, name) for name in LEFT_TO_AUTOGRAD),
    ],
)
def test_other_networks_are_left_to_autograd(net: nn.Module) -> None:
    assert DenseNetwork.of(net) is None


def test_hooks_and_other_layers_are_seen() -> None:
    net = mlp_encoder((3,), (4,), 2, "relu")
    by_hand = DenseNetwork.of(net)
    assert by_hand is not None
    assert by_hand.stands_for(net)
    assert not by_hand.stands_for(mlp_encoder((3,), (4,), 2, "relu"))
    for register in (nn.Module.register_forward_hook, nn.Module.register_full_backward_hook):
        handle = register(net[1], lambda *_: None)
        assert not by_hand.stands_for(net)
        handle.remove()
        assert by_hand.stands_for(net)
    parametrizations.weight_norm(net[0])
    assert not by_hand.stands_for(net)
    net = mlp_encoder((3,), (4,), 2, "relu")
    by_hand = DenseNetwork.of(net)
    assert by_hand is not None
    net[1] = nn.Tanh()
    assert not by_hand.stands_for(net)
