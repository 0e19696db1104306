"""In which number format do the networks compute? float32, or bfloat16 if the device has units for it.

Only products inside the networks use bfloat16: weights, optimiser state, posterior, mapping, likelihood and every sum
stay float32. A network in bfloat16 has its 4-d weights in channels-last order, the layout that its kernels expect.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from intel_core.compute.device import pick_device
from intel_core.errors import SpecError, did_you_mean
from intel_core.model.contract import NetworkSpec

__all__ = ["AUTO_PRECISION", "apply_in", "bfloat16_pays", "order_weights", "pick_precision", "torch_as_usual"]

AUTO_PRECISION = "INTEL_AUTO_PRECISION"
"""Environment variable: the number format that ``precision=auto`` takes for convolutional networks on any device."""
_FORMATS = ("float32", "bfloat16")


def pick_precision(asked: str, device: str, *networks: NetworkSpec) -> str:
    """``float32`` or ``bfloat16``; ``auto`` takes bfloat16 for convolutional networks if `bfloat16_pays`.

    Dense networks stay in float32: they are so small here that the casts would cost more than the products gain.

    Args:
        asked: ``auto``, or the answer itself.
        device: the device as a run spec names it.
        *networks: specs of the encoder and the decoder.

    Raises:
        SpecError: if the answer depends on a device that is not here.

    >>> from intel_core.networks.specs import MLPSpec
    >>> pick_precision("auto", "cpu", MLPSpec())
    'float32'
    """
    if asked != "auto":
        return asked
    convolutional = any(network.convolutional for network in networks)
    return "bfloat16" if convolutional and bfloat16_pays(pick_device(device)) else "float32"


def bfloat16_pays(device: torch.device) -> bool:
    """Whether a device has units that multiply matrices in bfloat16: a CPU with AMX, or a GPU that reports them.

    Nothing is timed, so that the same spec gives the same run every time. A CPU with AVX512-BF16 instructions but no
    AMX counts as having no such units, because some of these CPUs are slower in bfloat16 than in float32; if yours is
    faster, use ``--precision bfloat16``. ``INTEL_AUTO_PRECISION`` overrules the answer.

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
    """Put a network's 4-d weights into the memory order for a precision, in place; float32 leaves them unchanged."""
    if precision == "bfloat16":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own gap


def apply_in(precision: str, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The output of a network for x, computed in a precision and returned in the dtype of x."""
    if precision == "float32":
        return network(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        out = network(x)
    return out.to(x.dtype)


@contextlib.contextmanager
def torch_as_usual() -> Iterator[None]:
    """Torch as it is when imported, whatever a script has set: new tensors are float32, on the CPU, with gradients.

    A context, or a decorator; the script's own settings are back afterwards.

    >>> torch.set_default_dtype(torch.float64)
    >>> with torch_as_usual():
    ...     torch.zeros(1).dtype
    torch.float32
    >>> torch.zeros(1).dtype
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    dtype = torch.get_default_dtype()
    # Only where it is another: while there is a default device, every call of torch goes through Python.
    moved = torch.empty(0).device.type != "cpu"  # get_default_device fails in torch 2.6 once none is set again
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu") if moved else contextlib.nullcontext(), torch.inference_mode(False):
            yield
    finally:
        torch.set_default_dtype(dtype)
