"""How is a component asked while the process's random states are others than those that an earlier call has left?"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["other_randomness", "random_states"]

_SEED = 987


@contextlib.contextmanager
def other_randomness() -> Iterator[None]:
    """Other states for a while of torch's generator on the CPU, of numpy's old one and of Python's.

    A seed that every call sets would change nothing where an earlier call has set it.
    """
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 - what a plugin may use is the old state
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        random.seed(_SEED)
        np.random.seed(_SEED)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002


def random_states() -> dict[str, Any]:
    """All three, by name, in a form that can be compared."""
    array: Any = np.random.get_state()  # noqa: NPY002
    return {
        "random state of torch": torch.get_rng_state().tolist(),
        "random state of numpy": (array[1].tolist(), array[2]),
        "random state of Python": random.getstate(),
    }
