"""How are the steps of a training executed? On one thread or on all, and with compiled networks if that is wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from intel_core.compute.compiling import CompiledNetworks
from intel_core.compute.threads import is_small, one_thread
from intel_core.model.vae import InteLVAE

__all__ = ["execution"]


def execution(
    model: InteLVAE, rows: int, *, compiled: bool = False
) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A function that makes the context for steps: the argument `during` of `intel_core.training.trainer.Trainer`.

    Args:
        model: the model that is trained.
        rows: examples of a step, times particles.
        compiled: whether encoder and decoder are compiled.
    """
    small = is_small(model, rows)
    networks = CompiledNetworks(model).in_use if compiled else contextlib.nullcontext

    @contextlib.contextmanager
    def executing() -> Iterator[None]:
        with one_thread(small), networks():
            yield

    return executing
