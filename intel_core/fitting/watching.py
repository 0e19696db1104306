"""How does a weight depend on evaluations? Schedules that watch are shown every validation loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import PrivateAttr
from torch import Tensor, nn

from intel_core.recipe.runspec import RunSpec
from intel_core.schedules import ScheduleSpec
from intel_core.training.stopping import EarlyStopping, StopReason
from intel_core.training.trainer import Trainer
from intel_core.training.weights import ScheduledWeights

__all__ = ["Watching", "watch_evaluations", "watching_schedules"]


@runtime_checkable
class Watching(Protocol):
    """A schedule whose weight follows from evaluations; its `at` is the weight before the first one."""

    def after(self, losses: Sequence[float]) -> float:
        """The weight after some evaluations, oldest first: a function of these numbers and nothing else.

        Args:
            losses: validation losses in nats per example, of the evaluations once all other schedules have settled.
        """
        ...


def watching_schedules(spec: RunSpec) -> dict[str, Watching]:
    """Those of a run that watch, by the name of their weight."""
    return {name: schedule for name, schedule in spec.schedules.items() if isinstance(schedule, Watching)}


def watch_evaluations(trainer: Trainer, watching: dict[str, Watching]) -> None:
    """Show evaluations to the schedules of a trainer that is at its first step; checkpoints then hold the losses.

    Args:
        trainer: of a run that has these schedules.
        watching: as `watching_schedules` has them.
    """
    current = {name: _Current.of(schedule) for name, schedule in watching.items()}
    schedules = {**trainer.settings.schedules, **current}
    trainer.scheduled = ScheduledWeights(schedules, trainer.model, trainer.optimizer)
    trainer.stopping = _Watcher(trainer.settings.patience, trainer.scheduled.settled, list(current.values()))


class _Current(ScheduleSpec):
    """The weight of a schedule that watches, in one training."""

    _watching: Any = PrivateAttr(None)
    _weight: float = PrivateAttr(1.0)

    @classmethod
    def of(cls, watching: Watching) -> _Current:
        made = cls()
        made._watching = watching
        made.see([])
        return made

    def at(self, step: int) -> float:
        return self._weight

    def see(self, losses: Sequence[float]) -> None:
        self._weight = self._watching.after(losses)


class _Watcher(EarlyStopping):
    """Early stopping that hands what it is shown on to schedules, and remembers it with its own state."""

    def __init__(self, patience: int | None, begins: int, schedules: list[_Current]) -> None:
        super().__init__(patience, begins)
        self._schedules = schedules
        self._losses: list[float] = []

    def look(self, loss: float, step: int, model: nn.Module) -> StopReason | None:
        if step >= self.begins and math.isfinite(loss):
            self._see([*self._losses, loss])
        return super().look(loss, step, model)

    def _see(self, losses: list[float]) -> None:
        self._losses = losses
        for schedule in self._schedules:
            schedule.see(losses)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "losses": self._losses}

    def load_state(self, state: Any, best_model: dict[str, Tensor] | None) -> None:
        super().load_state(state, best_model)
        self._see([float(loss) for loss in state["losses"]])
