"""Which processes share each batch? A single one, unless a subclass for several is passed to the trainer.

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
        device: where this process computes, if the group has decided it.
        must_stop: whether some process wanted to stop when gradients were last averaged.

    >>> ALONE.is_first, ALONE.exchange("value"), ALONE.from_first(lambda: 1)
    (True, ['value'], 1)
    """

    rank: int = 0
    size: int = 1
    device: torch.device | None = None
    must_stop: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    # --- what is agreed upon -----------------------------------------------------------------------------------

    def agreeing(self) -> contextlib.AbstractContextManager[None]:
        """A block that raises in every process if it raises in one. Inside, no process may wait for another."""
        return _NOTHING

    def exchange(self, value: _T) -> list[_T]:
        """The values of all processes, by rank."""
        return [value]

    def from_first(self, say: Callable[[], _T]) -> _T:
        """What the function returns in the first process; it is called there only."""
        return say()

    def ask_to_stop(self, reason: StopReason) -> StopReason | None:
        """Ask to stop the training. Returns the reason if it stops now, None if all processes must be told first."""
        return reason

    def agree_to_stop(self) -> StopReason | None:
        """Why some process has asked to stop since the last call, if one has; the same answer in all processes."""
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
            is_due: whether this process finds that a checkpoint is due; the others are told in the same message.
        """

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes."""
        return values

    def gather(self, values: Tensor, dim: int = 0) -> Tensor:
        """The values of all processes, one after another along a dimension; no gradient."""
        return values


ALONE = ProcessGroup()
"""The group of one process; it has no state, so one object is enough."""
