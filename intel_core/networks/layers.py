"""How are encoders and decoders built? Dense ones for any vector, convolutional ones for images of any size.

With their default settings they are the paper's functions exactly.

All weights are Glorot-uniform and all biases zero, batch normalisation has momentum 0.01 and epsilon 1e-3, as
in the authors' code (Keras' defaults). Convolutions pad as TensorFlow's ``SAME`` does, odd sizes included. One thing is
left out: the bias of a convolution before batch normalisation, which would subtract it again.

Images and weights lie in memory with the channels last, the order for which the kernels of CPUs and GPUs are made, from
the first layer to the last. Shapes are those of any PyTorch network.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intel_core.networks.few_channels import MOST_CHANNELS, conv_from_few, conv_transpose_to_few

__all__ = ["ConvDecoder", "ConvEncoder", "glorot_", "mlp_decoder", "mlp_encoder"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    # In place if the layer before does not need its output: on a CPU, new memory costs as much as computing the values.
    "relu": functools.partial(nn.ReLU, inplace=True),
    "leaky_relu": functools.partial(nn.LeakyReLU, inplace=True),
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def glorot_(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases for every dense and convolutional layer, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _dense(sizes: Sequence[int], activation: str) -> list[nn.Module]:
    """Dense layers with an activation between them, none after the last."""
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        if i > 0:
            layers.append(_ACTIVATIONS[activation]())
        layers.append(nn.Linear(fan_in, fan_out))
    return layers


def mlp_encoder(x_shape: Sequence[int], hidden: Sequence[int], out_features: int, activation: str) -> nn.Sequential:
    """Dense layers ``(n, *x_shape) -> (n, out_features)``.

    >>> len(mlp_encoder((1, 8, 8), (32, 16), 4, "relu"))
    6
    """
    layers = _dense((math.prod(x_shape), *hidden, out_features), activation)
    net = nn.Sequential(*([nn.Flatten()] if len(x_shape) > 1 else []), *layers)
    glorot_(net)
    return net


def mlp_decoder(in_features: int, hidden: Sequence[int], out_shape: Sequence[int], activation: str) -> nn.Sequential:
    """Dense layers ``(n, in_features) -> (n, *out_shape)``, the hidden widths in reverse order.

    >>> import torch
    >>> mlp_decoder(2, (32,), (1, 8, 8), "relu")(torch.zeros(3, 2)).shape
    torch.Size([3, 1, 8, 8])
    """
    layers = _dense((in_features, *reversed(hidden), math.prod(out_shape)), activation)
    net = nn.Sequential(*layers, *([nn.Unflatten(1, tuple(out_shape))] if len(out_shape) > 1 else []))
    glorot_(net)
    return net


def _channels_last_(network: nn.Module) -> None:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own gap


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _plainly(x: Tensor) -> bool:
    """Whether kernels of torch's own are used: beside a CPU, and where other numbers or compilers have their own."""
    return x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()


class _Down(nn.Conv2d):
    """A 4x4 convolution with stride 2 and no bias; of images that are learned the gradient is computed in blocks."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, in, height, width) -> (n, out, height / 2, width / 2)``."""
        if x.requires_grad and self.in_channels <= MOST_CHANNELS and not _plainly(x):
            return conv_from_few(x, self.weight)
        return super().forward(x)


def _down(channels_in: int, channels_out: int, size: tuple[int, int]) -> list[nn.Module]:
    """A 4x4 convolution with stride 2 and ``SAME`` padding: 1 before, and 1 (even size) or 2 (odd) after."""
    odd = [n % 2 for n in size]
    conv = _Down(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
    return [nn.ZeroPad2d((0, odd[1], 0, odd[0])), conv] if any(odd) else [conv]


_USUAL_BATCH = 100


class _FromGrid(nn.Linear):
    """A dense layer on all values of ``(n, channels, height, width)``, its weights in that order.

    In memory the channels of an example lie last, and a product needs its weights and values in the same order: for a
    usual batch, whichever of the two is smaller is reordered.
    """

    def __init__(self, grid: tuple[int, int, int], out_features: int) -> None:
        super().__init__(math.prod(grid), out_features)
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """``(n, *grid) -> (n, out_features)``."""
        if self.out_features > _USUAL_BATCH:
            return super().forward(x.flatten(1))
        weight = self.weight.reshape(self.out_features, self.grid[0], -1).transpose(1, 2).flatten(1)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)


