"""Which faults of metrics must the checks find? At least one for each check."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from intel_core import Measurement, MetricSpec, NotApplicableError, Number, Subject
from specimens.rival import kills, spec_faults

_calls = itertools.count(1)


class Right(MetricSpec):
    """Share of the prior's draws on the right of the first axis."""

    samples: int = Field(500, ge=10, description="draws of the prior")

    def measure(self, subject: Subject) -> Measurement:
        z = subject.prior(self.samples, seed=self.seed).z
        return self.said(self.share(z), subject)

    def share(self, z: Tensor) -> float:
        return float((z[:, 0] > 0).double().mean())

    def said(self, share: float, subject: Subject) -> Measurement:
        return Measurement(numbers=self.numbers(share, subject), protocol={"samples": self.samples, "seed": self.seed})

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        error = (share * (1 - share) / self.samples) ** 0.5
        return {"right": Number(value=share, error=error, about="draws on the right")}


class Labelled(Right):
    """Share of the first class, for data with labels."""

    def measure(self, subject: Subject) -> Measurement:
        labels = subject.labels("test")
        return self.said(float((labels == 0).double().mean()), subject)


@kills("metric", "io.applies")
class KeyErrorSpec(Right):
    """Fails where there are no labels."""

    def measure(self, subject: Subject) -> Measurement:
        return self.said({True: 0.5}[subject.split().labels is not None], subject)


@kills("metric", "io.applies")
class ExplainsNothingSpec(Right):
    """Does not say why it does not apply."""

    def measure(self, subject: Subject) -> Measurement:
        if subject.split().labels is None:
            raise NotApplicableError("no")
        return super().measure(subject)


@kills("metric", "io.finite")
class NoProtocolSpec(Right):
    """Keeps its protocol for itself."""

    def said(self, share: float, subject: Subject) -> Measurement:
        return Measurement(numbers=self.numbers(share, subject), protocol={})


@kills("metric", "io.finite")
class NotANumberSpec(Right):
    """Goes around the validation of a number."""

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        return {"right": Number(value=0.5).model_copy(update={"value": float("nan")})}


@kills("metric", "io.finite")
class DictionarySpec(Right):
    """Returns plain numbers."""

    def said(self, share: float, subject: Subject) -> Any:
        return {"right": share}


@kills("metric", "io.json")
class TensorInDetailsSpec(Right):
    """Keeps a tensor beside its numbers."""

    def said(self, share: float, subject: Subject) -> Measurement:
        return super().said(share, subject).model_copy(update={"details": {"z": torch.ones(2)}})


@kills("metric", "io.names")
class ValueInTheNameSpec(Right):
    """Names its number by what it is."""

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        first = float(next(iter(subject.model.parameters())).flatten()[0])
        return {f"right at {first:.6f}": Number(value=share)}


@kills("metric", "io.names")
class WithoutAnIndexSpec(Right):
    """Says that its one number is one of several."""

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        return {"right": Number(value=share, unordered=True)}


@kills("metric", "io.limits")
class IgnoresSamplesSpec(Right):
    """Always draws five hundred."""

    def measure(self, subject: Subject) -> Measurement:
        return self.said(self.share(subject.prior(500, seed=self.seed).z), subject)

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        return {"right": Number(value=share)}


@kills("metric", "mode.repeat")
class UnseededSpec(Right):
    """Shifts z by chance."""

    def share(self, z: Tensor) -> float:
        return super().share(z + 0.3 * torch.randn(z.shape))


@kills("metric", "mode.seed")
class TooSmallAnErrorSpec(Right):
    """Says that its number is exact."""

    def numbers(self, share: float, subject: Subject) -> dict[str, Number]:
        return {"right": Number(value=share, error=1e-9)}


@kills("metric", "mode.side_effects")
class LeavesTrainingModeSpec(Right):
    """Leaves the model in training mode."""

    def measure(self, subject: Subject) -> Measurement:
        subject.model.train(not subject.model.training)
        return super().measure(subject)


@kills("metric", "mode.side_effects")
class SeedsTheProcessSpec(Right):
    """Seeds torch for all."""

    def measure(self, subject: Subject) -> Measurement:
        torch.manual_seed(next(_calls))
        return super().measure(subject)


@kills("metric", "mode.side_effects")
class RoundsTheWeightsSpec(Right):
    """Changes the weights that it measures."""

    def measure(self, subject: Subject) -> Measurement:
        with torch.no_grad():
            next(iter(subject.model.parameters())).add_(1e-3)
        return super().measure(subject)


@kills("metric", "mode.side_effects")
class WritesIntoTheRunSpec(Right):
    """Leaves a file in the run directory."""

    def measure(self, subject: Subject) -> Measurement:
        (subject.run.path / f"right-{next(_calls)}.txt").write_text("half")
        return super().measure(subject)


@kills("metric", "deploy.spec")
class CountsCallsSpec(Right):
    """Measures something else each time."""

    def share(self, z: Tensor) -> float:
        return super().share(z) + 1e-3 * next(_calls)


spec_faults("metric", Right)
SOUND = {"draws": Right(), "labels": Labelled()}
