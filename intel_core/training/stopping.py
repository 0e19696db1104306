"""When does a training stop before its last step? When it is told to, or when validation data say so."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

__all__ = ["EarlyStopping", "StopReason"]

_FORMER_SIGNAL = "signal SIG"
"""How a checkpoint of a former version, which kept the words alone, begins to tell of a signal."""


@dataclass(frozen=True)
class StopReason:
    """Why a training stops before its last step.

    Attributes:
        text: for people.
        kind: ``signal`` where the process was asked to end, so that the run is interrupted and can be continued;
            ``early stopping``; or ``request`` for whatever else calls `Trainer.stop`.

    >>> StopReason("signal SIGTERM", "signal").is_lasting, StopReason("accurate enough").is_lasting
    (False, True)
    """

    text: str
    kind: Literal["signal", "early stopping", "request"] = "request"

    def __str__(self) -> str:
        return self.text

    @property
    def is_lasting(self) -> bool:
        """Whether a run that is continued from here stops again at once."""
        return self.kind != "signal"

    @classmethod
    def read(cls, kept: Any) -> StopReason | None:
        """The reason that a checkpoint holds, if it holds one that still stops a continued run.

        Raises:
            TypeError: if it is no reason.

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
    """Remembers the best model on validation data, and stops once there is no gain in so many evaluations.

    Args:
        patience: evaluations without gain after which training stops; None never stops, and remembers nothing.
        begins: the step from which evaluations count: before, schedules still change what is optimised.

    Attributes:
        best: the lowest validation loss so far, nats per example.
        best_step: at which step it was.
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
        """Take note of an evaluation; the reason to stop, if there is one now."""
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

    def state(self) -> dict[str, Any]:
        """Its numbers, as a checkpoint keeps them beside the tensors of `best_model`."""
        return {"best": self.best, "best_step": self.best_step, "evaluations_without_gain": self.without_gain}

    def load_state(self, state: Dictionary[str, Any], best_model: dict[str, Tensor] | None) -> None:
        """Go on from what `state` returned.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """
        self.best, self.best_step = state["best"], int(state["best_step"])
        self.without_gain = int(state["evaluations_without_gain"])
        self.best_model = best_model
