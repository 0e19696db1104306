"""When does a training stop before its last step? If it is asked to, or if the validation loss no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["EarlyStopping", "StopReason"]

_FORMER_SIGNAL = "signal SIG"
"""Checkpoints of earlier versions hold the text only; that of a signal begins like this."""


@dataclass(frozen=True)
class StopReason:
    """Why a training stops before its last step.

    Attributes:
        text: the reason in words.
        kind: ``signal`` if the process was asked to end, so that the run is interrupted and can be continued;
            ``early stopping``; or ``request`` for any other call of `Trainer.stop`.

    >>> StopReason("signal SIGTERM", "signal").is_lasting, StopReason("accurate enough").is_lasting
    (False, True)
    """

    text: str
    kind: Literal["signal", "early stopping", "request"] = "request"

    def __str__(self) -> str:
        return self.text

    @property
    def is_lasting(self) -> bool:
        """Whether a run that is resumed from here stops again at once."""
        return self.kind != "signal"

    @classmethod
    def read(cls, kept: Any) -> StopReason | None:
        """The reason in a checkpoint, if there is one that still stops a resumed run.

        Raises:
            TypeError: if it is not a reason.

        >>> StopReason.read({"text": "enough", "kind": "request"}), StopReason.read("signal SIGINT")
        (StopReason(text='enough', kind='request'), None)
        """
        if kept is None:
            return None
        if isinstance(kept, str):
            reason = cls(kept, "signal" if kept.startswith(_FORMER_SIGNAL) else "request")
        else:
            reason = cls(str(kept["text"]), kept["kind"])
        return reason if reason.is_lasting else None


class EarlyStopping:
    """Keeps the best model on validation data, and stops after a number of evaluations without improvement.

    Args:
        patience: evaluations without improvement after which training stops; with None it never stops, and no model is
            kept.
        begins: the step from which evaluations count; before it, schedules still change the objective.

    Attributes:
        best: the lowest validation loss so far, nats per example.
        best_step: its step.
        best_model: the weights and buffers of that step.
        without_gain: evaluations since then.
    """

    def __init__(self, patience: int | None, begins: int) -> None:
        self.patience, self.begins = patience, begins
        self.best: float | None = None
        self.best_step = 0
        self.best_model: dict[str, Tensor] | None = None
        self.without_gain = 0

    def look(self, loss: float, step: int, model: nn.Module) -> StopReason | None:
        """Take note of an evaluation. Returns the reason to stop, if there is one now."""
        if self.patience is None or step < self.begins:
            return None
        if math.isfinite(loss) and (self.best is None or loss < self.best):
            self.best, self.best_step, self.without_gain = loss, step, 0
            self.best_model = {name: value.detach().clone() for name, value in model.state_dict().items()}
            return None
        self.without_gain += 1
        if self.without_gain < self.patience:
            return None
        return StopReason(f"no gain on validation data in {self.patience} evaluations", "early stopping")

    def load_best(self, model: nn.Module) -> None:
        """Give a model the weights of the best evaluation, if one is remembered."""
        if self.best_model is not None:
            model.load_state_dict(self.best_model)

    def state(self) -> dict[str, Any]:
        """The numbers that a checkpoint keeps beside the tensors of `best_model`."""
        return {"best": self.best, "best_step": self.best_step, "evaluations_without_gain": self.without_gain}

    def load_state(self, state: Dictionary[str, Any], best_model: dict[str, Tensor] | None) -> None:
        """Continue from what `state` returned.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """
        self.best, self.best_step = state["best"], int(state["best_step"])
        self.without_gain = int(state["evaluations_without_gain"])
        self.best_model = best_model
