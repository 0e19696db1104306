"""Which rows has a step, and where do their examples come from?

`Order` decides which rows a step has before any of them is read; `Batches` only fetches them. A run whose data are read
from disk (`intel_core.reading.ahead`) therefore equals the run in memory bit for bit, with any number of workers. To
get a part of each batch, slice its row numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from intel_core.data.values import to_float

__all__ = ["Batches", "Order", "Resident", "RowsOf", "steps_per_epoch"]

RowsOf = Callable[[int], Tensor]
"""The row numbers ``(..., batch)`` of the examples of a step."""


class Order:
    """The row numbers of every step: full batches, in an order that is shuffled for each epoch.

    Args:
        of_epoch: the order of all examples in an epoch, ``(n,)`` or ``(replicates, n)``, as a function of its number.
        batch_size: examples per step, at most n.
        steps_per_epoch: full batches in an epoch.
        device: where row numbers are wanted.

    >>> order = Order(lambda epoch: torch.arange(5) + 10 * epoch, 2, 2, torch.device("cpu"))
    >>> [order(step).tolist() for step in range(3)]
    [[0, 1], [2, 3], [10, 11]]
    """

    def __init__(
        self, of_epoch: Callable[[int], Tensor], batch_size: int, steps_per_epoch: int, device: torch.device
    ) -> None:
        self._of_epoch, self._batch_size, self._steps_per_epoch = of_epoch, batch_size, steps_per_epoch
        self._device = device
        self._batches: tuple[Tensor, ...] = ()
        self._epoch = -1

    def __call__(self, step: int) -> Tensor:
        """Row numbers ``(batch_size,)`` or ``(replicates, batch_size)`` of a step."""
        epoch, batch = divmod(step, self._steps_per_epoch)
        if epoch != self._epoch:
            shuffled = self._of_epoch(epoch).to(self._device)
            self._batches, self._epoch = torch.split(shuffled, self._batch_size, dim=-1), epoch
        return self._batches[batch]


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Number of full batches in an epoch; the examples that are left over are shuffled into the next epoch."""
    return max(1, n // batch_size)


class Batches(Protocol):
    """The examples of each step; a context manager, so that worker processes that read them end with the block."""

    @property
    def rows_device(self) -> torch.device:
        """Where row numbers are wanted."""
        ...

    def at(self, step: int) -> Tensor:
        """The examples of a step, float32 ``(..., batch, *x_shape)`` on the device; quickest in the order of steps.

        Raises:
            DataError: naming the file that cannot be read.
        """
        ...

    def for_rows(self, rows: RowsOf) -> Batches:
        """The same examples for other row numbers, without a copy."""
        ...

    def close(self) -> None:
        """Stop reading ahead; the next call of `at` starts it again."""
        ...

    def __enter__(self) -> Batches: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Resident:
    """Examples that lie on the device as one tensor, ``(n, *x_shape)``, and are taken by index."""

    def __init__(self, x: Tensor, rows: RowsOf) -> None:
        self.x, self._rows = x, rows

    @property
    def rows_device(self) -> torch.device:
        """As `Batches.rows_device`."""
        return self.x.device

    def at(self, step: int) -> Tensor:
        """As `Batches.at`."""
        return to_float(self.x[self._rows(step)])

    def for_rows(self, rows: RowsOf) -> Resident:
        """As `Batches.for_rows`."""
        return Resident(self.x, rows)

    def close(self) -> None:
        """Nothing reads ahead."""

    def __enter__(self) -> Resident:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
