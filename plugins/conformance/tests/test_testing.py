"""Do the two lines of a test file give the cases that they promise?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from intel_conformance import conformance, property_tests

from intel_core import SpecError

PYTEST_FILE = """
from intel_conformance import conformance, property_tests
from specimens.mutants.cont import JumpsAside
from specimens.mutants.mode import LargerInTraining
from specimens.steep import Flow

test_sound = conformance([Flow], level="quick", only=["io.shape", "rows.permute", "structure.norm_bound"])
both = ["mode.repeat", "mode.train_eval"]
test_faulty = conformance([LargerInTraining], level="quick", only=both)
test_known = conformance([LargerInTraining], only=both, expected_failures={"mode.train_eval": "it is known"})
known = {"mode.repeat": "no longer"}
test_fixed = conformance([Flow], only=["mode.repeat"], expected_failures=known)
test_lenient = conformance([Flow], only=["mode.repeat"], expected_failures=known, strict=False)
test_continuity, test_theorem1 = property_tests([Flow], n=10)
test_jump, _ = property_tests([JumpsAside])
test_dims = conformance({"identity": [2, 3]}, level="quick", only=["io.dtype"])
test_dim = conformance({"identity": 3}, level="quick", only=["io.dtype"])
"""


def test_one_line_in_a_test_file(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(PYTEST_FILE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "test_them.py"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
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
    assert {name for name in lines if "test_dim" in name} == {
        "test_dims[identity-2d-io.dtype]",
        "test_dims[identity-3d-io.dtype]",
        "test_dim[identity-io.dtype]",
    }
    assert "not applicable: no norm bound is declared" in out
    assert "likely: BatchNorm, dropout, or self.training" in out
    jump = re.search(
        r"JumpsAside \(2 dimensions of y, parameters of seed 0\): z jumps by .* between \((.*)\) and \((.*)\)", out
    )
    assert jump is not None, out
    assert all(len(number) <= 5 for end in jump.groups() for number in end.split(", "))  # shrunk to simple numbers
    assert "def test_continuity" not in out
    assert "runner.py" not in out  # a failure is its message, without the kit's own frames


def test_conformance_refuses_what_would_check_nothing() -> None:
    for specs in ([], "identity"):
        with pytest.raises(ValueError, match="a list of one or more specs"):
            conformance(specs)
    with pytest.raises(ValueError, match="no check is left"):
        conformance(["identity"], only=["rows"], skip=["rows"])
    with pytest.raises(SpecError, match="no check is called"):
        conformance(["identity"], expected_failures={"nonsense": "?"})


@pytest.mark.parametrize(("name", "make"), [("pytest", conformance), ("hypothesis", property_tests)])
def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, make: Any) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{name} is not installed: pip install 'intelvae-conformance\[testing\]'"):
        make(["identity"])
