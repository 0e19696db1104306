"""Who makes a few large kernels of a network's many small ones? `torch.compile`, while steps are taken.

Encoder and decoder alone are compiled, and only for the batches of training: whatever else runs a model (evaluation,
the replay of a run that diverged, a run that is read back) runs it as it is written. A mapping is a stranger's code,
and has numbers that change with each step, at which a compiler would begin again.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from intel_core.errors import SpecError
from intel_core.model import InteLVAE

__all__ = ["CompiledNetworks"]

_BACKEND: str | Callable[..., Any] = "inductor"


class CompiledNetworks:
    """The networks of a model in compiled form; nothing is compiled before they are first called.

    Args:
        model: whose networks they are; its weights stay where they are.
    """

    def __init__(self, model: InteLVAE) -> None:
        self._model = model
        self._calls = {
            name: _told(name, torch.compile(getattr(model, name), backend=_BACKEND, dynamic=False))
            for name in ("encoder", "decoder")
        }

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it, the model calls them instead of its networks.

        Raises:
            SpecError: if they cannot be compiled here.
        """
        self._model.calls = self._calls
        try:
            yield
        finally:
            self._model.calls = {}


def _told(name: str, compiled: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, which says what a compiler says in a line."""
    from torch._dynamo.exc import TorchDynamoException  # slow to import, and seldom wanted

    known = False

    def call(x: Tensor) -> Tensor:
        nonlocal known
        if known:
            return compiled(x)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler looks at what it need not, and is warned of it
                out = compiled(x)
            known = True
            return out
        except TorchDynamoException as error:
            raise SpecError(
                f"the {name} cannot be compiled here: {_in_a_line(error)}; compile=false trains it as it is"
            ) from error

    return call


def _in_a_line(error: Exception) -> str:
    """The first thing that a compiler says; its first line may only tell who says it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
