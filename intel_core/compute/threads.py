"""On how many threads does a training compute? Dense networks on one, so that it is the same on every machine.

Torch divides large sums, functions of each entry and matrix products among its threads, and each number of threads
rounds differently. So a training is repeated bit for bit only on the same number of them. Dense networks take one
thread, which is fastest for small ones, unless ``INTEL_THREADS`` says otherwise. Convolutions would take too long on
one, and use the threads of torch (``OMP_NUM_THREADS``, otherwise one for each core). A run records its number of
threads and continues with it.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from intel_core.errors import SpecError

__all__ = ["is_dense", "on_threads", "threads_for", "threads_to_go_on"]

_VARIABLE = "INTEL_THREADS"


def is_dense(model: nn.Module) -> bool:
    """Whether a model has no weight that is more than a matrix, as those of convolutions are.

    >>> is_dense(nn.Linear(784, 256)), is_dense(nn.Conv2d(1, 2, 3))
    (True, False)
    """
    return all(weight.dim() <= 2 for weight in model.parameters())


def threads_for(model: nn.Module) -> int:
    """How many threads a training of this model takes.

    Raises:
        SpecError: if ``INTEL_THREADS`` is no number of threads.

    >>> threads_for(nn.Linear(784, 256)), threads_for(nn.Conv2d(1, 2, 3)) == torch.get_num_threads()
    (1, True)
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    return _asked() or (1 if on_cpu and is_dense(model) else torch.get_num_threads())


def threads_to_go_on(what: str, model: nn.Module, began: int | None) -> int:
    """How many threads a training takes that has begun on some: the same, so that it is as if it had never stopped.

    If this machine has fewer, or ``INTEL_THREADS`` asks for another number, a warning says that the result differs.

    Args:
        what: the run, for messages.
        model: what is trained.
        began: on how many threads it began; None if that is not known.

    Raises:
        SpecError: as `threads_for`.
    """
    here, asked = torch.get_num_threads(), _asked()
    if began is None or began == asked:
        return asked or threads_for(model)
    if asked is None and (began <= here or began == 1):
        return began
    now = here if asked is None else asked
    begun, threads = f"{began} thread{'s' * (began > 1)}", f"{now} thread{'s' * (now > 1)}"
    warnings.warn(
        f"{what} began on {begun} and goes on with {threads}, so it will differ by rounding from an uninterrupted run; "
        f"{_VARIABLE}={began} goes on as it began",
        stacklevel=3,
    )
    return now


def _asked() -> int | None:
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 4096):
        raise SpecError(f"{_VARIABLE}={text!r}: expected a number of threads, e.g. 1")
    return int(text)


@contextlib.contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Within it, torch computes on so many threads; then on as many as before.

    >>> with on_threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
