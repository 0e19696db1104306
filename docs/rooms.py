"""Which question does each module answer? Prints the tables of docs/architecture.md from the modules themselves.

python docs/rooms.py            prints them
python docs/rooms.py --write    puts them into docs/architecture.md
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: made by docs/rooms.py -->", "<!-- end of rooms -->"
CORE = ("components", "mappings", "data", "model", "training")
WINGS = (
    *("likelihoods", "networks", "reading", "compute", "helpers", "processes", "recipe", "runs"),
    *("evaluation", "evaluation/bias", "fitting", "replicates"),
)
OTHERS = {
    "intel_conformance": "plugins/conformance/intel_conformance",
    "intel_study": "plugins/study/intel_study",
    "intel_cli": "cli/intel_cli",
}


def question(path: Path) -> str:
    """The first sentence of a module's docstring, which asks what the module answers."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    asked = re.sub(r":math:`([^`]*)`", r"\1", text.partition("?")[0])
    return f"{asked}?".replace("|", "\\|")


def table(folder: Path) -> list[str]:
    """A row for each module of a room."""
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    return [
        "| module | the one question it answers |",
        "|---|---|",
        *(f"| `{m.name}` | {question(m)} |" for m in modules),
    ]


def room(name: str, folder: Path) -> list[str]:
    """A heading, what the room is for, and its modules."""
    return [f"**`{name}/`** {question(folder / '__init__.py')}", "", *table(folder), ""]


def tables() -> str:
    """All rooms of the core, of its wings, and of the two distributions that have rooms of their own."""
    core = ROOT / "intel_core"
    lines = ["### The core", "", *table(core), ""]
    for name in CORE:
        lines += room(name, core / name)
    lines += ["### Wings", ""]
    for name in WINGS:
        lines += room(name, core / name)
    for name, place in OTHERS.items():
        folder = ROOT / place
        lines += [f"### `{name}`", ""]
        lines += [*table(folder), ""]
        for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
            lines += room(f"{name}/{inner.name}", inner)
    return "\n".join(lines).strip()


def page() -> str:
    """The page with the tables as they should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(tables())