class _ToGrid(nn.Linear):
    """A dense layer to ``(n, channels, height, width)``, its weights in that order; as `_FromGrid`."""

    def __init__(self, in_features: int, grid: tuple[int, int, int]) -> None:
        super().__init__(in_features, math.prod(grid))
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """``(n, in_features) -> (n, *grid)``."""
        channels, height, width = self.grid
        if self.in_features > _USUAL_BATCH:
            out = super().forward(x).reshape(x.shape[0], channels, height * width).transpose(1, 2).contiguous()
        else:
            weight = self.weight.reshape(channels, -1, self.in_features).transpose(0, 1).flatten(0, 1)
            out = F.linear(x, weight, self.bias.reshape(channels, -1).t().flatten())
        return out.reshape(x.shape[0], height, width, channels).permute(0, 3, 1, 2)


class _Up(nn.ConvTranspose2d):
    """A 4x4 transposed convolution to exactly a given size: the adjoint of a ``SAME`` convolution."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, size: tuple[int, int], *, bias: bool) -> None:
        super().__init__(channels_in, channels_out, 4, stride=stride, padding=1, bias=bias)
        self.size = size

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``padding=1`` drops the first and last row and column; whatever exceeds the size is cut at the end."""
        if self.bias is not None and self.out_channels <= MOST_CHANNELS and not _plainly(x):
            return conv_transpose_to_few(x, self.weight, self.bias, self.stride[0], self.size)
        x = super().forward(x, output_size)
        height, width = self.size
        return x if x.shape[-2:] == self.size else x[..., :height, :width]


class ConvEncoder(nn.Sequential):
    """Stride-2 convolutions, each with batch normalisation and LeakyReLU(0.2), then one dense layer.

    With channels (32, 64, 128) on 28x28 it is the authors' encoder: 28, 14, 7, 4, then 2048 features.

    >>> import torch
    >>> ConvEncoder((1, 28, 28), (32, 64, 128), 20)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 20])
    """

    def __init__(self, x_shape: Sequence[int], channels: Sequence[int], out_features: int) -> None:
        depth, *size = x_shape
        layers: list[nn.Module] = []
        for width in channels:
            layers += [*_down(depth, width, (size[0], size[1])), _norm(width), nn.LeakyReLU(0.2, inplace=True)]
            depth, size = width, [math.ceil(n / 2) for n in size]
        super().__init__(*layers, _FromGrid((depth, size[0], size[1]), out_features))
        glorot_(self)
        _channels_last_(self)


class ConvDecoder(nn.Sequential):
    """A dense layer with ReLU, then batch normalisation, ReLU and a transposed convolution per layer.

    With channels (32, 64, 128) and `last_stride` 1 on 28x28 it is the authors' decoder: 7·7·128, 14, 28, 28; with
    (64, 128, 256) and `last_stride` 2 on 64x64 their CelebA decoder: 8·8·256, 16, 32, 64.

    >>> import torch
    >>> ConvDecoder(10, (32, 64, 128), (1, 28, 28), 1)(torch.zeros(2, 10)).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(self, in_features: int, channels: Sequence[int], out_shape: Sequence[int], last_stride: int) -> None:
        out_channels, *size = out_shape
        sizes = [(size[0], size[1])]
        strides = [2] * (len(channels) - 1) + [last_stride]
        for stride in reversed(strides):
            height, width = sizes[0]
            sizes.insert(0, (math.ceil(height / stride), math.ceil(width / stride)))
        widths = [*reversed(channels), out_channels]
        height, width = sizes[0]
        layers: list[nn.Module] = [
            _ToGrid(in_features, (widths[0], height, width)),
            nn.ReLU(),  # not in place: its input is a view
        ]
        for i, stride in enumerate(strides):
            up = _Up(widths[i], widths[i + 1], stride, sizes[i + 1], bias=i == len(strides) - 1)
            layers += [_norm(widths[i]), nn.ReLU(inplace=True), up]
        super().__init__(*layers)
        glorot_(self)
        _channels_last_(self)
