"""Does the site's hook turn links, notebooks and docstrings into what the site has? `make site` builds all of it."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks_of_the_site", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Site:
    """The places that a site has."""

    def __init__(self, *there: str) -> None:
        self.there = there

    def get_file_from_path(self, place: str) -> SimpleNamespace | None:
        inclusion = SimpleNamespace(is_included=lambda: True)
        return SimpleNamespace(inclusion=inclusion) if place in self.there else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](../plugins/circle/README.md)", "[a](plugins/circle.md)"),
        ("[a](../plugins/circle/README.md#facts)", "[a](plugins/circle.md#facts)"),
        ("[a](results/x.md) and [b](report.md)", "[a](results/x.md) and [b](report.md)"),
        ("![p](images/p.png)", "![p](images/p.png)"),
        ("[the `code`](../intel_core/lazy.py)", "the `code`"),  # a file that the site does not have
        ("[a](../plugins/nowhere/README.md)", "[a](../plugins/nowhere/README.md)"),  # left for MkDocs to find
        ("[a](https://arxiv.org/abs/2106.13746) [b](#here)", "[a](https://arxiv.org/abs/2106.13746) [b](#here)"),
        ("```\n[a](../plugins/circle/README.md)\n```", "```\n[a](../plugins/circle/README.md)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site(hooks: ModuleType, text: str, expected: str) -> None:
    site = Site("plugins/circle.md", "results/x.md", "report.md", "images/p.png")
    places = {ROOT / "plugins" / "circle" / "README.md": "plugins/circle.md"}
    assert hooks.relinked(text, DOCS / "page.md", "page.md", places, site) == expected


def test_a_readme_links_from_where_it_lies(hooks: ModuleType) -> None:
    site = Site("plugins/circle.md", "plugins/sparse.md", "results/bounds.md")
    places = {ROOT / "plugins" / name / "README.md": f"plugins/{name}.md" for name in ("circle", "sparse")}
    text = "[a](../sparse/README.md) [b](../../docs/results/bounds.md)"
    source = ROOT / "plugins" / "circle" / "README.md"
    turned = hooks.relinked(text, source, "plugins/circle.md", places, site)
    assert turned == "[a](sparse.md) [b](../results/bounds.md)"


def test_a_notebook_becomes_a_page(hooks: ModuleType, tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Text."]},
        {"cell_type": "code", "source": ["a = 1\n", "print(a)"]},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    page = hooks.notebook_page(path)
    assert page.startswith("# Title\n")
    assert "\nText.\n\n```python\na = 1\nprint(a)\n```\n" in page


def test_docstrings_become_markdown(hooks: ModuleType) -> None:
    table = "===  ===\na    b\n===  ===\n1    2\n===  ==="
    text = f"Sum :math:`a_b`.\n\n.. math:: x\n    + y\n\n{table}\n\n>>> f(1)\n2\n\nEnd."
    turned = " ".join("\n".join(hooks._Docstrings(None).run(text.split("\n"))).split())
    assert turned == r"Sum \(a_b\). \[x + y\] | a | b | |---|---| | 1 | 2 | ```pycon >>> f(1) 2 ``` End."
    fenced = ["```", ">>> f(1)", ":math:`x`", "```"]
    assert hooks._Docstrings(None).run(fenced) == fenced


def test_its_examples_are_true(hooks: ModuleType) -> None:
    assert doctest.testmod(hooks).failed == 0


def test_every_public_name_has_its_place(hooks: ModuleType) -> None:
    import intel_core

    pages = "\n".join(hooks.reference_pages().values())
    named = re.findall(r"^::: \S+\.(\w+)$", pages, flags=re.MULTILINE)
    assert set(intel_core.__all__) - {"__version__"} <= set(named)


def test_the_gallery_shows_what_it_says(hooks: ModuleType) -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    written = [shlex.split(line)[-1] for line in page.splitlines() if line.startswith("intel show ")]
    shown = [f"docs/{name}" for name in re.findall(r"\]\((images/\S+\.png)\)", page)]
    assert written == shown
    assert all((ROOT / name).stat().st_size < 100_000 for name in shown)
