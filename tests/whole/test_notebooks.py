"""Do the notebooks, and the pages that show a program, run as they are?

The code cells of a notebook are executed one after another in one namespace, in this process: what a kernel adds
(magics, display) is used by none of them, and its start would take longer than the cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core.components import discovery
from intel_core.helpers.torchvision_compat import import_with_torchvision

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))
PAGES = [DOCS / "networks.md"]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


def execute(codes: list[str], name: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, code in enumerate(codes):
        exec(compile(code, f"{name}, code {number}", "exec"), namespace)
    return namespace


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of its own, no window, and no name, figure or random state left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(discovery, "registered", dict(discovery.registered))
    plt = pytest.importorskip("matplotlib.pyplot")
    with plt.rc_context(), torch.random.fork_rng():
        yield
    plt.close("all")


def test_there_are_eight() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, 9)]


@each_notebook
def test_a_notebook_is_kept_without_what_it_prints(path: Path) -> None:
    assert cells_of(path)[0]["source"][0].startswith("# ")
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@each_notebook
def test_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    text = "".join("".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (path.parent / target).exists(), target


@pytest.mark.promptly("01-first-run", "08-own-loop")
@each_notebook
@pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore:.*does not have many workers", "ignore:.*litlogger")
def test_a_notebook_runs(path: Path, apart: None) -> None:
    codes = ["".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "code"]
    if any("pytorch_lightning" in code for code in codes):
        import_with_torchvision("torchvision")  # Lightning imports it, whichever build is there
    execute(codes, path.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_programs_of_a_page_run(page: Path, apart: None) -> None:
    codes = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert codes
    execute(codes, page.name)
