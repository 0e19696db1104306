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

    @torch.no_grad()
    def means(self) -> dict[str, float]:
        """The mean of each term over the steps and over the processes; empty where no step was taken."""
        if self._latest:
            self._rows.append(self._processes.mean(self._stacked()))
            self._latest.clear()
        names, rows = self.rows()
        return dict(zip(names, rows.mean(0).tolist(), strict=True)) if names else {}

    @torch.no_grad()
    def rows(self) -> tuple[list[str], Tensor]:
        """Names of the terms, and a row of them for each step, ``(steps, names)``.

        Steps since the last `means` are those of this process alone; no other process is asked.
        """
        parts = [*self._rows, *([self._stacked()] if self._latest else [])]
        return (self._names, torch.cat(parts) if len(parts) > 1 else parts[0]) if parts else ([], torch.empty(0))

    def _stacked(self) -> Tensor:
        self._names = list(self._latest[0])
        return torch.stack([torch.stack([terms[name] for terms in self._latest]) for name in self._names], dim=1)

    def load(self, names: Sequence[str], rows: Tensor) -> None:
        """Continue from what `rows` returned."""
        self._names, self._rows = list(names), [rows] if names else []
        self._latest.clear()
