"""Is the house as planned? No circle of imports, a core that knows no wing, short modules that each ask a question."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "intel_core", ROOT / "cli" / "intel_cli", *sorted(ROOT.glob("plugins/*/intel_*"))]

CORE = {"errors", "randomness", "schedules", "lazy", "components", "mappings", "data", "model", "training"}
"""The core's rooms in `intel_core`; all others are wings."""
MOST_CORE_LINES = 4000
MOST_LINES = 400
LONG = "Long because"
"""How the docstring of a module of more than `MOST_LINES` lines begins the sentence that says why."""
WITHOUT_QUESTION = {"__main__.py"}

ALONE = {"model", "training"}
"""Rooms that must not ask how many processes there are; `process_group` defines what they may call instead."""
ABOUT_PROCESSES = {
    *("peers", "world_size", "rank", "local_rank", "is_first", "is_main_process"),
    *("nprocs", "n_processes", "num_processes", "is_distributed", "is_initialized"),
}
GROUPS = {"group", "process_group", "processes", "peers"}
"""Names of a process group, with or without an underscore before them."""


# --- reading a tree of modules -----------------------------------------------------------------------------------


def modules_in(packages: Iterable[Path]) -> dict[str, Path]:
    """Dotted name and file of every module; a package goes by the name of its folder."""
    modules = {}
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
            modules[name.removesuffix(".__init__")] = path
    return modules


def imports_of(name: str, path: Path) -> Iterator[tuple[str, str | None]]:
    """Module and, for ``from module import name``, the name; wherever it is written, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: None if path.name == "__init__.py" else -1]
            above = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)


def graph_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """For each module, those of the others that it imports; ``from package import module`` counts as the module."""
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        targets = (
            f"{module}.{part}" if part and f"{module}.{part}" in modules else module
            for module, part in imports_of(name, path)
        )
        graph[name] = {target for target in targets if target in modules} - {name}
    return graph


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """A circle, its first member again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room_of(module: str) -> str:
    """The part of `intel_core` in which a module lies; the empty text for the package itself."""
    return module.split(".")[1] if "." in module else ""


def rooms_in(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same graph between rooms; the package's own table of names is no room."""
    rooms: dict[str, set[str]] = {}
    for module, targets in graph.items():
        if room_of(module):
            rooms.setdefault(room_of(module), set()).update(room_of(target) for target in targets)
    return {room: targets - {room, ""} for room, targets in rooms.items()}


def leaving(graph: Mapping[str, set[str]], inside: Iterable[str]) -> list[tuple[str, str]]:
    """Imports from some modules to others."""
    inside = set(inside)
    return [(module, target) for module in sorted(inside) for target in sorted(graph[module] - inside)]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def long_without_reason(modules: Mapping[str, Path]) -> list[str]:
    return [name for name, path in modules.items() if lines_of(path) > MOST_LINES and LONG not in docstring_of(path)]


def states_a_question(docstring: str) -> bool:
    """Whether the first sentence ends in the first line, with a question mark."""
    first = re.match(r".*?[.?!](?=\s|$)", docstring.partition("\n")[0])
    return first is not None and first.group().endswith("?")


def talk_of_processes(source: str) -> list[str]:
    """Identifiers by which code asks how many processes there are, and comparisons of a process group with None."""
    talk = []
    for node in ast.walk(ast.parse(source)):
        talk += [word for word in identifiers_of(node) if word in ABOUT_PROCESSES]
        if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) and side.value is None for side in sides):
                talk += [ast.unparse(node) for side in sides if name_of(side).lstrip("_") in GROUPS]
    return talk


def identifiers_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
            return [word]
        case ast.keyword(arg=str(word)) | ast.FunctionDef(name=word) | ast.ClassDef(name=word):
            return [word]
        case ast.Import(names=aliases):
            return [word for alias in aliases for word in (*alias.name.split("."), alias.asname or "")]
        case ast.ImportFrom(module=module, names=aliases):
            words = [word for alias in aliases for word in (alias.name, alias.asname or "")]
            return [*(module or "").split("."), *words]
    return []


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word):
            return word
    return ""


# --- this tree -----------------------------------------------------------------------------------------------------

MODULES = modules_in(PACKAGES)
OF_CORE = {name: path for name, path in MODULES.items() if name.startswith("intel_core.") and room_of(name) in CORE}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return graph_of(MODULES)


def test_no_module_imports_itself_by_way_of_others(graph: dict[str, set[str]]) -> None:
    assert len(MODULES) > 100
    assert circle_in(graph) == []


def test_no_room_of_the_core_package_imports_itself_by_way_of_others(graph: dict[str, set[str]]) -> None:
    assert circle_in(rooms_in({name: graph[name] for name in graph if name.split(".")[0] == "intel_core"})) == []


def test_the_core_imports_no_wing(graph: dict[str, set[str]]) -> None:
    assert {room_of(name) for name in OF_CORE} == CORE
    assert leaving(graph, OF_CORE) == []


def test_the_core_stays_small() -> None:
    assert sum(lines_of(path) for path in OF_CORE.values()) < MOST_CORE_LINES


