"""How are networks compiled? By `torch.compile`, for training steps only.

Only encoder and decoder are compiled, and only for the batches of training. Everything else that runs a model
(evaluation, the replay of a run that diverged, a run that is read back) uses it as it is written. Mappings are not
compiled: they may be any code, and numbers that change with each step would make the compiler start again.
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
        model: the model with these networks; its weights stay where they are.
    """

    def __init__(self, model: InteLVAE) -> None:
        self._model = model
        self._calls = {name: _told(name, getattr(model, name)) for name in ("encoder", "decoder")}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """A block in which the model calls the compiled networks instead of its own.

        Raises:
            SpecError: if they cannot be compiled here.
        """
        self._model.calls = self._calls
        try:
            yield
        finally:
            self._model.calls = {}


def _told(name: str, network: nn.Module) -> Callable[[Tensor], Tensor]:
    """A network that is compiled when it is first called; an error of the compiler is reported in one line."""

    def plain(x: Tensor) -> Tensor:
        out: Tensor = network(x)
        return out

    # torch counts how often a code object was compiled, and gives up after a few times: each network gets its own.
    plain.__code__ = plain.__code__.replace()
    compiled: Callable[[Tensor], Tensor] | None = None

    def call(x: Tensor) -> Tensor:
        nonlocal compiled
        if compiled is not None:
            return compiled(x)
        try:
            from torch._dynamo.exc import TorchDynamoException  # slow to import, and seldom needed
        except OSError as error:  # it looks for its cache folder
            raise _not_here(name, error) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler warns of attributes that it reads itself
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
    """The first line of a compiler's error, with the second one if the first only names the compiler."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
