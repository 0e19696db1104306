"""Is what the distributions, and the file for citations, say of themselves complete and the same everywhere?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from trove_classifiers import classifiers as known_classifiers

import intel_core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, ROOT / "cli", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


def described(project: Path) -> dict[str, Any]:
    return dict(tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"])


@each_project
def test_metadata_are_complete(project: Path) -> None:
    table = described(project)
    assert 20 <= len(table["description"]) <= 140
    assert not table["description"].endswith(".")
    assert table["version"] == intel_core.__version__
    assert "variational autoencoder" in table["keywords"]
    assert len(set(table["keywords"])) == len(table["keywords"])
    assert table["urls"]["Paper"].startswith("https://arxiv.org/")
    assert "Typing :: Typed" in table["classifiers"]
    assert set(table["classifiers"]) <= known_classifiers


@each_project
def test_versions_of_python_are_those_of_the_core(project: Path) -> None:
    def named(table: dict[str, Any]) -> list[str]:
        return [line for line in table["classifiers"] if line.startswith("Programming Language :: Python")]

    mine, core = described(project), described(ROOT)
    assert named(mine) == named(core)
    assert mine["requires-python"] == core["requires-python"]
    lowest = mine["requires-python"].removeprefix(">=")
    assert named(mine)[1] == f"Programming Language :: Python :: {lowest}"


def test_the_lowest_versions_are_those_of_the_core() -> None:
    done = subprocess.run([sys.executable, ROOT / "tests" / "lowest.py"], capture_output=True, text=True, check=True)
    lowest = [need.replace(">=", "==") for need in described(ROOT)["dependencies"]]
    assert done.stdout.split() == [*lowest, "pyarrow<26"]


def test_the_paper_is_what_is_cited() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == intel_core.__version__
    assert {"message", "title", "authors"} <= set(cited)
    paper = cited["preferred-citation"]
    assert paper["url"] == described(ROOT)["urls"]["Paper"]
    assert paper["authors"][0]["family-names"] == "Miao"
