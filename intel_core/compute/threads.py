"""How many threads does a step use? One if its products are small, otherwise all.

On a small dense network several threads are slower than one, because distributing the work takes longer than the work.
With one thread, moreover, a seed gives the same numbers on machines with few and with many cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["is_small", "one_thread"]

_SMALL = 4_000_000
"""Multiplications, below which two threads were not faster than one (see docs/performance.md)."""


def is_small(model: nn.Module, rows: int) -> bool:
    """Whether a pass of so many rows through dense layers is too small for several threads; convolutions never are.

    Args:
        model: a row is multiplied with each of its weights once.
        rows: examples of a step, times particles, times models in a stack.

    >>> is_small(nn.Linear(64, 64), 100), is_small(nn.Linear(784, 256), 100), is_small(nn.Conv2d(1, 2, 3), 1)
    (True, False, False)
    """
    weights = list(model.parameters())
    return all(w.dim() <= 2 for w in weights) and rows * sum(w.numel() for w in weights) < _SMALL


@contextlib.contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """A block in which torch computes on one thread, if wanted; afterwards on as many as before.

    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
