"""Are the checks run one after another, with expected failures, stops and seeds, and is nothing left changed?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from intel_conformance import ConformanceError, check_mapping, iter_checks
from specimens.mutant import Sound
from specimens.mutants.mode import LargerInTraining
from specimens.mutants.rows import MeanSubtracted
from torch import Tensor


class Stray(Sound):
    """Raises on what it was not written for."""

    def forward(self, y: Tensor) -> Tensor:
        if y.dim() != 2:
            raise RuntimeError("two\nlines")
        return torch.tanh(y)


def test_a_sound_mapping_passes_and_the_report_counts() -> None:
    seen = []
    report = check_mapping(Sound, level="quick", callback=seen.append)
    assert report.ok
    assert report.exit_code == 0
    assert tuple(seen) == report.results
    assert [result.id for result in report.results] == list(report.planned)
    assert report.ran == len(report.of("passed")) < len(report.planned)
    assert report.summary().startswith(f"{report.ran} of {len(report.planned)} planned ran: {report.ran} passed · ")
    report.raise_if_failed()


def test_a_faulty_one_is_told_with_cause_and_repetition() -> None:
    report = check_mapping(MeanSubtracted, level="quick", only=["rows"])
    assert not report.ok
    assert report.exit_code == 1
    result = report.results[0]
    assert (result.id, result.status) == ("rows.replace_others", "failed")
    assert "moved by 0.0546 when only other rows were replaced by random numbers" in result.message
    assert "BatchNorm" in result.hint
    assert result.repro.startswith("check_mapping(MeanSubtracted, y_dim=2, only=['rows.replace_others']")
    with pytest.raises(ConformanceError, match=r"MeanSubtracted does not conform\nFAILED rows.replace_others"):
        report.raise_if_failed()


def test_the_repetition_of_a_spec_can_be_typed() -> None:
    report = check_mapping("cluster:k=3", only=["rows.alone"], seed=7, expected_failures={"rows.alone": "a try"})
    assert report.results[0].status == "xpassed"
    candidate = next(iter_checks(["cluster:k=3", "identity"], seed=7, dtypes=["float32"])).candidate
    shown = candidate.repro("rows.alone")
    expected = "intel check cluster identity --latent 2 --only rows.alone --level standard --seed 7 --dtype float32"
    assert shown == expected


def test_expected_failures() -> None:
    report = check_mapping(LargerInTraining, only=["mode"], expected_failures={"mode.train_eval": "wanted, see README"})
    assert report.ok
    (result,) = report.of("xfailed")
    assert result.message.startswith("wanted, see README (")
    passes = check_mapping(Sound, only=["mode"], expected_failures={"mode.repeat": "was broken once"})
    assert [result.id for result in passes.of("xpassed")] == ["mode.repeat"]
    assert not passes.ok
    by_group = check_mapping(
        MeanSubtracted, only=["rows.alone", "rows.replace_others"], expected_failures={"rows": "x"}
    )
    assert by_group.ok


def test_stops_where_it_is_told_to() -> None:
    report = check_mapping(MeanSubtracted, level="quick", on_fail="stop")
    assert report.results[-1].bad
    assert not any(result.bad for result in report.results[:-1])
    assert len(report.results) < len(report.planned)
    with pytest.raises(ConformanceError):
        check_mapping(MeanSubtracted, level="quick", on_fail="raise")


def test_what_a_mapping_raises_is_its_fault_and_does_not_end_the_checks() -> None:
    report = check_mapping(Stray, level="quick")
    assert len(report.results) == len(report.planned)
    shape = next(result for result in report.results if result.id == "io.shape")
    assert shape.status == "failed"
    assert (
        shape.message == "raised RuntimeError for y of shape (2,), float32: two"
        or "raised RuntimeError" in shape.message
    )
    assert "\n" not in shape.message


def test_a_check_that_breaks_down_is_an_error_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = next(iter_checks(Sound, only=["mode.repeat"]))
    monkeypatch.setattr(type(planned.candidate), "draw", lambda *a: 1 / 0)
    result = planned.run()
    assert result.status == "error"
    assert result.bad
    assert "ZeroDivisionError" in result.message
    assert "ZeroDivisionError" in result.evidence["traceback"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report() -> None:
    def found(seed: int) -> list[Any]:
        return [(r.id, r.status, r.message) for r in check_mapping(MeanSubtracted, level="quick", seed=seed).results]

    assert found(3) == found(3)
    assert found(3) != found(4)


def test_the_process_is_left_as_it_was() -> None:
    state = torch.get_rng_state()
    check_mapping("sparse", level="quick")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_a_check_that_is_named_runs_with_the_draws_of_its_own_level() -> None:
    (planned,) = iter_checks("circle", level="quick", only=["structure.betti"])
    assert planned.candidate.level == "deep"
