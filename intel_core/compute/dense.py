"""How is a dense network evaluated and differentiated without autograd?

Autograd records each operation, allocates each result, and calls each derivative through its graph: for layers of ten
to a hundred features this takes longer than the products themselves. The graph of a chain of layers is known, so that
its derivatives can be written down, into memory that every step uses again. Operations and numbers are autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["DenseNetwork"]

_aten = torch.ops.aten
_DTYPES = (torch.float32, torch.float64)


class _Activation(NamedTuple):
    """An activation, and its gradient by the kernel that autograd calls.

    Attributes:
        apply: from the values before it to those after, ``out=`` both; in place where `kept` is false.
        gradient: of ``(gradient after, values, out)``; of the values before where `kept`, else of those after.
        kept: whether the gradient needs the values before.
    """

    apply: Callable[[Tensor, Tensor], Any]
    gradient: Callable[[Tensor, Tensor, Tensor], Any]
    kept: bool


def _relu(_: nn.Module) -> _Activation:
    return _Activation(
        lambda _, h: h.relu_(), lambda g, h, out: _aten.threshold_backward.grad_input(g, h, 0, grad_input=out), False
    )


def _leaky_relu(layer: nn.Module) -> _Activation:
    slope = float(layer.negative_slope)  # type: ignore[arg-type]  # a number, as its class says
    return _Activation(
        lambda _, h: torch.nn.functional.leaky_relu_(h, slope),
        lambda g, h, out: _aten.leaky_relu_backward.grad_input(g, h, slope, True, grad_input=out),
        False,
    )


def _tanh(_: nn.Module) -> _Activation:
    return _Activation(
        lambda _, h: h.tanh_(), lambda g, h, out: _aten.tanh_backward.grad_input(g, h, grad_input=out), False
    )


def _silu(_: nn.Module) -> _Activation:
    return _Activation(
        lambda before, h: _aten.silu.out(before, out=h),
        lambda g, before, out: _aten.silu_backward.grad_input(g, before, grad_input=out),
        True,
    )


def _gelu(layer: nn.Module) -> _Activation:
    form = str(layer.approximate)
    return _Activation(
        lambda before, h: _aten.gelu.out(before, approximate=form, out=h),
        lambda g, before, out: _aten.gelu_backward.grad_input(g, before, approximate=form, grad_input=out),
        True,
    )


_ACTIVATIONS: dict[type[nn.Module], Callable[[nn.Module], _Activation]] = {
    nn.ReLU: _relu,
    nn.LeakyReLU: _leaky_relu,
    nn.Tanh: _tanh,
    nn.SiLU: _silu,
    nn.GELU: _gelu,
}
"""Activations of other classes, subclasses of these included, leave a network to autograd."""


class _Layer(NamedTuple):
    """An affine layer, and what follows it.

    Attributes:
        parameters: the module's own dictionary of them, which is read in a fifth of the time of its attributes.
        activation: None after the last layer.
    """

    parameters: dict[str, Any]
    activation: _Activation | None


class DenseNetwork:
    """A chain of affine layers and activations, its derivatives written by hand; the parameters are the module's own.

    `forward` keeps what `backward` needs until the next `forward`. The gradients of the parameters are put into their
    ``grad``, the same memory at every step.

    >>> net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    >>> by_hand = DenseNetwork.of(net)
    >>> with torch.no_grad():
    ...     out = by_hand.forward(x)
    ...     to_x = by_hand.backward(torch.ones(5, 2), of_input=True)
    >>> x.requires_grad_()[0, 0].item() == x[0, 0].item() and torch.equal(out, net(x))
    True
    >>> gradient = net[0].weight.grad.clone()
    >>> net.zero_grad(); net(x).sum().backward()
    >>> torch.equal(net[0].weight.grad, gradient), torch.equal(x.grad, to_x)
    (True, True)
    """

    def __init__(self, network: nn.Module, layers: list[_Layer], *, flattens: bool, shape: tuple[int, ...]) -> None:
        self._layers, self._flattens, self._shape = layers, flattens, shape
        self._modules: list[Any] = [network, *network._modules.values()]
        self._classes = [type(module) for module in self._modules]
        self._sized_for: tuple[int, torch.dtype] | None = None
        self._gradients: list[tuple[Tensor, Tensor]] = []
        self._values: list[tuple[Tensor, Tensor]] = []
        self._slopes: list[Tensor] = []
        self._x = torch.empty(0)

    @classmethod
    def of(cls, network: nn.Module) -> DenseNetwork | None:
        """The network by hand; None where it is not such a chain on a CPU, or not all of it is trained."""
        if type(network) is not nn.Sequential:
            return None
        modules, flattens, shape = list(network), False, tuple[int, ...]()
        if modules and type(modules[0]) is nn.Flatten and (modules[0].start_dim, modules[0].end_dim) == (1, -1):
            flattens = True
            del modules[0]
        if modules and type(modules[-1]) is nn.Unflatten and modules[-1].dim == 1:
            shape = tuple(modules.pop().unflattened_size)  # type: ignore[arg-type]
        if len(modules) % 2 == 0:
            return None
        layers = []
        for place in range(0, len(modules), 2):
            linear, after = modules[place], modules[place + 1] if place + 1 < len(modules) else None
            if type(linear) is not nn.Linear or linear.bias is None or parametrize.is_parametrized(linear):
                return None
            if after is not None and type(after) not in _ACTIVATIONS:
                return None
            layers.append(_Layer(linear._parameters, None if after is None else _ACTIVATIONS[type(after)](after)))
        parameters = list(network.parameters())
        kinds = {(p.device.type, p.dtype, p.layout, p.requires_grad) for p in parameters}
        distinct = len(parameters) == 2 * len(layers)  # a layer that stands twice has one gradient
        if not distinct or kinds not in ({("cpu", dtype, torch.strided, True)} for dtype in _DTYPES):
            return None
        return cls(network, layers, flattens=flattens, shape=shape)

    def stands_for(self, network: nn.Module) -> bool:
        """Whether it still computes what a network does: none of its layers is another one, or hooked into."""
        modules = [network, *network._modules.values()]
        if modules != self._modules or [type(module) for module in modules] != self._classes:
            return False
        for module in self._modules:
            if (
                module._forward_hooks
                or module._forward_pre_hooks
                or module._backward_hooks
                or module._backward_pre_hooks
            ):
                return False
        return True

    def forward(self, x: Tensor) -> Tensor:
        """The output, in memory of its own; call it, and `backward`, without autograd."""
        x = self._x = x.flatten(1) if self._flattens else x
        if self._sized_for != (len(x), x.dtype):
            self._allocate(x)
        for (parameters, activation), (before, after) in zip(self._layers, self._values, strict=False):
            torch.addmm(parameters["bias"], x, parameters["weight"].t(), out=before)
            assert activation is not None
            activation.apply(before, after)
            x = after
        last = self._layers[-1].parameters
        out = torch.addmm(last["bias"], x, last["weight"].t())
        return out.view(-1, *self._shape) if self._shape else out

    def backward(self, gradient: Tensor, *, of_input: bool) -> Tensor | None:
        """Set the gradients of the parameters; the gradient of the input, if it is asked for.

        Args:
            gradient: of what is minimised with respect to the output.
            of_input: whether that with respect to the input is wanted.
        """
        if self._shape:
            gradient = gradient.flatten(1)
        for place in range(len(self._layers) - 1, -1, -1):
            weight, bias = self._layers[place].parameters["weight"], self._layers[place].parameters["bias"]
            of_weight, of_bias = self._gradients[place]
            torch.mm(gradient.t(), self._values[place - 1][1] if place else self._x, out=of_weight)
            torch.sum(gradient, 0, out=of_bias)
            weight.grad, bias.grad = of_weight, of_bias
            if place == 0:
                return gradient.mm(weight) if of_input else None
            slope, activation = self._slopes[place - 1], self._layers[place - 1].activation
            torch.mm(gradient, weight, out=slope)
            assert activation is not None
            activation.gradient(slope, self._values[place - 1][0 if activation.kept else 1], slope)
            gradient = slope
        raise AssertionError("a network has a layer")

    def _allocate(self, x: Tensor) -> None:
        self._sized_for, self._values, self._slopes = (len(x), x.dtype), [], []
        self._gradients = [
            (x.new_empty(layer["weight"].shape), x.new_empty(layer["bias"].shape)) for layer, _ in self._layers
        ]
        for layer, activation in self._layers[:-1]:
            assert activation is not None
            after = x.new_empty(len(x), len(layer["bias"]))
            self._values.append((torch.empty_like(after) if activation.kept else after, after))
            self._slopes.append(torch.empty_like(after))
