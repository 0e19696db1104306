"""Do the pages point at what is there, and is nothing left to be filled in?"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "cli/*.md", "plugins/*/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links {target}"


@each_page
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    words = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in words if re.fullmatch(r"[A-Z]{4,}|.*\b(TODO|FIXME|XXX)\b.*", line.strip())]


def test_every_module_is_listed_with_its_question() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "rooms.py"))["page"]() == page, "python docs/rooms.py --write"


def test_every_page_of_results_is_linked() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "results").glob("*.md"):
        assert f"docs/results/{page.name}" in readme


def test_the_table_of_checks_is_the_one_in_the_code() -> None:
    from intel_conformance import all_checks

    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9]+\.\w+)` \| (quick|standard|deep) \| (.*) \|$", page, flags=re.MULTILINE)
    assert rows == [(check.id, check.level, check.summary) for check in all_checks()]


def test_the_table_of_checks_of_other_kinds_is_the_one_in_the_code() -> None:
    from intel_conformance.kinds import KINDS, checks_of

    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    of = r"^\| `([a-z]+\.\w+)` \| ([a-z, ]+) \| (quick|standard|deep) \| (.*) \|$"
    rows = [(id, kinds.split(", "), level, text) for id, kinds, level, text in re.findall(of, page, flags=re.MULTILINE)]
    for kind in KINDS:
        name = "data sets" if kind == "dataset" else f"{kind}s"
        mine = [(id, level, text) for id, kinds, level, text in rows if "all" in kinds or name in kinds]
        assert sorted(mine) == sorted((check.id, check.level, check.summary) for check in checks_of(kind))
