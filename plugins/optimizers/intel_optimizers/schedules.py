"""Which weights change in more than one ramp, or once validation loss no longer falls?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field, NonNegativeFloat, PositiveInt

from intel_core.schedules import ScheduleSpec

__all__ = ["CyclesSpec", "OneCycleSpec", "PlateauSpec", "StableSpec"]


class _Whole(ScheduleSpec):
    steps: PositiveInt = Field(le=10**9, description="length of the schedule in training steps")

    @property
    def settled(self) -> int:
        """The step at which it ends."""
        return self.steps

    def _progress(self, step: int) -> float:
        return min(max(step / self.steps, 0.0), 1.0)


class OneCycleSpec(_Whole):
    """Up from `start` to 1 along half a cosine, then down to `end` along another: for the learning rate.

    Source: Smith & Topin, "Super-convergence" (2019); the form with cosines is that of later libraries.
    """

    rise: float = Field(0.3, gt=0, lt=1, description="share of the steps in which it rises")
    start: NonNegativeFloat = Field(0.04, le=1, description="weight at first")
    end: NonNegativeFloat = Field(1e-4, le=1, description="weight at the end")

    def at(self, step: int) -> float:
        """The weight at a step.

        >>> [round(OneCycleSpec(steps=10, start=0.0, end=0.0, rise=0.5).at(step), 3) for step in (0, 5, 7, 10, 99)]
        [0.0, 1.0, 0.655, 0.0, 0.0]
        """
        t = self._progress(step)
        if t < self.rise:
            return _along_cosine(self.start, 1.0, t / self.rise)
        return _along_cosine(1.0, self.end, (t - self.rise) / (1 - self.rise))


class StableSpec(_Whole):
    """A linear warm-up from 0 to 1, a plateau at 1, and a linear decay to `end`."""

    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps in which it rises")
    decay: float = Field(0.2, ge=0, le=1, description="share of the steps, the last ones, in which it falls")
    end: NonNegativeFloat = Field(0.0, le=1, description="weight at the end")

    def at(self, step: int) -> float:
        """The weight at a step; where warm-up and decay overlap, the smaller of the two.

        >>> [round(StableSpec(steps=10, warmup=0.2, decay=0.5).at(step), 3) for step in (0, 1, 2, 5, 6, 10)]
        [0.0, 0.5, 1.0, 1.0, 0.8, 0.0]
        """
        t = self._progress(step)
        rising = min(t / self.warmup, 1.0) if self.warmup else 1.0
        left = min((1 - t) / self.decay, 1.0) if self.decay else 1.0
        return min(rising, self.end + (1 - self.end) * left)


class CyclesSpec(_Whole):
    """From `start` to 1 in a line and on at 1, `count` times, and 1 from then on: for the KL term.

    Source: Fu et al., "Cyclical annealing schedule" (2019), section 3.2.
    """

    count: PositiveInt = Field(4, le=10**6, description="number of cycles")
    rise: float = Field(0.5, gt=0, le=1, description="share of a cycle in which it rises")
    start: NonNegativeFloat = Field(0.0, le=1, description="weight at the beginning of each cycle")

    def at(self, step: int) -> float:
        """The weight at a step.

        >>> [CyclesSpec(steps=8, count=2).at(step) for step in range(9)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
        """
        if step >= self.steps:
            return 1.0
        within = (step * self.count / self.steps) % 1.0
        return self.start + (1 - self.start) * min(within / self.rise, 1.0)


class PlateauSpec(ScheduleSpec):
    """1 at first, and `factor` times as much each time that validation loss has stopped falling: for the learning rate.

    Evaluations count from the step on at which all other schedules have settled, as for early stopping.

    Source: the rule is that of ``ReduceLROnPlateau`` in torch, whose patience is one less than the one here.
    """

    patience: PositiveInt = Field(3, le=10**6, description="evaluations in a row without gain after which it falls")
    factor: float = Field(0.3, gt=0, lt=1, description="what it is multiplied with each time")
    end: NonNegativeFloat = Field(0.001, le=1, description="it never falls below this")
    gain: NonNegativeFloat = Field(0.0, description="the loss must fall by more than this, in nats per example")

    def at(self, step: int) -> float:
        """1: the weight before the first evaluation."""
        return 1.0

    def after(self, losses: Sequence[float]) -> float:
        """The weight after evaluations with these validation losses, oldest first.

        >>> plateau = PlateauSpec(patience=2, factor=0.5)
        >>> [plateau.after([3.0, 2.0, 2.1, 2.2, 2.3, 2.4][:count]) for count in range(7)]
        [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
        """
        weight, best, without_gain = 1.0, math.inf, 0
        for loss in losses:
            if loss < best - self.gain:
                best, without_gain = loss, 0
                continue
            without_gain += 1
            if without_gain == self.patience:
                weight, without_gain = max(weight * self.factor, self.end), 0
        return weight


def _along_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
