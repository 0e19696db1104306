"""Does `--import FILE` make the components of a file known, for that command only?"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from intel_cli.main import intel

from intel_core import available

FILE = '''
from typing import ClassVar
from pydantic import Field
from intel_core import NetworkSpec, register

class WideSpec(NetworkSpec):
    """One hidden layer."""

    width: int = Field(8, ge=1, description="its width")

    def build_encoder(self, x_shape, out_features):
        from torch import nn
        return nn.Sequential(nn.Linear(x_shape[0], self.width), nn.ReLU(), nn.Linear(self.width, out_features))

    def build_decoder(self, in_features, out_shape):
        from torch import nn
        return nn.Sequential(nn.Linear(in_features, out_shape[0]))

register("networks", "wide", WideSpec)
'''


def run(*words: object) -> Result:
    return CliRunner().invoke(intel, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_nets.py"
    path.write_text(FILE)
    return path


def test_a_run_with_its_components_is_trained_and_read(file: Path, tmp_path: Path) -> None:
    training = ("--data", "circle:n=200", "--network", "wide:width=5", "--steps", 3, "--no-pictures", "--quiet")
    folder = tmp_path / "run"
    done = run("--import", file, "train", *training, "--run-dir", folder)
    assert done.exit_code == 0, done.output
    assert "wide:width=5" in (folder / "run.json").read_text()
    assert run("--import", file, "sample", folder, "-n", 2, "-o", tmp_path / "x.npy").exit_code == 0
    assert not [one for one in available("networks") if one.name == "wide"]
    without = run("sample", folder, "-n", 2, "-o", tmp_path / "y.npy")
    assert without.exit_code == 2
    assert "intel --import FILE" in without.output
    assert "pip install" not in without.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x = 1\n", "it registers no component; at its end, call intel_core.register("),
        ("import nothing_like_that\n", "my_nets.py:1: ModuleNotFoundError: No module named 'nothing_like_that'"),
        ("x = 1\ny = x.z\n", "my_nets.py:2: AttributeError"),
        ("def f(:\n", "my_nets.py:1: SyntaxError"),
        ("raise SystemExit(3)\n", "my_nets.py:1: SystemExit: 3"),
        ('from intel_core import register\nregister("networks", "int", int)\n', "not a subclass of NetworkSpec"),
    ],
)
def test_a_file_that_fails_is_told_with_its_line(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "my_nets.py"
    path.write_text(content)
    result = run("--import", path, "plugins", "list")
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_it_imports_what_lies_beside_it_but_not_instead_of_what_is_installed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "my_widths_of_nets.py").write_text("WIDTH = 7\n")
    (tmp_path / "numpy.py").write_text("raise RuntimeError('the wrong numpy')\n")
    file.write_text("import numpy\nfrom my_widths_of_nets import WIDTH\n" + FILE.replace("Field(8", "Field(WIDTH"))
    shown = run("--import", file, "schema", "network", "wide")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["properties"]["width"]["default"] == 7
    assert str(tmp_path) not in sys.path


def test_files_whose_neighbours_have_one_name_are_refused(tmp_path: Path) -> None:
    for folder, width in (("a", 3), ("b", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my_widths_of_nets.py").write_text(f"WIDTH = {width}\n")
        content = "from my_widths_of_nets import WIDTH\n" + FILE.replace("Field(8", "Field(WIDTH")
        (tmp_path / folder / "nets.py").write_text(content.replace('"wide"', f'"wide-{folder}"'))
    a, b = (tmp_path / folder / "nets.py" for folder in "ab")
    both = run("--import", a, "--import", b, "plugins", "list")
    assert both.exit_code == 2
    assert "my_widths_of_nets.py beside it has the name of" in both.output
    shown = run("--import", b, "schema", "network", "wide-b")  # and nothing is left of the first one
    assert json.loads(shown.stdout)["properties"]["width"]["default"] == 5


HOOK = """
from intel_core import hookimpl, register

class Counting:
    \"\"\"Counts steps.\"\"\"

    @hookimpl
    def run_end(self, trainer):
        print("counted", trainer.step)

register("hooks", "counting", Counting())
"""


def test_its_hooks_are_called(tmp_path: Path) -> None:
    path = tmp_path / "my_hooks.py"
    path.write_text(HOOK)
    training = ("train", "--data", "circle:n=200", "--steps", 3, "--no-pictures", "--run-dir", tmp_path / "run")
    done = run("--import", path, *training)
    assert done.exit_code == 0, done.output
    assert "counted 3" in done.stdout
    assert "counting" in run("--import", path, "plugins", "list", "hooks").stdout
    path.write_text(HOOK.replace("Counting())", "Counting)"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        wrong = run("--import", path, *training[:-1], tmp_path / "other")
    assert "counting is BROKEN (PluginError: this-process/counting: Counting is a class, expected" in wrong.stderr


@pytest.mark.parametrize("name", ["data.csv", "."])
def test_something_else_than_a_python_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    result = run("--import", tmp_path / name, "plugins", "list")
    assert result.exit_code == 2
    assert "expected a Python file that registers components" in result.output


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    result = run("--import", tmp_path / "nosuch.py", "plugins", "list")
    assert result.exit_code == 2
    assert "there is no file nosuch.py" in result.output
