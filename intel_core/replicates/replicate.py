"""What is one seed of a stack? A trainer whose steps the stack takes, and which does all that lies between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pluggy
from torch import Tensor

from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError
from intel_core.model.objectives import Objective
from intel_core.model.vae import InteLVAE
from intel_core.training.hooks import hookimpl
from intel_core.training.settings import TrainingSettings
from intel_core.training.trainer import Trainer

__all__ = ["Replicate", "Together"]


class Together(Protocol):
    """What a replicate asks of the stack that it is in (`intel_core.replicates.stacked_runs.StackedRuns`)."""

    is_due: bool

    def membership(self) -> dict[str, Any]:
        """Who takes steps together, and how."""
        ...


class Replicate(Trainer):
    """A trainer whose steps may be taken by a stack; everything between steps it does by itself.

    Attributes:
        records: the newest line of each kind, for the means over replicates.
        failure: the error if it diverged.
        stack: the stack that takes its steps, as long as it is in one.
    """

    def __init__(
        self,
        model: InteLVAE,
        dataset: Dataset,
        objective: Objective,
        settings: TrainingSettings,
        *,
        hooks: pluggy.PluginManager,
        **options: Any,
    ) -> None:
        super().__init__(model, dataset, objective, settings, hooks=hooks, **options)
        self.records: dict[str, dict[str, Any]] = {}
        self.failure: DivergenceError | None = None
        self.stack: Together | None = None
        hooks.register(self, name="replicate")

    @hookimpl
    def logged(self, record: dict[str, Any]) -> None:
        """Keep a logged line."""
        self.records["train"] = record

    @hookimpl
    def evaluated(self, record: dict[str, Any]) -> None:
        """Keep an evaluation."""
        self.records["validation"] = record

    @property
    def watched(self) -> bool:
        """Whether some plugin has a hook for each step, which a stack does not call."""
        return bool(self.hooks.hook.step_end.get_hookimpls())

    @property
    def is_overdue(self) -> bool:
        """Whether the newest checkpoint is as old as the settings allow, by the clock."""
        return self._is_overdue()

    def is_due(self) -> bool:
        """As `Trainer.is_due`; in a stack all are saved at the same steps, so that it can go on from one of them."""
        return super().is_due() if self.stack is None else self.stack.is_due

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """As `Trainer.state`, with who has taken the last step together."""
        tensors, state = super().state()
        return tensors, state if self.stack is None else state | {"stack": self.stack.membership()}

    def window(self) -> list[dict[str, Tensor]]:
        """The terms of each step since the last line."""
        names, rows = self._window.rows()
        return [dict(zip(names, row.unbind(), strict=True)) for row in rows] if names else []

    def stepped(self, step: int) -> None:
        """A step was taken."""
        self.step = step
        self.scheduled.after(step)

    def follow(self, leader: Replicate, seconds: float, window: Sequence[dict[str, Tensor]]) -> None:
        """Take over the state of the stack: its weights, and the terms since the last line."""
        self.seconds = seconds
        self.scheduled.follow(leader.scheduled)
        self._window.clear()
        for terms in window:
            self._window.add(terms)

    def guarded(self, action: Callable[[], None]) -> None:
        """Do something, and record it if this replicate is found to have diverged."""
        if self.failure is None:
            try:
                action()
            except DivergenceError as error:
                self.failure = error

    @property
    def going(self) -> bool:
        """Whether it takes further steps."""
        return self.stop_reason is None and self.failure is None
