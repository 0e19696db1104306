"""How are the steps of a training executed? By compiled networks, where the run asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from intel_core.compute.compiling import CompiledNetworks
from intel_core.model.vae import InteLVAE

__all__ = ["execution"]


def execution(model: InteLVAE, *, compiled: bool = False) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context for the steps only, as `intel_core.training.trainer.Trainer` takes it.

    Args:
        model: the model that is trained.
        compiled: whether encoder and decoder are compiled.
    """
    return CompiledNetworks(model).in_use if compiled else contextlib.nullcontext
