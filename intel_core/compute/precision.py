"""In which number format do the networks compute? float32, or bfloat16 where that is the faster one.

Only what a network multiplies is lowered: weights, optimiser state, posterior, mapping, likelihood and every sum stay
float32. A network in bfloat16 has its 4-d weights in channels-last order, the layout its kernels want.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from intel_core.compute.device import pick_device
from intel_core.errors import SpecError, did_you_mean
from intel_core.model.contract import NetworkSpec

__all__ = ["AUTO_PRECISION", "apply_in", "bfloat16_pays", "order_weights", "pick_precision"]

AUTO_PRECISION = "INTEL_AUTO_PRECISION"
"""Environment variable: the number format that ``precision=auto`` takes for convolutional networks on any device."""
_FORMATS = ("float32", "bfloat16")


def pick_precision(asked: str, device: str, *networks: NetworkSpec) -> str:
    """``float32`` or ``bfloat16``; ``auto`` takes bfloat16 for convolutional networks where `bfloat16_pays`.

    Dense networks stay in float32: they are so small here that the casts would cost more than the products save.

    Args:
        asked: ``auto``, or the answer itself.
        device: the device as a run spec names it.
        *networks: specs of the encoder and the decoder.

    Raises:
        SpecError: if the answer hangs on a device that is not here.

    >>> from intel_core.networks.specs import MLPSpec
    >>> pick_precision("auto", "cpu", MLPSpec())
    'float32'
    """
    if asked != "auto":
        return asked
    convolutional = any(network.convolutional for network in networks)
    return "bfloat16" if convolutional and bfloat16_pays(pick_device(device)) else "float32"


def bfloat16_pays(device: torch.device) -> bool:
    """Whether a device has units that multiply matrices in bfloat16: a CPU with AMX, a GPU that says so.

    It is asked for what it has and never timed, so that one spec means the same run whenever it is asked. A CPU that
    has the AVX512-BF16 instructions alone counts as having none: on some it is faster in them, on others slower than
    in float32, and ``--precision bfloat16`` is there for whoever knows. ``INTEL_AUTO_PRECISION`` overrules the answer.

    Raises:
        SpecError: if that variable names no number format.
    """
    wanted = os.environ.get(AUTO_PRECISION, "").strip()
    if wanted:
        if wanted not in _FORMATS:
            raise SpecError(f"{AUTO_PRECISION}={wanted!r} is no number format{did_you_mean(wanted, _FORMATS)}")
        return wanted == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


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
