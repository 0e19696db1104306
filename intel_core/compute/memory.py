"""How much memory is there, and what happens when it runs out?"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from intel_core.errors import EnvironmentProblem

__all__ = [
    "RESIDENT_SHARE",
    "SMALLER",
    "fits",
    "fits_beside",
    "memory_there",
    "out_of_memory_told",
    "require_bytes",
]

SMALLER = "Try smaller networks, a smaller latent or batch_size, or fewer particles"
RESIDENT_SHARE = 0.25
"""The share of the memory that training data may take before ``stream=auto`` leaves them on disk."""
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def require_bytes(what: str, needed: float, device: torch.device, advice: str) -> None:
    """Refuse what clearly cannot fit into the memory of a device.

    Args:
        what: what needs the memory, for the message.
        needed: bytes.
        device: the device.
        advice: what to do about it.

    Raises:
        EnvironmentProblem: with the estimate and what is there, in GiB.

    >>> require_bytes("nothing", 0.0, torch.device("cpu"), "ask for less")
    """
    there = memory_there(device)
    if there is not None and needed > there:
        raise EnvironmentProblem(
            f"{what} would take about {_gib(needed)} GiB of memory, {device} has {_gib(there)}. {advice}"
        )


def fits(size: float, device: torch.device) -> bool:
    """Whether a number of bytes is at most the memory of a device; True if that is not known."""
    there = memory_there(device)
    return there is None or size <= there


def fits_beside(size: float) -> bool:
    """Whether training data of so many bytes leave enough memory for the rest of a run, also on an accelerator.

    >>> fits_beside(1.0)
    True
    """
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    there = [found for found in map(memory_there, devices) if found is not None]
    return size <= RESIDENT_SHARE * min(there, default=math.inf)


@contextlib.contextmanager
def out_of_memory_told() -> Iterator[None]:
    """A block in which running out of memory becomes an error that the user understands.

    Raises:
        EnvironmentProblem: where memory ran out inside the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        spent = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not spent:
            raise
        raise EnvironmentProblem(
            f"memory ran out; what was saved stays, and resume goes on from it. {SMALLER}"
        ) from error


def memory_there(device: torch.device) -> float | None:
    """Bytes of memory that a device has, used or free; None if that cannot be known.

    >>> memory_there(torch.device("meta")) is None
    True
    """
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type not in ("cpu", "mps"):
        return None
    found: list[float] = []
    with contextlib.suppress(ValueError, OSError, AttributeError):  # Windows has no sysconf
        found.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    for path in _CGROUP:
        with contextlib.suppress(ValueError, OSError):  # "max" is no number
            found.append(float(path.read_text()))
    return min(found, default=None)


def _gib(size: float) -> str:
    return "more than a million" if size > 2**50 else f"{size / 2**30:,.1f}"