def test_models_and_training_do_not_ask_how_many_processes_there_are() -> None:
    asked = {
        name: talk_of_processes(path.read_text(encoding="utf-8"))
        for name, path in OF_CORE.items()
        if room_of(name) in ALONE and name != "intel_core.training.process_group"
    }
    assert {name: talk for name, talk in asked.items() if talk} == {}


def test_long_modules_say_why() -> None:
    assert long_without_reason(MODULES) == []


def test_every_package_and_module_states_its_question() -> None:
    paths = [path for path in MODULES.values() if path.name not in WITHOUT_QUESTION]
    assert [str(path.relative_to(ROOT)) for path in paths if not states_a_question(docstring_of(path))] == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in MODULES.values()}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


# --- a made-up tree, to see that all this is noticed ------------------------------------------------------------------


def made_up(tmp_path: Path, **sources: str) -> dict[str, Path]:
    """Modules of a package ``house``; two underscores in a name stand for a folder."""
    package = tmp_path / "house"
    for name, source in {"__init__": "", **sources}.items():
        path = package / (f"{name}.py" if name.startswith("__") else f"{name.replace('__', '/', 1)}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
    return modules_in([package])


LATE = "def go():\n    from house.a import A\n"
TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.a import A\n"


@pytest.mark.parametrize(
    "back",
    [
        *("import house.a", "from house.a import A", "from house import a", "from . import a", "from .a import A"),
        *("import house.a as other", "class B:\n    from house import a", LATE, TYPED),
    ],
)
def test_a_circle_is_noticed_wherever_its_imports_are(back: str, tmp_path: Path) -> None:
    modules = made_up(tmp_path, a="from house.b import B", b=back, c="from house.a import A")
    assert set(circle_in(graph_of(modules))) == {"house.a", "house.b"}


def test_a_circle_of_three_through_folders_is_noticed(tmp_path: Path) -> None:
    modules = made_up(
        tmp_path,
        specs____init__="",
        specs__own="def load():\n    from house import reader\n",
        reader="from house.files import find",
        files="from .specs import own",
    )
    assert set(circle_in(graph_of(modules))) == {"house.specs.own", "house.reader", "house.files"}


def test_imports_in_one_direction_are_no_circle(tmp_path: Path) -> None:
    modules = made_up(tmp_path, a="from house import b, c\nimport os", b="from house.c import C", c="import house_b")
    assert graph_of(modules) == {
        "house": set(),
        "house.a": {"house.b", "house.c"},
        "house.b": {"house.c"},
        "house.c": set(),
    }
    assert circle_in(graph_of(modules)) == []


def test_a_circle_of_rooms_is_noticed_though_no_module_is_in_one(tmp_path: Path) -> None:
    modules = made_up(
        tmp_path,
        left__a="from house.right.a import A",
        left__b="",
        right__a="",
        right__b="from house.left.b import B",
    )
    assert circle_in(graph_of(modules)) == []
    assert set(circle_in(rooms_in(graph_of(modules)))) == {"left", "right"}


def test_an_import_that_leaves_the_core_is_noticed(tmp_path: Path) -> None:
    modules = made_up(tmp_path, core__a="from house.core import b", core__b=LATE, a="from house.core.b import B")
    inside = [name for name in modules if room_of(name) == "core"]
    assert leaving(graph_of(modules), inside) == [("house.core.b", "house.a")]


def test_a_long_module_is_noticed_unless_it_says_why(tmp_path: Path) -> None:
    short, long = "x = 1\n" * MOST_LINES, "x = 1\n" * (MOST_LINES + 1)
    excused = f'"""What is x?\n\n{LONG} x is set many times.\n"""\n{long}'
    assert long_without_reason(made_up(tmp_path, a=short, b=long, c=excused)) == ["house.b"]


@pytest.mark.parametrize(
    "source",
    [
        "from house.processes import peers",
        "from house.peers import Peers",
        "def fit(peers): ...",
        "fit(world_size=2)",
        "if torch.distributed.is_initialized(): ...",
        "x = 1 if self.processes.rank == 0 else 2",
        "if self._processes is not None: ...",
        "y = x if group is None else group.mean(x)",
        "while None is not self.process_group: ...",
    ],
)
def test_a_question_about_processes_is_noticed(source: str) -> None:
    assert talk_of_processes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Of several peers, each with a rank."""',
        "rows = self.processes.own(rows, dim=0)",
        "x = y if stop is None else group",
        "if group == 2: ...",
    ],
)
def test_what_asks_nothing_about_processes_is_left_alone(source: str) -> None:
    assert talk_of_processes(source) == []


@pytest.mark.parametrize(
    ("docstring", "is_question"),
    [
        ("Where is it?", True),
        ("How are .npy files read? Without unpickling.\n\nMore.", True),
        ("It is here. Where else?", False),
        ("Where does this question\nend?", False),
        ("Where", False),
        ("", False),
    ],
)
def test_a_question_is_told_from_a_statement(docstring: str, is_question: bool) -> None:
    assert states_a_question(docstring) == is_question
