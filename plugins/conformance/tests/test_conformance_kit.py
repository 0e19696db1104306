"""Does the kit tell the truth about what it ran? Reports, levels, choices, expected failures, and both front ends."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import torch
from hypothesis import given
from intel_conformance import ConformanceError, all_checks, check_mapping, conformance, iter_checks, strategies
from intel_conformance.check import LEVELS, choose
from intel_conformance.mutants import LargerInTraining, MeanSubtracted
from torch import Tensor, nn

from intel_core import SpecError, register
from intel_core.mappings.building import IdentitySpec


class Sound(nn.Module):
    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return torch.tanh(y)


class Stray(Sound):
    """Raises on what it was not written for."""

    def forward(self, y: Tensor) -> Tensor:
        if y.dim() != 2:
            raise RuntimeError("two\nlines")
        return torch.tanh(y)


# --- the report ------------------------------------------------------------------------------------------------


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
    subject = next(iter_checks(["cluster:k=3", "identity"], seed=7, dtypes=["float32"])).subject
    shown = subject.repro("rows.alone")
    expected = "intel check cluster identity --latent 2 --only rows.alone --level standard --seed 7 --dtype float32"
    assert shown == expected


def test_nothing_ran_is_never_green() -> None:
    report = check_mapping(Sound, only=["structure.norm_bound", "structure.inverse"])
    assert {result.status for result in report.results} == {"not_applicable"}
    assert report.ran == 0
    assert not report.ok
    assert report.exit_code == 3
    with pytest.raises(ConformanceError, match="0 of 2 planned ran"):
        report.raise_if_failed()
    assert ElementTree.fromstring(report.to_junit().encode())[0].attrib["errors"] == "1"
    empty = check_mapping(Sound, only=["rows"], skip=["rows"])
    assert (empty.ran, empty.exit_code, empty.planned) == (0, 3, ())


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
    monkeypatch.setattr(type(planned.subject), "draw", lambda *a: 1 / 0)
    result = planned.run()
    assert result.status == "error"
    assert result.bad
    assert "ZeroDivisionError" in result.message
    assert "ZeroDivisionError" in result.evidence["traceback"]


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


# --- what can be checked ---------------------------------------------------------------------------------------


def test_everything_that_is_or_builds_a_mapping_can_be_checked() -> None:
    one = {"level": "quick", "only": ["io.shape"]}
    for what in ("identity", IdentitySpec(), ["circle", "identity"], Sound(3), Sound, lambda y_dim: Sound(y_dim)):
        assert check_mapping(what, **one).ok  # type: ignore[arg-type]


def test_an_object_is_neither_changed_nor_kept_in_training_mode() -> None:
    mapping = nn.Sequential(nn.Linear(2, 2))
    mapping.y_dim = mapping.z_dim = 2  # type: ignore[assignment]
    mapping.eval()
    before = [p.clone() for p in mapping.parameters()]
    assert check_mapping(mapping, level="quick").ok
    assert not mapping.training
    assert all(torch.equal(a, b) for a, b in zip(before, mapping.parameters(), strict=True))


def test_the_fewest_dimensions_are_found() -> None:
    class Four(Sound):
        def __init__(self, y_dim: int) -> None:
            if y_dim < 4:
                raise ValueError("too few")
            super().__init__(y_dim)

    assert check_mapping(Four, only=["io.shape"]).y_dim == 4
    assert check_mapping("hierarchy:levels=[2,3]", only=["io.shape"]).y_dim == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"what": "clutser"}, "did you mean 'cluster'"),
        ({"what": 3}, "is no mapping, no spec of one and builds none"),
        ({"what": []}, "no mapping is named"),
        ({"what": lambda: None}, "give a mapping, or what builds one from y_dim"),
        ({"what": lambda y_dim: None}, "lacks y_dim, z_dim or a call"),
        ({"what": "identity", "level": "quik"}, "did you mean 'quick'"),
        ({"what": "identity", "only": ["row"]}, "no check is called 'row'; did you mean 'rows'"),
        ({"what": "identity", "skip": ["rows.permut"]}, "did you mean 'rows.permute'"),
        ({"what": "identity", "expected_failures": {"vmap": "?"}}, "no check is called 'vmap'"),
        ({"what": "identity", "dtypes": ["float16"]}, "no dtype 'float16'"),
        ({"what": "identity", "device": "abacus"}, "device 'abacus' is not here"),
        ({"what": "cluster:k=3", "y_dim": 1}, "needs"),
        ({"what": Sound(2), "y_dim": 3}, "has 2 dimensions of y, not 3"),
        ({"what": "identity", "on_fail": "cry"}, "on_fail is"),
    ],
)
def test_nonsense_is_answered_in_a_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")) as told:
        check_mapping(**arguments)
    assert str(told.value).count("\n") < 2


# --- the list of checks ----------------------------------------------------------------------------------------


def test_checks_are_named_and_described() -> None:
    everything = all_checks()
    assert len({check.id for check in everything}) == len(everything) > 45
    for check in everything:
        assert check.summary.endswith((".", ".``")) or ":" in check.summary
        assert check.clause.startswith(("contract", "declared", "capability", "transforms"))
        assert check.level in LEVELS


def test_levels_grow() -> None:
    quick, standard, deep = ({check.id for check in choose(level)} for level in LEVELS)
    assert quick < standard < deep
    assert deep == {check.id for check in all_checks()}


def test_a_check_that_is_named_runs_with_the_draws_of_its_own_level() -> None:
    (planned,) = iter_checks("circle", level="quick", only=["structure.betti"])
    assert planned.subject.level == "deep"


# --- front ends ------------------------------------------------------------------------------------------------


def test_importing_the_kit_imports_neither_pytest_nor_hypothesis_nor_torch() -> None:
    code = (
        "import sys; import intel_conformance as t; from intel_conformance import conformance;"
        "print([m for m in ('pytest', 'hypothesis') if m in sys.modules]);"
        "import intel_conformance.mutants, intel_conformance.runner; t.all_checks();"
        "print([m for m in ('pytest', '_pytest', 'hypothesis') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n")[:2] == ["[]", "[]"]
    light = "import sys, intel_conformance; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


PYTEST_FILE = """
from intel_conformance import conformance, property_tests
from intel_conformance.mutants import LargerInTraining, LooksAtX, JumpsAside
from intel_conformance.steep import Flow

