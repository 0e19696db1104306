"""Where is it computed? The device that a spec names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from intel_core.errors import SpecError, did_you_mean

__all__ = ["pick_device"]


def pick_device(name: str) -> torch.device:
    """The device a spec names; ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        SpecError: if there is no such device here.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        here = _devices()
        raise SpecError(f"device {name!r} is not here{did_you_mean(name, here, say='devices')}") from None
    return device


def _devices() -> Sequence[str]:
    found = ["auto", "cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
