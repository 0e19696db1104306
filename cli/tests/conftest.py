"""Distributions made up for these tests: data and mappings of every sort, and plugins that are wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from intel_cli.main import intel
from torch import nn

from intel_core import MappingSpec, Properties, register
from intel_core.components import discovery as plugins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOYS = '''
from typing import ClassVar

from intel_core.data.dataset import DatasetSpec
from intel_core.mappings.contract import MappingSpec
from pydantic import Field


class _Toy(DatasetSpec):
    n: int = Field(120, ge=10, description="number of points")

    def load(self, data_dir):
        import torch
        from intel_core.reading.arrays import make_dataset

        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(self.n) % self.classes
        names = tuple(f"class {i}" for i in range(self.classes))
        x = self.draw(labels, generator)
        names = names if self.labelled else ()
        return make_dataset("toy", x, labels if self.labelled else None, class_names=names, standardize=False)

    classes: ClassVar[int] = 2
    labelled: ClassVar[bool] = True


class PointsSpec(_Toy):
    """Two clouds in the plane."""

    width: ClassVar[int] = 2

    def draw(self, labels, generator):
        import torch

        return torch.randn(len(labels), self.width, generator=generator) + 4 * labels.unsqueeze(1)


class LineSpec(PointsSpec):
    """Numbers."""

    width: ClassVar[int] = 1


class SpaceSpec(PointsSpec):
    """Points in space."""

    width: ClassVar[int] = 3
    labelled: ClassVar[bool] = False


class WideSpec(PointsSpec):
    """Vectors of six values with many classes."""

    width: ClassVar[int] = 6
    classes: ClassVar[int] = 24


class ImagesSpec(_Toy):
    """Grey images of 8x8 pixels."""

    classes: ClassVar[int] = 10

    def draw(self, labels, generator):
        import torch

        return torch.rand(len(labels), 1, 8, 8, generator=generator) * (labels + 1).view(-1, 1, 1, 1) / 10


class HalvesSpec(MappingSpec):
    """Two half planes, pulled apart."""

    gap: float = Field(5.0, ge=0, le=100, description="how far apart")

    def build(self, y_dim):
        from toys_mapping import Halves

        return Halves(y_dim, self.gap)


class SilentSpec(MappingSpec):
    """Builds something that is no mapping."""

    def build(self, y_dim):
        return None
'''

MAPPING = """
import torch
from intel_core.mappings.properties import Properties
from torch import nn


class Halves(nn.Module):
    n_clusters = 2

    def __init__(self, y_dim, gap):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.gap = gap

    @property
    def properties(self):
        return Properties(clusters=2, planes=((0, 1),) if self.y_dim > 1 else ())

    def forward(self, y):
        first = y[..., :1]
        return torch.cat([first + self.gap * torch.tanh(3 * first), y[..., 1:]], dim=-1)

    def assign(self, y):
        return (y[..., 0] > 0).long()

    def proportions(self):
        return torch.tensor([0.5, 0.5])

    def diagnose(self, y, labels):
        return {"data_shares": [0.25, 0.75], "contingency": [[1, 2], [3, 4]], "purity": float("nan")}
