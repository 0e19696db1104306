"""An error in the author's code is told once, in words, with its line; what it makes pointless is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from intel_conformance import check_metric, check_network
from intel_conformance.metrics.candidate import MetricCandidate
from intel_conformance.report import Report, Result
from specimens.metrics import Right
from specimens.networks import Plain
from torch import Tensor, nn

from intel_core import Measurement, NotApplicableError, Number, Subject


class Returns(Right):
    """Returns no Measurement."""

    what: Any = 0.5

    def measure(self, subject: Subject) -> Any:
        return self.what


class Indexes(Right):
    """Looks for what is not there."""

    def measure(self, subject: Subject) -> Any:
        things: list[int] = []
        return things[3]  # indexes


class Misspells(Right):
    """Calls a field by another name, where there are labels."""

    everywhere: bool = True

    def measure(self, subject: Subject) -> Any:
        if not self.everywhere and subject.split().labels is not None:
            return super().measure(subject)
        numbers: Any = {"number": {"right": Number(value=0.5)}, "protocol": {}}
        return Measurement(**numbers)  # misspells


class NeedsLabels(Right):
    """Fails where there are no labels."""

    def measure(self, subject: Subject) -> Any:
        labels: Any = subject.split().labels
        return self.said(float(labels.double().mean() > 0), subject)  # needs


class OfImages(Right):
    """Fails for all that are no images."""

    def measure(self, subject: Subject) -> Any:
        _, height, _ = subject.split().x.shape[1:]
        return self.said(1 / height, subject)


class RefusesAll(Right):
    """Does not apply to anything."""

    def measure(self, subject: Subject) -> Any:
        raise NotApplicableError("there is nothing that it could say")


class FailsOfOtherSeeds(Right):
    """Fails where the seed is not 0."""

    def measure(self, subject: Subject) -> Any:
        [0][self.seed]  # seeds
        return super().measure(subject)


class Detached(nn.Linear):
    """A layer without gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)).detach()


class DetachedEncoder(Plain):
    """An encoder without gradients."""

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        return Detached(int(torch.tensor(x_shape).prod()), out_features)


def place(mark: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    return f"(test_own_errors.py, line {next(n for n, text in enumerate(lines, 1) if text.endswith('# ' + mark))})"


def alone(report: Report) -> Result:
    """The one result that is bad; all others of the metric are skipped or have nothing to do with it."""
    assert "error" not in {result.status for result in report.results}
    (found,) = (result for result in report.results if result.bad)
    return found


@pytest.mark.parametrize(("what", "name"), [(0.5, "float"), ({"a": 1.0}, "dict"), (None, "NoneType")])
def test_what_is_no_measurement_is_one_finding(what: Any, name: str) -> None:
    report = check_metric(Returns(what=what), level="quick", skip=["plugin"])
    found = alone(report)
    assert (found.id, found.message) == ("io.finite", f"measure() returned {name}, expected a Measurement")
    assert {r.status for r in report.results if r.id not in ("io.finite", "io.applies")} == {"skipped"}


@pytest.mark.parametrize(
    ("spec", "says", "mark"),
    [
        (Indexes(), "IndexError: list index out of range", "indexes"),
        (Misspells(), "ValidationError: Measurement.numbers: Field required; Measurement.number: Extra", "misspells"),
        (Misspells(everywhere=False), "ValidationError: Measurement.numbers: Field required", "misspells"),
    ],
)
def test_an_error_has_its_line_and_no_run_is_blamed_for_it(spec: Right, says: str, mark: str) -> None:
    found = alone(check_metric(spec, level="quick", skip=["plugin"]))
    assert found.id == "io.applies"
    assert says in found.message
    assert found.message.endswith(place(mark))
    assert found.hint == ""


def test_a_metric_that_measures_other_runs_may_not_apply_to_one() -> None:
    found = alone(check_metric(NeedsLabels(), level="quick", only=["io.applies", "io.finite"]))
    assert "AttributeError" in found.message
    assert found.message.endswith(place("needs"))
    assert "raise NotApplicableError" in found.hint


def test_a_metric_that_fails_for_every_run_is_not_tried_on_all_of_them() -> None:
    candidate = MetricCandidate(Indexes())
    with pytest.raises(NotApplicableError, match="points: it failed"):
        _ = candidate.tried
    assert list(candidate.failed_on) == ["points without labels", "points", "images"]


@pytest.mark.slow
def test_a_metric_that_does_not_apply_is_tried_on_all_of_them_and_one_of_images_on_images() -> None:
    candidate = MetricCandidate(RefusesAll())
    with pytest.raises(NotApplicableError, match="nothing that it could say"):
        _ = candidate.tried
    assert len(candidate.refused) > 5
    assert MetricCandidate(OfImages()).tried.name == "images"


def test_an_error_that_only_a_later_check_meets_is_a_failure_with_its_line() -> None:
    found = alone(check_metric(FailsOfOtherSeeds(), level="quick", only=["mode", "io.finite"]))
    assert found.id == "mode.seed"
    assert f"it raised IndexError: list index out of range {place('seeds')}" in found.message


def test_an_encoder_without_gradients_fails_in_words() -> None:
    (found,) = check_network(DetachedEncoder(), only=["mode.training"]).results
    assert found.status == "failed"
    assert found.message == "the output of the encoder in training mode has no gradient, so none of its weights learn"


def test_an_encoder_without_weights_needs_no_gradient() -> None:
    class Flat(Plain):
        """An encoder that has nothing to learn."""

        def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
            return nn.Sequential(
                nn.Flatten(), nn.Linear(int(torch.tensor(x_shape).prod()), out_features)
            ).requires_grad_(False)

    (found,) = check_network(Flat(), only=["mode.training"]).results
    assert found.status == "passed", found.message
