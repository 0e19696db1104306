"""What each distribution carries, what it needs, and who may import whom."""

import ast
import configparser
import email
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in [ROOT / "pyproject.toml", *ROOT.glob("cli/pyproject.toml")])
PROJECTS += sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
CORE = ROOT / "intel_core"


def described(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def packages_of(project: Path) -> list[str]:
    return described(project)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name if path != ROOT else "core")


# --- wheels ----------------------------------------------------------------------------------------------------


@each_project
def test_a_wheel_holds_its_package_and_nothing_else(wheel_of, project: Path) -> None:
    with zipfile.ZipFile(wheel_of(project)) as wheel:
        files = wheel.namelist()
        (info,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
        entries = f"{info}/entry_points.txt"
        written = wheel.read(entries).decode() if entries in files else ""
    packages = packages_of(project)
    tops = {name.partition("/")[0] for name in files} - {info}
    assert tops == set(packages)
    source = {
        str(path.relative_to(project).as_posix())
        for package in packages
        for path in (project / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in files if not name.startswith(info)} == source
    assert not [name for name in files if "test" in Path(name).parts or "tests" in Path(name).parts]
    assert {f"{package}/py.typed" for package in packages} <= source

    project_table = described(project)["project"]
    promised = dict(project_table.get("entry-points", {}))
    if "scripts" in project_table:
        promised["console_scripts"] = project_table["scripts"]
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(written)
    assert {group: dict(parser[group]) for group in parser.sections()} == promised
    for group, values in promised.items():
        for value in values.values():
            module = value.partition(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & source, f"{group}: {value} is not in the wheel"


@each_project
def test_metadata_of_a_wheel(wheel_of, project: Path) -> None:
    with zipfile.ZipFile(wheel_of(project)) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Name"].startswith("intelvae-")
    assert metadata["Summary"]
    assert metadata.get_payload().strip()  # the README
    python = SpecifierSet(metadata["Requires-Python"])
    assert "3.10" in python
    assert "3.99" in python
    assert "3.9" not in python
    needs = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    for need in needs:
        assert {part.operator for part in need.specifier} == {">="}, f"{need} should be a lower bound"
    installed = {need.name for need in needs if need.marker is None}
    if project == ROOT:
        assert installed == {"torch", "narwhals", "numpy", "pydantic", "pluggy", "safetensors", "pyyaml"}
    else:
        ours = {other for other in installed if other.startswith("intelvae-")}
        assert ours == {"intelvae-core"} | ({"intelvae-conformance"} if project.name == "cli" else set())


def test_versions_agree() -> None:
    import intel_core

    assert intel_core.__version__ == described(ROOT)["project"]["version"]
    assert f"## {intel_core.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@each_project
def test_a_plugin_says_which_api_it_speaks(project: Path) -> None:
    from intel_core.components.discovery import API_LEVEL

    groups = described(project)["project"].get("entry-points", {})
    if project != ROOT and any(group.startswith("intelvae.") for group in groups):
        assert list(groups["intelvae.api"]) == [str(API_LEVEL)]


# --- imports ---------------------------------------------------------------------------------------------------


def imports_of(path: Path) -> Iterator[tuple[str, str | None]]:
    """Every import of a file, wherever it stands: module, and the name that is taken from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def sources_of(project: Path) -> list[Path]:
    return [path for package in packages_of(project) for path in sorted((project / package).rglob("*.py"))]


def public_names(module: str) -> set[str] | None:
    """``__all__`` of a module of the core, without importing it; None if there is no such module."""
    base = ROOT / module.replace(".", "/")
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not path.is_file():
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_the_core_knows_no_plugin_and_no_optional_library() -> None:
    others = {package for project in PROJECTS if project != ROOT for package in packages_of(project)}
    assert {"intel_cli", "intel_datasets"} <= others
    banned = others | {"click", "rich", "matplotlib", "torchvision", "sklearn", "pandas", "PIL"}
    banned |= {"pytest", "hypothesis", "gudhi"}
    found = {(path.name, m) for path in sources_of(ROOT) for m, _ in imports_of(path) if m.partition(".")[0] in banned}
    assert found == set()


@each_project
def test_only_public_names_of_the_core_are_imported(project: Path) -> None:
    if project == ROOT:
        return
    for path in sources_of(project):
        for module, name in imports_of(path):
            if module.partition(".")[0] != "intel_core":
                continue
            names = public_names(module)
            assert names is not None, f"{path}: there is no {module}"
            assert not any(part.startswith("_") for part in module.split(".")), f"{path}: {module} is private"
            if name is not None and public_names(f"{module}.{name}") is None:
                assert name in names, f"{path}: {name} is no public name of {module}"


@each_project
def test_a_plugin_imports_the_core_and_no_other_plugin(project: Path) -> None:
    own = set(packages_of(project))
    if own == {"intel_cli"}:
        return
    strangers = {package for other in PROJECTS if other != ROOT for package in packages_of(other)} - own
    found = [(path.name, m) for path in sources_of(project) for m, _ in imports_of(path)]
    assert [(name, m) for name, m in found if m.partition(".")[0] in strangers] == []


def test_nobody_imports_the_command_and_the_command_knows_no_plugin_by_name() -> None:
    """The command depends on the core, and on the checks for `intel check`."""
    known = {"intel_core", "intel_cli", "intel_conformance"}
    plugins = {package for project in PROJECTS for package in packages_of(project)} - known
    assert plugins
    for project in PROJECTS:
        banned = plugins if "intel_cli" in packages_of(project) else {"intel_cli"}
        for path in sources_of(project):
            assert not {m.partition(".")[0] for m, _ in imports_of(path)} & banned, path


@each_project
def test_whatever_is_imported_is_declared(project: Path) -> None:
    """Whatever is imported is what the distribution requires, or one of its extras does."""
    distribution = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
    distribution |= {
        "mlflow": "mlflow-skinny",
        "intel_core": "intelvae-core",
        "intel_conformance": "intelvae-conformance",
    }
    table = described(project)["project"]
    needed = {Requirement(text).name for text in table.get("dependencies", [])}
    extras = {name: texts for name, texts in table.get("optional-dependencies", {}).items() if name != "dev"}
    needed |= {Requirement(text).name for texts in extras.values() for text in texts}
    needed |= {"torch", "numpy", "pydantic", "pluggy", "safetensors", "pyyaml"}  # through the core
    needed |= {"typing_extensions", "pydantic_core", "annotated_types"}  # through pydantic
    known = {*sys.stdlib_module_names, *packages_of(project)}
    for path in sources_of(project):
        for module, _ in imports_of(path):
            top = module.partition(".")[0]
            assert top in known or distribution.get(top, top) in needed, f"{path}: {top} is not declared"


# --- a stranger's plugin, beside wheels --------------------------------------------------------------------------

SPIRAL = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "intel-spiral"
        version = "0.2.1"
        dependencies = ["intelvae-core>=0.1"]

        [project.entry-points."intelvae.mappings"]
        spiral = "intel_spiral.spec:SpiralSpec"
        """,
    "intel_spiral/__init__.py": "",
    "intel_spiral/spec.py": '''
        from intel_core import MappingSpec
        from pydantic import Field
        class SpiralSpec(MappingSpec):
            """One line that `intel plugins show spiral` prints."""
            turns: float = Field(1.0, gt=0, description="full turns over the radius")
            def build(self, y_dim: int) -> "Mapping":
                from intel_spiral.mapping import Spiral
                return Spiral(y_dim, turns=self.turns)
        ''',
    "intel_spiral/mapping.py": """
        import torch
        from torch import nn

        class Spiral(nn.Module):
            def __init__(self, y_dim, turns):
                super().__init__()
                if y_dim != 2:
                    raise ValueError(f"a spiral needs 2 dimensions, not {y_dim}")
                self.y_dim = self.z_dim = y_dim
                self.turns = turns

            def forward(self, y):
                angle = 2 * torch.pi * self.turns * torch.tanh(y.square().sum(-1))
                cos, sin = torch.cos(angle), torch.sin(angle)
                return torch.stack([cos * y[..., 0] - sin * y[..., 1], sin * y[..., 0] + cos * y[..., 1]], dim=-1)
        """,
}

TRAIN = """
    import sys
    import intel_core
    from intel_core import Mapping, available, load_mapping
    assert intel_core.__file__.startswith(sys.prefix), intel_core.__file__
    assert [(c.name, c.distribution, c.version) for c in available("mappings")] == [
        ("given", "intelvae-core", intel_core.__version__), ("identity", "intelvae-core", intel_core.__version__),
        ("spiral", "intel-spiral", "0.2.1")]
    assert "torch" not in sys.modules
    import torch
    from intel_core import fit, load_run
    assert isinstance(load_mapping("spiral:turns=2", y_dim=2), Mapping)
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    run = fit(mapping="spiral:turns=2", data=x, steps=30, run_dir="run", device="cpu")
    assert str(run.spec.mapping[0]) == "spiral:turns=2.0"
    assert torch.equal(load_run("run").sample(50), run.sample(50))
    """

LOAD_WITHOUT = """
    from intel_core import PluginError, load_run
    try:
        load_run("run").sample(50)
    except PluginError as error:
        print(error)
    """


@pytest.mark.slow
def test_third_party_plugin_installs_beside_wheels(wheel_of, environment, tmp_path: Path) -> None:
    for name, text in SPIRAL.items():
        (tmp_path / "spiral" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "spiral" / name).write_text(textwrap.dedent(text))

    def run(code: str) -> str:
        return environment.python("-W", "error::UserWarning", "-c", textwrap.dedent(code))

    environment.install(wheel_of(ROOT), wheel_of(tmp_path / "spiral"))
    run(TRAIN)
    environment.pip("uninstall", "--yes", "intel-spiral")
    message = "run needs mapping 'spiral' of intel-spiral 0.2.1, which is not installed: pip install intel-spiral"
    assert run(LOAD_WITHOUT) == message
