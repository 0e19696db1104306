"""In which number format do the networks compute? float32, or bfloat16 where that is the faster one.

Only what a network multiplies is lowered: weights, optimiser state, posterior, mapping, likelihood and every sum stay
float32. A network in bfloat16 has its 4-d weights in channels-last order, the layout its kernels want.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from intel_core.compute.device import pick_device
from intel_core.model.contract import NetworkSpec

__all__ = ["apply_in", "bfloat16_pays", "order_weights", "pick_precision"]

_MARGIN = 1.3
"""A product must be so many times faster in bfloat16 before a step, which is more than products, gains by it."""


def pick_precision(asked: str, device: str, *networks: NetworkSpec) -> str:
    """``float32`` or ``bfloat16``; ``auto`` takes bfloat16 for convolutional networks where `bfloat16_pays`.

    Dense networks stay in float32: they are so small here that the casts would cost more than the products save.

    Args:
        asked: ``auto``, or the answer itself.
        device: the device as a run spec names it.
        *networks: specs of the encoder and the decoder.

    Raises:
        SpecError: if the answer hangs on a device that is not here.

    >>> from intel_core.model.specs import MLPSpec
    >>> pick_precision("auto", "cpu", MLPSpec())
    'float32'
    """
    if asked != "auto":
        return asked
    convolutional = any(network.convolutional for network in networks)
    return "bfloat16" if convolutional and bfloat16_pays(pick_device(device)) else "float32"


def bfloat16_pays(device: torch.device) -> bool:
    """Whether matrix products are clearly faster in bfloat16 than in float32 on a device.

    A CPU with AMX and a GPU with bfloat16 units always are; a CPU with neither AMX nor AVX512-BF16 never is. The
    AVX512-BF16 instruction alone says little: it has twice the float32 rate on some processors and half of it on
    others, so there a product is timed, once in a process.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not torch.cpu._is_avx512_bf16_supported():
        return False
    return torch.cpu._is_amx_tile_supported() or _bfloat16_gain() > _MARGIN


@functools.cache
def _bfloat16_gain(size: int = 512, rounds: int = 15) -> float:
    """How many times faster this CPU multiplies in bfloat16: the best of alternating rounds, whatever else runs."""
    matrices = [torch.full((size, size), 0.5, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    best = [float("inf")] * 2
    for _ in range(rounds):
        for which, matrix in enumerate(matrices):
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            best[which] = min(best[which], time.perf_counter() - start)
    return best[0] / best[1]


def order_weights(network: nn.Module, precision: str) -> None:
    """Lay a network's 4-d weights out for a precision, in place; float32 leaves them as they are."""
    if precision == "bfloat16":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own gap


def apply_in(precision: str, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What a network says of x, computed in a precision, in the dtype of x."""
    if precision == "float32":
        return network(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        out = network(x)
    return out.to(x.dtype)
