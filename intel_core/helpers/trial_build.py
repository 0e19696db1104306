"""Can a part of a model be built? It is tried without values, which might take the memory of the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["trial_build"]

_Part = TypeVar("_Part")


def trial_build(build: Callable[[], _Part]) -> tuple[_Part | None, Exception | None]:
    """What `build` builds, without values if it can be; or None, and the error that keeps it from being built.

    The random state of the process stays as it is.

    >>> part, _ = trial_build(lambda: torch.nn.Linear(2, 10**9))
    >>> part.weight.device.type
    'meta'
    >>> trial_build(lambda: 1 // 0)
    (None, ZeroDivisionError('integer division or modulo by zero'))
    """
    raised: Exception | None = None
    for device in ("meta", "cpu"):
        try:
            with torch.random.fork_rng(devices=[]), torch.device(device):
                return build(), None
        except Exception as error:  # a plugin's own
            raised = error
    return None, raised
