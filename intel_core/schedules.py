"""How does a weight change with the step? KL warm-up, ramps, decays, for any scalar."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field, NonNegativeFloat

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

__all__ = ["ConstantScheduleSpec", "CosineScheduleSpec", "GeometricScheduleSpec", "LinearScheduleSpec", "ScheduleSpec"]


class ScheduleSpec(ComponentSpec):
    """Base of every schedule's spec, registered under the entry-point group ``intelvae.schedules``."""

    kind: ClassVar[str] = "schedules"

    def at(self, step: int) -> float:
        """The weight at a step, counted from 0; never negative."""
        raise PluginError(f"{type(self).__name__} does not define at(step)")

    @property
    def settled(self) -> int | None:
        """The first step from which the weight no longer changes; None if it never settles."""
        return None


class ConstantScheduleSpec(ScheduleSpec):
    """The same weight at every step."""

    value: NonNegativeFloat = Field(1.0, description="the weight")

    def at(self, step: int) -> float:
        """`value`."""
        return self.value

    @property
    def settled(self) -> int:
        """From the first step."""
        return 0


class _Ramp(ScheduleSpec):
    start: NonNegativeFloat = Field(0.0, description="weight before the ramp")
    end: NonNegativeFloat = Field(1.0, description="weight after the ramp")
    steps: int = Field(ge=1, le=10**9, description="length of the ramp in training steps")
    delay: int = Field(0, ge=0, le=10**9, description="steps before the ramp begins")

    @property
    def settled(self) -> int:
        """The step at which the ramp ends."""
        return self.delay + self.steps

    def _progress(self, step: int) -> float:
        return min(max((step - self.delay) / self.steps, 0.0), 1.0)


class LinearScheduleSpec(_Ramp):
    """From `start` to `end` in a straight line: the usual KL warm-up."""

    def at(self, step: int) -> float:
        """``start + (end - start) * progress``.

        >>> [LinearScheduleSpec(steps=4).at(s) for s in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
        """
        return self.start + (self.end - self.start) * self._progress(step)


class CosineScheduleSpec(_Ramp):
    """From `start` to `end` along half a cosine: by default it falls from 1 to 0, as a learning rate should."""

    start: NonNegativeFloat = Field(1.0, description="weight before the ramp")
    end: NonNegativeFloat = Field(0.0, description="weight after the ramp")

    def at(self, step: int) -> float:
        """``end + (start - end) (1 + cos(pi progress)) / 2``.

        >>> CosineScheduleSpec(end=0.1, steps=10).at(10)
        0.1
        """
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self._progress(step))) / 2


class GeometricScheduleSpec(_Ramp):
    """From `start` to `end` by equal factors (geometrically), for weights whose order of magnitude matters."""

    start: float = Field(0.01, gt=0, description="weight before the ramp")
    end: float = Field(1.0, gt=0, description="weight after the ramp")

    def at(self, step: int) -> float:
        """``start (end / start) ** progress``.

        >>> [round(GeometricScheduleSpec(start=0.01, steps=2).at(s), 6) for s in (0, 1, 2)]
        [0.01, 0.1, 1.0]
        """
        progress = self._progress(step)
        return self.end if progress == 1 else self.start * (self.end / self.start) ** progress