test_sound = conformance([Flow], level="quick", only=["io", "rows", "structure"])
test_faulty = conformance([LargerInTraining], level="quick", only=["mode"])
test_known = conformance([LargerInTraining], only=["mode"], expected_failures={"mode.train_eval": "it is known"})
test_fixed = conformance([Flow], only=["mode.repeat"], expected_failures={"mode.repeat": "no longer"})
test_lenient = conformance([Flow], only=["mode.repeat"], expected_failures={"mode.repeat": "no longer"}, strict=False)
test_continuity, test_theorem1 = property_tests([Flow, "circle"], n=2000)
test_jump, _ = property_tests([JumpsAside])
"""


def test_one_line_in_a_test_file(tmp_path: Any) -> None:
    (tmp_path / "test_them.py").write_text(PYTEST_FILE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "test_them.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    out = done.stdout
    assert done.returncode == 1, out + done.stderr
    lines = {
        line.split()[1].partition("::")[2]: line.split()[0] for line in out.splitlines() if "test_them.py::" in line
    }
    assert lines["test_sound[Flow-rows.permute]"] == "PASSED"
    assert lines["test_faulty[LargerInTraining-mode.train_eval]"] == "FAILED"
    assert lines["test_faulty[LargerInTraining-mode.repeat]"] == "PASSED"
    assert lines["test_known[LargerInTraining-mode.train_eval]"] == "XFAIL"
    assert lines["test_fixed[Flow-mode.repeat]"] == "FAILED"
    assert lines["test_lenient[Flow-mode.repeat]"] == "PASSED"
    assert (lines["test_continuity"], lines["test_theorem1"], lines["test_jump"]) == ("PASSED", "PASSED", "FAILED")
    assert "not applicable: no norm bound is declared" in out
    assert "likely: BatchNorm, dropout, or self.training" in out
    assert "runner.py" not in out  # a failure is its message, without the kit's own frames


def test_conformance_refuses_what_would_check_nothing() -> None:
    for specs in ([], "identity"):
        with pytest.raises(ValueError, match="a list of one or more specs"):
            conformance(specs)
    with pytest.raises(ValueError, match="no check is left"):
        conformance(["identity"], only=["rows"], skip=["rows"])
    with pytest.raises(SpecError, match="no check is called"):
        conformance(["identity"], expected_failures={"nonsense": "?"})


@given(y=strategies.latents(3), posterior=strategies.gaussians(3))
def test_drawn_latents_and_posteriors(y: Tensor, posterior: Any) -> None:
    assert y.shape[1] == 3
    assert y.dtype == torch.float64
    assert torch.isfinite(y).all()
    assert float(posterior.mean_kl()) >= 0


@given(spec=strategies.specs(y_dim=4))
def test_drawn_specs_can_be_built_and_written(spec: Any) -> None:
    from intel_core import format_spec, parse_spec

    assert spec.build(4).y_dim == 4
    assert parse_spec("mappings", format_spec(spec)) == spec


def test_a_registered_spec_is_held_to_its_text() -> None:
    register("mappings", "nothing", IdentitySpec)
    report = check_mapping("nothing", only=["plugin.text"])
    assert report.results[0].status == "passed"


def test_pieces_of_mass_are_no_pieces_of_the_set() -> None:
    """A clustering map is continuous, so its image of a disc is one piece, but draws of it fall into two."""
    (result,) = check_mapping(["circle:eps=0.1", "cluster:k=2"], y_dim=2, only=["structure.betti"]).results
    assert result.status == "not_applicable", result
