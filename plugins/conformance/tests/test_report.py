"""Does a report count what ran, and hold every result in each of its forms?"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from intel_conformance import ConformanceError, check_mapping
from specimens.mutant import Sound
from specimens.mutants.rows import MeanSubtracted
from torch import Tensor


def test_json_and_junit_hold_everything() -> None:
    report = check_mapping(MeanSubtracted, level="quick", only=["rows", "structure"])
    read = json.loads(json.dumps(report.to_json()))
    assert (read["ok"], read["planned"], read["ran"]) == (False, len(report.planned), report.ran)
    assert read["counts"]["failed"] == len(report.of("failed"))
    suite = ElementTree.fromstring(report.to_junit().encode())[0]
    assert suite.attrib["tests"] == str(len(report.results))
    assert suite.attrib["failures"] == str(len(report.of("failed")))
    assert suite.attrib["skipped"] == str(len(report.of("not_applicable")))
    failures = suite.findall("testcase/failure")
    assert [f.attrib["message"] for f in failures] == [result.message for result in report.of("failed")]
    assert check_mapping("circle", level="quick", only=["mode"]).to_json()["versions"]["intelvae-circle"]


def test_nothing_ran_is_never_green() -> None:
    report = check_mapping(Sound, only=["structure.norm_bound", "structure.inverse"])
    assert {result.status for result in report.results} == {"not_applicable"}
    assert report.ran == 0
    assert not report.ok
    assert report.exit_code == 1
    with pytest.raises(ConformanceError, match="0 of 2 planned ran"):
        report.raise_if_failed()
    assert ElementTree.fromstring(report.to_junit().encode())[0].attrib["errors"] == "1"
    empty = check_mapping(Sound, only=["rows"], skip=["rows"])
    assert (empty.ran, empty.exit_code, empty.planned) == (0, 1, ())


class Strict(Sound):
    """Takes matrices only."""

    def forward(self, y: Tensor) -> Tensor:
        if y.dim() != 2:
            raise RuntimeError(f"expected 2 dimensions, got {y.dim()}")
        return self.sound(y)


def test_failures_of_one_cause_are_told_once_and_counted_whole() -> None:
    report = check_mapping(Strict, level="quick", only=["io", "rows"])
    ((first, same),) = report.told()
    assert first.id == "io.shape"
    assert {"rows.alone", "rows.reshape"} <= {result.id for result in same}
    assert len(report.of("failed")) == 1 + len(same)
    with pytest.raises(ConformanceError) as error:
        report.raise_if_failed()
    assert str(error.value).count("raised RuntimeError") == 1
    assert f"the same cause: {', '.join(result.id for result in same)}" in str(error.value)


def test_failures_of_other_causes_stand_alone() -> None:
    told = check_mapping(MeanSubtracted, level="quick", only=["rows", "grad.input"]).told()
    assert [(first.id, [one.id for one in same]) for first, same in told] == [
        ("rows.replace_others", ["rows.alone"]),
        ("grad.input", []),
    ]
