"""Which weight has each term at a step? Schedules of the KL term, auxiliary losses, learning rate and strength."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from collections.abc import Mapping as Dictionary

import torch

from intel_core.errors import SpecError, did_you_mean
from intel_core.mappings.compose import bare
from intel_core.mappings.contract import Annealed
from intel_core.model.vae import InteLVAE
from intel_core.schedules import ScheduleSpec

__all__ = ["ScheduledWeights"]


class ScheduledWeights:
    """The scheduled factors of one training, at its current step.

    Args:
        schedules: by name of the weight: ``kl``, ``lr``, ``strength`` for a mapping that is `Annealed`, or an
            auxiliary loss of the mapping.
        model: the model with that mapping.
        optimizer: its learning rates are multiplied by the factor ``lr``.

    Attributes:
        of_terms: the factor of each scheduled term of the loss.
        settled: the first step from which no weight changes any more; schedules that never settle do not count.

    Raises:
        SpecError: if a schedule names a weight that does not exist.
    """

    def __init__(
        self, schedules: Dictionary[str, ScheduleSpec], model: InteLVAE, optimizer: torch.optim.Optimizer
    ) -> None:
        parts = [bare(part) for part in (*model.modules(), model.mapping)]
        self._annealed = list({id(part): part for part in parts if isinstance(part, Annealed)}.values())
        known = ["kl", "lr", *(["strength"] if self._annealed else []), *model.regularisers]
        for name in schedules:
            if name not in known:
                raise SpecError(f"no weight is called {name!r}{did_you_mean(name, known, say='weights')}")
        self._schedules, self._optimizer = schedules, optimizer
        # As torch's schedulers keep it: an optimiser that has been trained with before begins from its own rate.
        self._rates = [float(group.setdefault("initial_lr", group["lr"])) for group in optimizer.param_groups]
        ends = [schedule.settled for schedule in schedules.values()]
        self.settled = max((end for end in ends if end is not None), default=0)
        self._changes_until = math.inf if None in ends else self.settled
        self.of_terms: dict[str, float] = {}
        self._factor = self._strength = 1.0
        self.set(0)

    def set(self, step: int) -> None:
        """Set all weights to those of a step."""
        self._set_terms(step)
        self._set_strength(step)

    def before(self, step: int) -> None:
        """Set what changes before a step is taken: factors of the terms of the loss, and the learning rate."""
        if step <= self._changes_until:
            self._set_terms(step)

    def after(self, step: int) -> None:
        """Set what changes after a number of steps: the strength, which is a part of the model.

        The model that is evaluated and saved between two steps is therefore the one that the next step uses.
        """
        if self._annealed and step <= self._changes_until:
            self._set_strength(step)

    def follow(self, leader: ScheduledWeights) -> None:
        """Take over the factors of another training with the same settings; each model keeps its own strength."""
        self.of_terms = dict(leader.of_terms)
        self._set_rates(leader._factor)

    @contextlib.contextmanager
    def whole_strength(self) -> Iterator[None]:
        """A block in which mappings have strength 1."""
        for part in self._annealed:
            part.set_strength(1.0)
        try:
            yield
        finally:
            for part in self._annealed:
                part.set_strength(self._strength)

    def as_numbers(self) -> dict[str, float]:
        """All current factors by name, for logged lines and for `evaluate`."""
        strength = {"strength": self._strength} if self._annealed else {}
        return {**self.of_terms, **strength, "lr": self._factor}

    def _set_terms(self, step: int) -> None:
        self.of_terms = {name: schedule.at(step) for name, schedule in self._schedules.items()}
        self._set_rates(self.of_terms.pop("lr", 1.0))
        self.of_terms.pop("strength", None)

    def _set_rates(self, factor: float) -> None:
        self._factor = factor
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _set_strength(self, step: int) -> None:
        schedule = self._schedules.get("strength")
        self._strength = 1.0 if schedule is None else schedule.at(step)
        for part in self._annealed:
            part.set_strength(self._strength)
