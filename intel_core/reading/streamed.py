"""What is a training split that stays on disk? Rows that are read by their numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intel_core.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from intel_core.data.batches import Batches, RowsOf
    from intel_core.reading.ahead import Rows
from intel_core.data.dataset import Split

__all__ = [
    "StreamedSplit",
]


class StreamedSplit(Split):
    """Training examples that stay on disk; asking for all of them as one tensor `x` is an error.

    Args:
        rows: the examples.
        labels: integers ``(n,)``, in memory.

    >>> import torch
    >>> class Counting:
    ...     shape, itemsize = (1000, 2), 4
    ...     read = staticmethod(lambda rows: torch.tensor([[row, -row] for row in rows], dtype=torch.float32))
    ...     fingerprint = staticmethod(lambda: "0123456789abcdef")
    >>> split = StreamedSplit(Counting())
    >>> len(split), split.read(torch.tensor([7, 3])).tolist()
    (1000, [[7.0, -7.0], [3.0, -3.0]])
    >>> split.x
    Traceback (most recent call last):
    intel_core.errors.DataError: these 1,000 examples are streamed from disk and are no tensor in memory; ...
    """

    rows: Rows

    def __init__(self, rows: Rows, labels: Tensor | None = None) -> None:
        for name, value in (("rows", rows), ("labels", labels), ("digest", "")):
            object.__setattr__(self, name, value)  # frozen, as every split

    def __repr__(self) -> str:
        return f"StreamedSplit({self.rows!r})"

    @property
    def x(self) -> Tensor:
        """Not available, since the examples are on disk.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"these {len(self):,} examples are streamed from disk and are no tensor in memory; "
            "take some by read(rows), or load the data with stream=false"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Split.shape`."""
        return tuple(self.rows.shape)

    def read(self, rows: Tensor) -> Tensor:
        """As `Split.read`."""
        return self.rows.read(rows.tolist())

    def batches(self, rows: RowsOf, steps: int, device: torch.device) -> Batches:
        """As `Split.batches`, read ahead of the step by ``INTEL_WORKERS`` processes."""
        from intel_core.reading.ahead import Streamed, worker_count

        return Streamed(self.rows, rows, steps, device, worker_count())

    def bytes_ahead(self, batch_size: int) -> float:
        """As `Split.bytes_ahead`."""
        from intel_core.reading.ahead import BATCHES_AHEAD, worker_count

        return float(batch_size * self.rows.itemsize * math.prod(self.shape[1:]) * (1 + BATCHES_AHEAD * worker_count()))

    def fingerprint(self) -> str:
        """As `Split.fingerprint`."""
        return self.rows.fingerprint()
