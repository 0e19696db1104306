"""What is the network of one level? Dense layers that compute in the precision of their input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from intel_core.networks.layers import glorot_

__all__ = ["ACTIVATIONS", "Activation", "Network", "spectral_norm"]


class Activation(NamedTuple):
    """A function of one variable.

    Attributes:
        function: applied to each entry.
        slope: its largest absolute slope.
    """

    function: Callable[[Tensor], Tensor]
    slope: float


def _softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``; torch's own softplus jumps by 2e-9 where it switches to a linear function."""
    return -functional.logsigmoid(-x)


def _identity(x: Tensor) -> Tensor:
    return x


# gelu = x Φ(x) has the slope Φ(x) + x φ(x), which is largest at the square root of 2.
_GELU_SLOPE = math.erfc(-1) / 2 + math.exp(-1) / math.sqrt(math.pi)

ACTIVATIONS = {
    "relu": Activation(functional.relu, 1.0),
    "leaky_relu": Activation(functional.leaky_relu, 1.0),
    "elu": Activation(functional.elu, 1.0),
    "tanh": Activation(torch.tanh, 1.0),
    "softplus": Activation(_softplus, 1.0),
    "gelu": Activation(functional.gelu, _GELU_SLOPE),
    "identity": Activation(_identity, 1.0),
}


class Network(nn.Module):
    """Dense layers, initialised Glorot-uniform with zero biases; an activation follows each, optionally the last too.

    Weights are converted to the precision of the input, so that a float64 input is computed in float64.

    Source: Miao et al., appendix B; one layer with ReLU in the authors' code.

    Args:
        widths: of the input, of the hidden layers and of the output.
        activation: one of `ACTIVATIONS`.
        last: whether the activation also follows the last layer.

    >>> Network((2, 8, 3), "relu", last=True)(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, widths: Sequence[int], activation: str, *, last: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(*pair) for pair in itertools.pairwise(widths)])
        self.activation = activation
        self.last = last
        glorot_(self)

    def _active(self, i: int) -> bool:
        return self.last or i < len(self.layers) - 1

    def forward(self, x: Tensor) -> Tensor:
        """``(..., widths[0]) -> (..., widths[-1])``."""
        function = ACTIVATIONS[self.activation].function
        for i, layer in enumerate(self._linear()):
            x = functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))
            if self._active(i):
                x = function(x)
        return x

    def _linear(self) -> list[nn.Linear]:
        return cast("list[nn.Linear]", list(self.layers))

    def steepness(self, blocks: Sequence[int]) -> list[float]:
        r"""How steep the network is in each block of its input, as bounds :math:`c_b` of all difference quotients.

        .. math:: \|f(x) - f(x')\| \le \sum_b c_b \|x_b - x'_b\|, \qquad
            c_b = \lambda^a \|W_1^{(b)}\|_2 \prod_{l > 1} \|W_l\|_2

        :math:`W_1^{(b)}` are the columns of the first layer that belong to block b, :math:`\lambda` is the largest
        slope of the activation, and a the number of layers that have one.

        Args:
            blocks: sizes of the blocks, which sum to ``widths[0]``.

        >>> network = Network((2, 1), "identity", last=True)
        >>> _ = network.layers[0].weight.data.copy_(torch.tensor([[3.0, -4.0]]))
        >>> network.steepness([1, 1]), network.steepness([2])
        ([3.0, 4.0], [5.0])
        """
        first, *others = (layer.weight for layer in self._linear())
        slope = ACTIVATIONS[self.activation].slope
        common = math.prod(slope for i in range(len(self.layers)) if self._active(i))
        common *= math.prod(spectral_norm(weight) for weight in others)
        return [common * spectral_norm(part) for part in torch.split(first, list(blocks), dim=1)]


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value, in float64.

    >>> spectral_norm(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    2.0
    """
    return float(torch.linalg.matrix_norm(matrix.detach().cpu().double(), 2))
