"""What `intel evaluate` and `intel check` print of a metric in a file of one's own that fails."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from intel_cli.main import intel

OWN = '''
from typing import Any

import intel_core


class LastSpec(intel_core.MetricSpec):
    """The last of nothing."""

    def measure(self, subject: Any) -> Any:
        return [][-1]


class FineSpec(intel_core.MetricSpec):
    """A half."""

    def measure(self, subject: Any) -> Any:
        return intel_core.Measurement(numbers={"half": intel_core.Number(value=0.5)}, protocol={"seed": self.seed})


intel_core.register("metrics", "last", LastSpec)
intel_core.register("metrics", "fine", FineSpec)
'''
LINE = next(number for number, text in enumerate(OWN.splitlines(), 1) if "[][-1]" in text)
SAID = f"IndexError: list index out of range (mine.py, line {LINE})"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from intel_core import fit

    folder = tmp_path_factory.mktemp("run") / "run"
    return fit(mapping="identity", data=torch.randn(200, 2), steps=2, run_dir=folder, progress=False).path


@pytest.fixture
def own(here: Path) -> str:
    (here / "mine.py").write_text(OWN)
    return str(here / "mine.py")


def evaluate(own: str, run: Path, *options: str):
    return CliRunner().invoke(
        intel, [*options, "--import", own, "evaluate", str(run), "--metrics", "last,fine", "-v"], catch_exceptions=False
    )


def test_evaluate_names_file_and_line(own: str, trained: Path) -> None:
    said = evaluate(own, trained)
    assert said.exit_code == 7
    assert f"last: failed: {SAID}\n" in said.stdout
    assert "a component of this process" in said.stdout
    assert "this-process" not in said.output
    assert "Traceback" not in said.output


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_traceback_is_there_for_who_debugs(
    how: str, own: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "variable":
        monkeypatch.setenv("INTEL_DEBUG", "1")
    said = evaluate(own, trained, *(["--debug"] if how == "option" else []))
    assert said.exit_code == 7
    assert "Traceback" in said.stderr
    assert re.search(rf'mine\.py", line {LINE}, in measure\n +return \[\]\[-1\]', said.stderr)
    assert "Traceback" not in said.stdout


def test_check_names_file_and_line_and_guesses_nothing(own: str) -> None:
    said = CliRunner().invoke(intel, ["--import", own, "check", "metric:last", "--level", "quick", "--only", "io"])
    assert said.exit_code == 1
    assert said.stdout.startswith("metric:last (a component of this process) · ")
    assert f"it raised {SAID}\n" in said.stdout
    assert "likely" not in said.stdout
