"""Which processes share each batch? One alone, unless a wing hands in something else.

`ProcessGroup` is the group of one process: it does nothing and costs nothing. Several processes are a subclass of it
(`intel_core.processes.peers`), so that neither the trainer nor a model ever asks how many there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from intel_core.training.stopping import StopReason

__all__ = ["ALONE", "ProcessGroup"]

_T = TypeVar("_T")
_NOTHING = contextlib.nullcontext()


class ProcessGroup:
    """One process, which computes every batch alone.

    Attributes:
        rank: number of this process, from 0.
        size: how many processes there are.
        device: where this one computes, if the group has decided it.
        must_stop: whether some process wanted to stop when gradients were averaged last.

    >>> ALONE.is_first, ALONE.exchange("value"), ALONE.from_first(lambda: 1)
    (True, ['value'], 1)
    """

    rank: int = 0
    size: int = 1
    device: torch.device | None = None
    must_stop: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    # --- what is agreed upon -----------------------------------------------------------------------------------

    def agreeing(self) -> contextlib.AbstractContextManager[None]:
        """A block that raises in every process if it raises in one. No process may wait for another inside."""
        return _NOTHING

    def exchange(self, value: _T) -> list[_T]:
        """What each process says, by rank."""
        return [value]

    def from_first(self, say: Callable[[], _T]) -> _T:
        """What the first process says, which alone is asked."""
        return say()

    def ask_to_stop(self, reason: StopReason) -> StopReason | None:
        """Let the training stop: the reason, if it holds at once; None if all processes have to hear of it first."""
        return reason

    def agree_to_stop(self) -> StopReason | None:
        """Why some process asked to stop since the last time, the same answer in all."""
        return None

    def agree_is_due(self, is_due: Callable[[], bool]) -> bool:
        """Whether a checkpoint is due, by the clock of the first process."""
        return is_due()

    # --- around a training -------------------------------------------------------------------------------------

    def begin(self, model: nn.Module, batch_size: int) -> None:
        """Prepare a model for steps that are shared.

        Raises:
            SpecError: if a batch of that size does not divide among the processes.
        """

    def end(self, model: nn.Module) -> None:
        """Undo `begin`."""

    def share(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers, in place."""

    def require_same(self, model: nn.Module) -> None:
        """Make sure that all processes still have one model.

        Raises:
            RunError: in all processes, if their weights differ.
        """

    # --- within a step -----------------------------------------------------------------------------------------

    def own(self, rows: Tensor, dim: int) -> Tensor:
        """The part of a whole batch that this process computes, along a dimension."""
        return rows

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """The forward and backward pass of a step that all processes take."""
        return _NOTHING

    def average_gradients(self, is_due: Callable[[], bool]) -> None:
        """Make the gradients of this process those of the whole batch.

        Args:
            is_due: whether this process finds that a checkpoint is due, which is told to the others on the way.
        """

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes."""
        return values

    def gather(self, values: Tensor, dim: int = 0) -> Tensor:
        """The values of all processes, one after another along a dimension; no gradient."""
        return values


ALONE = ProcessGroup()
"""The group of one process; it has no state, so that one object serves everybody."""
