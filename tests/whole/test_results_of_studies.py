"""Are the tables in the pages of results those that the numbers beside them give?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from intel_core.components import discovery

ROOT = Path(__file__).parents[2]


def loaded() -> ModuleType:
    """The script that makes the tables."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = loaded()
STUDIES = [path.stem for path in (ROOT / "docs" / "results").glob("*.json") if b'"study":' in path.read_bytes()]


def test_every_table_is_what_the_numbers_give() -> None:
    stale = [path.name for path, text in TABLES.pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"python docs/tables.py --write: {', '.join(stale)}"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_with_numbers_has_a_page_and_is_published(name: str) -> None:
    assert f"<!-- table: {name} -->" in (ROOT / "docs" / "results" / f"{name}.md").read_text(encoding="utf-8")
    assert name in {component.name for component in discovery.available("studies")}


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_are_of_seeds_on_which_nothing_was_chosen(name: str) -> None:
    results = TABLES.found(name)
    assert min(results.seeds) >= 10
    assert not [cell.seed for cell in results.cells if cell.seed < 10]


def test_every_published_study_is_among_the_claims() -> None:
    page = (ROOT / "docs" / "results" / "claims.md").read_text(encoding="utf-8")
    for component in discovery.available("studies"):
        assert f"`intel study {component.name}" in page
