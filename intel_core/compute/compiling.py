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
from torch import Tensor, nn

from intel_core.errors import SpecError
from intel_core.model.vae import InteLVAE

__all__ = ["CompiledNetworks"]

_BACKEND: str | Callable[..., Any] = "inductor"


class CompiledNetworks:
    """The networks of a model in compiled form; nothing is compiled before they are first called.

    Args:
        model: whose networks they are; its weights stay where they are.
    """

    def __init__(self, model: InteLVAE) -> None:
        self._model = model
        self._calls = {name: _told(name, getattr(model, name)) for name in ("encoder", "decoder")}

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


def _told(name: str, network: nn.Module) -> Callable[[Tensor], Tensor]:
    """A network, compiled when it is first called; says what a compiler says in a line."""

    def plain(x: Tensor) -> Tensor:
        out: Tensor = network(x)
        return out

    # torch counts how often a piece of code was compiled, and gives up after a few: each network is a piece of its own.
    plain.__code__ = plain.__code__.replace()
    compiled: Callable[[Tensor], Tensor] | None = None

    def call(x: Tensor) -> Tensor:
        nonlocal compiled
        if compiled is not None:
            return compiled(x)
        try:
            from torch._dynamo.exc import TorchDynamoException  # slow to import, and seldom wanted
        except OSError as error:  # it looks for its folder
            raise _not_here(name, error) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler looks at what it need not, and is warned of it
                function = torch.compile(plain, backend=_BACKEND, dynamic=False)
                out = function(x)
        except (TorchDynamoException, OSError) as error:
            raise _not_here(name, error) from error
        compiled = function
        return out

    return call


def _not_here(name: str, error: Exception) -> SpecError:
    said = _in_a_line(error)
    return SpecError(f"the {name} cannot be compiled here: {said}; compile=false trains it as it is")


def _in_a_line(error: Exception) -> str:
    """The first thing that a compiler says; its first line may only tell who says it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
