"""On which device does a run compute? The one that its spec names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from intel_core.errors import EnvironmentProblem, SpecError, did_you_mean

__all__ = ["pick_device"]


def pick_device(name: str) -> torch.device:
    """The device a spec names; ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        SpecError: if no device has such a name.
        EnvironmentProblem: if this machine has no such device.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if device.type == "meta":  # it computes nothing
        is_gpu = "gpu" in str(name).lower()
        hint = "; a GPU is called cuda" if is_gpu else did_you_mean(str(name), _devices(), say="devices")
        raise SpecError(f"device {name!r} is not here{hint}") from None
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise EnvironmentProblem(f"device {name!r} is not here; devices: {', '.join(_devices())}") from None
    return device


def _devices() -> Sequence[str]:
    found = ["auto", "cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