"""


def write_distribution(folder: Path, name: str, groups: dict[str, dict[str, str]]) -> None:
    """The metadata of an installed distribution, as `importlib.metadata` reads it."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"[intelvae.{g}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for g, entries in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with well-made components."""
    folder = tmp_path_factory.mktemp("toys")
    (folder / "toys.py").write_text(TOYS)
    (folder / "toys_mapping.py").write_text(MAPPING)
    datasets = {f"toy_{n.lower()}": f"toys:{n}Spec" for n in ("Points", "Line", "Space", "Wide", "Images")}
    write_distribution(
        folder, "toys", {"datasets": datasets, "mappings": {"halves": "toys:HalvesSpec", "silent": "toys:SilentSpec"}}
    )
    return folder


@pytest.fixture(scope="session")
def rotten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with components of every status but OK."""
    folder = tmp_path_factory.mktemp("rotten")
    (folder / "crashing.py").write_text("raise RuntimeError('no licence found')\n")
    (folder / "heavy.py").write_text("import torch\n")
    (folder / "plain.py").write_text("class Spec: pass\n")
    write_distribution(
        folder,
        "rotten",
        {
            "mappings": {"crash": "crashing:Spec", "heavy": "heavy:Spec", "plain": "plain:Spec", "gone": "gone:Spec"},
            "hooks": {"bad_hook": "crashing"},
        },
    )
    write_distribution(folder, "futuristic", {"mappings": {"future": "plain:Spec"}, "api": {"99": "plain"}})
    for name in ("one", "two"):
        write_distribution(folder, name, {"mappings": {"twice": "toys:HalvesSpec"}})
    return folder


@pytest.fixture(autouse=True)
def here(toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, the toys installed, no settings from outside."""
    monkeypatch.syspath_prepend(toys)
    for variable in ("INTEL_PLUGINS", "INTEL_DISABLE_PLUGINS", "INTEL_STRICT_PLUGINS", "INTEL_DATA_DIR", "INTEL_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def with_rotten(rotten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rotten distributions installed as well."""
    monkeypatch.syspath_prepend(rotten)


def _call(*args: object) -> Result:
    return CliRunner().invoke(intel, [str(arg) for arg in args])


def _ok(*args: object) -> Result:
    result = _call(*args)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """Runs the command in this process."""
    return _call


@pytest.fixture(scope="session")
def ok() -> Callable[..., Result]:
    """Runs the command in this process; it must succeed."""
    return _ok


@pytest.fixture
def refused(here: Path) -> Callable[..., list[str]]:
    """Runs the command, which must say what is wrong in a line or two (a third points at it) and touch no file."""

    def run(*args: object, says: str, code: int = 2) -> list[str]:
        before = sorted(here.rglob("*"))
        result = _call(*args)
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        assert result.exit_code == code, result.output
        lines = [line for line in result.stderr.splitlines() if "--help explains" not in line]
        lines = lines[lines[0].startswith("Reading ") :]  # how a path was read, which is no part of the error
        assert 1 <= len(lines) <= 2 or lines[2].strip() == "^", result.stderr
        assert lines[0].startswith("Error: ")
        assert says in result.stderr
        assert result.stdout == ""
        assert sorted(here.rglob("*")) == before
        return lines

    return run


@pytest.fixture
def start(toys: Path, here: Path, forked: Callable[..., Any]) -> Callable[..., Any]:
    """Starts the command in a process of its own, which has torch in it already."""

    path = os.pathsep.join([str(toys), *filter(None, [os.environ.get("PYTHONPATH")])])

    def begin(*args: str, **env: str) -> Any:
        return forked("-m", "intel_cli", *args, cwd=here, env={**os.environ, "PYTHONPATH": path, **env})

    return begin


# --- mappings that are wrong -------------------------------------------------------------------------------------


class _Map(nn.Module):
    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim


class Leaky(_Map):
    """Subtracts the mean of the batch: rows are not mapped alone."""

    def forward(self, y):
        return y - y.reshape(-1, self.y_dim).mean(0) if len(y) else y


class Odd(_Map):
    """What it declares cannot be asked for."""

    @property
    def properties(self):
        raise ZeroDivisionError("no properties today")

    def forward(self, y):
        return y


class Branching(_Map):
    """Looks at the values, which `torch.func.vmap` does not let it do."""

    def forward(self, y):
        return y if bool((y > -1e30).all()) else y.clone()


class Nested(_Map):
    """Declares clusters that are not there."""

    properties = Properties(clusters=3)

    def forward(self, y):
        return y


def _spec(module):
    class Spec(MappingSpec):
        """A mapping for these tests."""

        def build(self, y_dim):
            return module(y_dim)

    return Spec


@pytest.fixture
def flawed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappings known by name that break the contract or a promise, each in its own way."""
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for module in (Leaky, Odd, Branching, Nested):
        register("mappings", module.__name__.lower(), _spec(module))


@pytest.fixture
def quick(call: Callable[..., Result]) -> Callable[..., Result]:
    """Runs `intel check --level quick` on some arguments."""
    return lambda *args: call("check", *args, "--level", "quick")


TINY = (
    "--steps",
    "20",
    "--evaluate-every",
    "10",
    "--log-every",
    "10",
    "--network",
    "mlp:hidden=[8]",
    "--batch-size",
    "20",
)


@pytest.fixture(scope="session")
def trained(toys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs `points` and `images`, trained once for all tests that only read them."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toys)
        plugins.refresh()
        for name, extra in (("points", ("--mapping", "halves")), ("images", ())):
            _ok("train", "--data", f"toy_{name}", *extra, *TINY, "--quiet", "--run-dir", root / name)
    return root


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options of `intel train` for a run of a tenth of a second."""
    return TINY


@pytest.fixture
def installed(project: Path) -> dict[str, str]:
    """The variables of a process in which a project is installed, as metadata beside its sources."""
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = project / f"{table['name'].replace('-', '_')}-{table['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n")
    entries = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for group, values in table["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(entries))
    return {**os.environ, "PYTHONPATH": str(project)}


@pytest.fixture
def python() -> Callable[..., str]:
    """What a process of this Python prints, ``python(folder, *words, env=None)``; it must succeed."""

    def run(folder: Path, *words: str, env: dict[str, str] | None = None) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
