"""How do convolutions between images of few channels and features keep a CPU busy? They make blocks of pixels at once.

The kernels of a CPU compute 8 or 16 output channels in one instruction. A decoder's last layer has 1 or 3, and leaves
most of each instruction empty. A block of B x B pixels of one channel is B² channels of one pixel: an ordinary
convolution makes them, with a larger kernel that holds the small one at B² places, and `pixel_shuffle` puts them side
by side. The gradient of an encoder's first layer with respect to its images is such a transposed convolution, too.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MOST_CHANNELS", "conv_from_few", "conv_transpose_to_few"]

MOST_CHANNELS = 4
"""The largest number of output channels for which blocks are faster."""
_KERNEL, _PADDING = 4, 1
_LEAST = 8
"""The smallest number of output channels of a block."""


def conv_transpose_to_few(x: Tensor, weight: Tensor, bias: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """The result of ``F.conv_transpose2d(x, weight, bias, stride, padding=1)``, cut to a size, for 4x4 kernels.

    Its derivatives are computed by the transposed convolution's own kernels, which are fast.

    Args:
        x: ``(n, in, height, width)``.
        weight: ``(in, out, 4, 4)``.
        bias: ``(out,)``.
        stride: 1 or 2.
        size: of the output, at most ``stride * (n - 1) + 2`` in each direction.

    >>> x, weight, bias = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 4, 4), torch.zeros(1)
    >>> conv_transpose_to_few(x, weight, bias, 1, (3, 3))[0, 0]
    tensor([[ 8., 12., 12.],
            [12., 18., 18.],
            [12., 18., 18.]])
    """
    out: Tensor = _ToFew.apply(x, weight, bias, stride, size)  # type: ignore[no-untyped-call]  # torch's own gap
    return out


def conv_from_few(x: Tensor, weight: Tensor) -> Tensor:
    """The result of ``F.conv2d(x, weight, stride=2, padding=1)`` for images of few channels that need a gradient.

    Only the gradient with respect to the images is computed otherwise, three times as fast as torch's.

    Args:
        x: ``(n, in, height, width)``, height and width even.
        weight: ``(out, in, 4, 4)``.

    >>> conv_from_few(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4))[0, 0]
    tensor([[9., 9.],
            [9., 9.]])
    """
    out: Tensor = _FromFew.apply(x, weight)  # type: ignore[no-untyped-call]  # torch's own gap
    return out


class _FromFew(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=2, padding=_PADDING)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            height, width = x.shape[2:]
            of_x = conv_transpose_to_few(gradient, weight, weight.new_zeros(weight.shape[1]), 2, (height, width))
        if ctx.needs_input_grad[1]:
            padding, wanted = [_PADDING] * 2, [False, True, False]
            of_weight = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [2, 2], padding, [1, 1], False, [0, 0], 1, wanted
            )[1]
        return of_x, of_weight

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor | None, of_weight: Tensor | None) -> Tensor:
        """Linear in x, and in the weight."""
        x, weight = ctx.saved_tensors
        pairs = [(of_x, weight), (x, of_weight)]
        parts = [F.conv2d(a, b, stride=2, padding=_PADDING) for a, b in pairs if a is not None and b is not None]
        return functools.reduce(torch.add, parts)


class _ToFew(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
        side = _side(weight.shape[1], stride)
        places = _places(side, stride)
        moved, before, kernel = side // stride, 2 // stride, places.shape[1]
        blocks = [-(-n // side) for n in size]
        # The last block may look further beyond the edge than the padding on both sides reaches.
        missing = [(b - 1) * moved + kernel - n - 2 * before for b, n in zip(blocks, x.shape[2:], strict=True)]
        if max(missing) > 0:
            x = F.pad(x, (0, max(0, missing[1]), 0, max(0, missing[0])))
        out = F.conv2d(x, _spread(weight, places), bias.repeat_interleave(side**2), stride=moved, padding=before)
        return F.pixel_shuffle(out, side)[..., : size[0], : size[1]].contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int, tuple[int, int]], output: Tensor) -> None:
        x, weight, _, ctx.stride, ctx.size = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        stride, padding, zeros, wanted = [ctx.stride] * 2, [_PADDING] * 2, [0, 0], list(ctx.needs_input_grad[:3])
        cut = [ctx.stride * (n - 1) + _KERNEL - 2 * _PADDING - m for n, m in zip(x.shape[2:], ctx.size, strict=True)]
        whole = F.pad(gradient, (0, cut[1], 0, cut[0]))
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            whole, x, weight, [weight.shape[1]], stride, padding, [1, 1], True, zeros, 1, wanted
        )
        return of_x, of_weight, of_bias, None, None

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None, *_: None) -> Tensor:
        """Linear in x and bias, and in the weight."""
        x, weight = ctx.saved_tensors

        def plain(x: Tensor, weight: Tensor) -> Tensor:
            whole = F.conv_transpose2d(x, weight, stride=ctx.stride, padding=_PADDING)
            return whole[..., : ctx.size[0], : ctx.size[1]]

        parts = [plain(of_x, weight)] if of_x is not None else []
        parts += [plain(x, of_weight)] if of_weight is not None else []
        if of_bias is not None:
            parts.append(of_bias[:, None, None].expand(x.shape[0], -1, *ctx.size))
        return functools.reduce(torch.add, parts)


def _side(channels: int, stride: int) -> int:
    """The side of a block: the stride, doubled until the block's channels fill an instruction."""
    side = stride
    while channels * side**2 < _LEAST:
        side *= 2
    return side


def _places(side: int, stride: int) -> Tensor:
    """For each pixel of a block and each entry of the large kernel, the entry of the small kernel, in one direction.

    Input j contributes to pixel b with entry ``b + padding - stride * j``; the number 4 means that there is none.

    >>> _places(2, 2)
    tensor([[3, 1, 4],
            [4, 2, 0]])
    """
    first, last = -(2 // stride), side // stride
    rows = [[b + _PADDING - stride * j for j in range(first, last + 1)] for b in range(side)]
    return torch.tensor([[k if 0 <= k < _KERNEL else _KERNEL for k in row] for row in rows], device="cpu")


def _spread(weight: Tensor, places: Tensor) -> Tensor:
    """The large kernel, ``(out * side², in, kernel, kernel)``, channels last in memory."""
    channels, (side, kernel) = weight.shape[:2], places.shape
    with_zeros = F.pad(weight, (0, 1, 0, 1))
    spread = with_zeros[:, :, places][..., places]  # (in, out, side, kernel, side, kernel)
    spread = spread.permute(1, 2, 4, 3, 5, 0).reshape(channels[1] * side**2, kernel, kernel, channels[0])
    return spread.permute(0, 3, 1, 2)
