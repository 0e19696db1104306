"""What does a training need to know beside the model and the data? Steps, learning rate, how often it evaluates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PositiveFloat, PositiveInt

from intel_core.components.fields import AS_TEXT, from_text, text_schema
from intel_core.schedules import ScheduleSpec

__all__ = ["DEFAULT_STEPS", "MOST_STEPS", "TrainingSettings"]

DEFAULT_STEPS = 4000
MOST_STEPS = 10**9
_EVALUATIONS = 20
"""Evaluations in a run, unless `evaluate_every` is given."""

ScheduleText = Annotated[InstanceOf[ScheduleSpec], from_text("schedules"), AS_TEXT, text_schema("schedules")]


class TrainingSettings(BaseModel):
    """How a model is trained: all that `Trainer` needs beside the model, the data and the objective.

    >>> TrainingSettings(steps=100).settled().evaluate_every
    5
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: PositiveInt | None = Field(None, le=MOST_STEPS, description=f"training steps; by default {DEFAULT_STEPS}")
    batch_size: PositiveInt = Field(100, le=10**6, description="examples per step, of all processes together")
    learning_rate: PositiveFloat = Field(1e-3, le=100, description="step size of the optimiser")
    clip_norm: PositiveFloat | None = Field(None, description="largest norm of the whole gradient")
    schedules: dict[str, ScheduleText] = Field(
        default_factory=dict,
        description="factor per step of kl, lr, a mapping's strength or regulariser; by default kl warms up over half "
        "a run on vectors, and a mapping may advise others: the strength of cluster grows over half a run",
    )
    patience: PositiveInt | None = Field(
        None,
        description="stop after so many evaluations without improvement, counted once all schedules have settled",
    )
    evaluate_every: PositiveInt | None = Field(
        None, description=f"steps between evaluations; {_EVALUATIONS} in a run, or fewer if they cost more than a tenth"
    )
    log_every: PositiveInt = Field(50, description="steps between logged lines")
    save_every: PositiveInt | None = Field(
        None, description=f"steps between checkpoints; by default as evaluate_every, or 4 to {_EVALUATIONS} in a run"
    )
    save_minutes: PositiveFloat | None = Field(
        10.0, le=10**6, description="longest time between checkpoints, in minutes; null for no limit"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random stream of the run")

    def settled(self) -> TrainingSettings:
        """The same settings, with the number of steps and how often it is evaluated and saved filled in."""
        steps = self.steps or DEFAULT_STEPS
        evaluate_every = self.evaluate_every or max(1, steps // _EVALUATIONS)
        return self.model_copy(
            update={
                "steps": steps,
                "evaluate_every": evaluate_every,
                "save_every": self.save_every or evaluate_every,
            }
        )
