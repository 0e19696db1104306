"""What are the means since the last logged line? The terms of each step stay on the device until a line is due."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.training.process_group import ProcessGroup

__all__ = ["Window"]


class Window:
    """The terms of the steps since the last line, nats per example; only `means` waits for the device.

    Args:
        processes: the processes that share each batch, whose terms are averaged.

    >>> from intel_core.training.process_group import ALONE
    >>> window = Window(ALONE)
    >>> for loss in (1.0, 2.0):
    ...     window.add({"loss": torch.tensor(loss)})
    >>> window.means()
    {'loss': 1.5}
    """

    def __init__(self, processes: ProcessGroup) -> None:
        self._processes = processes
        self._names: list[str] = []
        self._rows: list[Tensor] = []
        self._latest: list[dict[str, Tensor]] = []

    def add(self, terms: dict[str, Tensor]) -> None:
        """Add the terms of one step, each a scalar."""
        self._latest.append(terms)

    def clear(self) -> None:
        """Begin again, after a line."""
        self._rows.clear()
        self._latest.clear()

    def means(self) -> dict[str, float]:
        """The mean of each term over the steps and over the processes; empty where no step was taken."""
        names, rows = self.rows()
        return dict(zip(names, rows.mean(0).tolist(), strict=True)) if names else {}

    @torch.no_grad()
    def rows(self) -> tuple[list[str], Tensor]:
        """Names of the terms, and a row of them for each step, ``(steps, names)``."""
        if self._latest:
            self._names = list(self._latest[0])
            columns = [torch.stack([terms[name] for terms in self._latest]) for name in self._names]
            self._rows.append(self._processes.mean(torch.stack(columns, dim=1)))
            self._latest.clear()
        if not self._rows:
            return [], torch.empty(0)
        if len(self._rows) > 1:
            self._rows = [torch.cat(self._rows)]
        return self._names, self._rows[0]

    def load(self, names: Sequence[str], rows: Tensor) -> None:
        """Continue from what `rows` returned."""
        self._names, self._rows = list(names), [rows] if names else []
        self._latest.clear()
