"""Which files make a run directory, and how is each written and read?

``run.json`` (what was asked, the resolved spec, versions, data summary), ``metrics.jsonl`` (a line per logged step and
evaluation), ``metrics.json`` (final numbers), ``model.safetensors`` (the final weights) and ``checkpoints/``; with a
start ``start.json`` and ``start.safetensors`` (the clusters that it found).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intel_core import files
from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.errors import RunError, did_you_mean
from intel_core.runs import contents, lock, opening
from intel_core.runs.contents import GROUP_FILE, LOG_FILE
from intel_core.runs.same_data import fingerprints

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.model.vae import InteLVAE
    from intel_core.recipe.runspec import RunSpec

__all__ = [
    "FORMAT",
    "GROUP_FILE",
    "RunFolder",
    "components_of",
    "is_group",
    "named_run",
    "require_free",
    "seeds_of",
    "versions",
]

FORMAT = contents.RunContent.FORMAT
_LEFTOVER = ".*.tmp"
"""Files that `files.write_bytes` has not yet renamed."""


class RunFolder:
    """The files of one run directory, and how each is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """One JSON object per line."""
        return self.path / LOG_FILE

    @classmethod
    def create(cls, wanted: Path | None, name: str) -> RunFolder:
        """A new empty directory: the wanted one, or the first of runs/NAME, runs/NAME-2, … that is free.

        Raises:
            RunError: if the wanted one is in use or cannot be made.
        """
        try:
            if wanted is not None:
                require_free(wanted)
                wanted.mkdir(parents=True, exist_ok=True)
                return cls(wanted)
            root = Path("runs")
            root.mkdir(exist_ok=True)
            for number in range(1, 10_000):
                path = root / (name if number == 1 else f"{name}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except (OSError, ValueError) as error:
            where = getattr(error, "filename", None) or wanted or Path("runs") / name
            raise RunError(f"run directory {where} cannot be made: {getattr(error, 'strerror', error)}") from error
        raise RunError(f"runs/{name} and 9,998 numbered ones are taken; choose --run-dir")

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from writing here for a while; see `intel_core.runs.lock`."""
        return lock.locked(self.path)

    def describe(self, content: dict[str, Any]) -> None:
        """Write ``run.json``, which makes the folder a run directory, and begin the log.

        Raises:
            RunError: if another process was faster, or it cannot be written; in the latter case the folder is removed.
        """
        if opening.has(self.path, "run.json"):
            raise RunError(f"{self.path} has just become the directory of another run; choose another one")
        self.clear_leftovers()
        try:
            self.write("run.json", content)
            files.write_text(self.log, "")
        except BaseException:
            for name in (self.log.name, "run.json", lock.NAME):
                (self.path / name).unlink(missing_ok=True)
            self.clear_leftovers()
            with contextlib.suppress(OSError):
                self.path.rmdir()
            raise

    def clear_leftovers(self) -> None:
        """Remove what a process that was killed had begun to write."""
        for path in self.path.glob(_LEFTOVER):
            with contextlib.suppress(OSError):
                path.unlink()

    @staticmethod
    def description(
        asked: RunSpec, spec: RunSpec, dataset: Dataset, model: InteLVAE, trials: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """The content of ``run.json``: the settings that were asked for and the resolved ones, `trials`, components.

        Raises:
            PluginError: if a component is registered under no name and could not be loaded again.
        """
        components = components_of(spec)  # first, since it says best what is not registered
        return {
            "format": FORMAT,
            "name": spec.name,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "spec": spec.model_dump(mode="json"),
            "asked": asked.model_dump(mode="json", exclude_unset=True),
            "device": str(next(model.parameters()).device),
            "components": components,
            "versions": versions(),
            "data": dataset.summary() | {"fingerprints": fingerprints(dataset)},
            **({"trials": list(trials)} if trials else {}),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write one JSON file, completely or not at all."""
        files.write_text(self.path / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def read(self, name: str) -> dict[str, Any]:
        """Read one JSON file, and hold it to what such a file holds (`intel_core.runs.contents`).

        Raises:
            RunError: if it is missing, damaged or of a later format.
        """
        try:
            return contents.read(self.path, name)
        except FileNotFoundError:
            if name != GROUP_FILE and (self.path / GROUP_FILE).is_file():
                first = next(iter(sorted(self.path.glob("seed-*"))), self.path / "seed-…")
                said = f"choose one of them, such as {first}; intel compare takes whole folders"
                raise RunError(f"{self.path} holds several runs; {said}") from None
            raise RunError(f"{self.path} is not a run directory: it has no {name}{_nearby(self.path)}") from None

    def read_description(self) -> dict[str, Any]:
        """The content of ``run.json``.

        Raises:
            RunError: if it is missing, of a later format, or lacks something that is read from it.
        """
        info = self.read("run.json")
        info.setdefault("components", [])
        return info

    def read_metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``; empty for a run that has not ended.

        Raises:
            RunError: if it does not hold what is read from it.
        """
        return self.read("metrics.json") if opening.has(self.path, "metrics.json") else {}

    def append(self, record: dict[str, Any]) -> None:
        """Add one line to ``metrics.jsonl``."""
        try:
            opening.append_line(self.path, self.log.name, json.dumps(record))
        except OSError as error:
            raise files.unwritable(str(self.log), error, "; resume goes on when it can be") from error

    def sync_log(self) -> None:
        """Wait until the disk has every line.

        Raises:
            RunError: if it does not take them.
        """
        opening.sync(self.path, self.log.name)

    def records(self) -> list[dict[str, Any]]:
        """All lines of ``metrics.jsonl`` that are whole and hold what a line does.

        Raises:
            RunError: if it cannot be read.
        """
        return contents.records(self.path)

    def forget_after(self, step: int) -> None:
        """Remove the lines of steps that a resumed run takes again."""
        kept = [json.dumps(record) + "\n" for record in self.records() if record["step"] <= step]
        files.write_text(self.log, "".join(kept))


def require_free(wanted: Path) -> None:
    """Refuse a directory that a new run cannot have.

    Raises:
        RunError: if it is a file, or holds something.
        OSError: if it cannot be looked into.
    """
    if wanted.exists() and not wanted.is_dir():
        raise RunError(f"{wanted} is a file; choose another run directory")
    if wanted.exists() and not _is_blank(wanted):
        raise RunError(f"{wanted} already exists and is not empty; choose another run directory")


def is_group(folder: Path) -> bool:
    """Whether a folder holds the runs of several seeds and is no run itself."""
    return (folder / GROUP_FILE).is_file() and not (folder / "run.json").is_file()


def named_run(path: Path) -> Path:
    """The path itself, or the run or the group of that name in ``runs/`` where the path is none."""
    named = Path("runs") / path
    return named if _is_any(named) and not _is_any(path) else path


def _is_blank(folder: Path) -> bool:
    """Whether a folder holds only what was left by a process that was killed before its run began."""
    return all(path.name == lock.NAME or path.match(_LEFTOVER) for path in folder.iterdir())


def _nearby(path: Path) -> str:
    if path.is_file() and (path.parent / "run.json").is_file():
        return f"; it is a file of the run {path.parent}"
    if inside := sorted(_runs_in(path)):
        several = len(inside) > 1
        return f"; it holds {'runs' if several else 'a run'}, so name {'one of them' if several else 'it'}: {inside[0]}"
    places = [path.parent] if path.is_absolute() else [path.parent, Path("runs") / path.parent]  # where names are found
    names = [run.name for place in places for run in _runs_in(place)]
    return did_you_mean(path.name, names, say="runs there") if names else ""


def _runs_in(folder: Path) -> list[Path]:
    """Runs and groups of runs in a folder; none if it cannot be read."""
    try:
        return [path for path in folder.iterdir() if _is_any(path)]
    except OSError:
        return []


def _is_any(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("run.json", GROUP_FILE))


def components_of(spec: RunSpec) -> list[dict[str, str]]:
    """Kind, name, distribution and version of every component that takes part in a run."""
    found = {}
    for part in spec.components:
        component = plugins.find(part.kind, loading.name_of(part.kind, type(part)))
        found[component.kind, component.qualified] = {
            "kind": component.kind,
            "name": component.name,
            "distribution": component.distribution,
            "version": component.version,
        }
    return list(found.values())


def versions() -> dict[str, str]:
    """Versions of Python, of the numerical libraries, and of every InteL-VAE distribution that is installed."""
    found = {name: _version(name) for name in ("torch", "numpy", "pydantic", plugins.CORE)}
    for kind in (*plugins.kinds(), "commands", "hooks"):
        found |= {c.distribution: c.version for c in plugins.available(kind) if c.distribution != plugins.THIS_PROCESS}
    return {"python": platform.python_version(), **{name: found[name] for name in sorted(found) if found[name]}}


@functools.lru_cache(maxsize=16)
def _version(name: str) -> str:
    """The version of a library; empty if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def seeds_of(group: Path) -> list[Path]:
    """The run directories in a folder of replicates, by seed; links are none.

    Raises:
        RunError: if it cannot be read.
    """
    found = {}
    for path in opening.entries(group.resolve()):
        number = path.name.removeprefix("seed-")
        if (
            path.name.startswith("seed-")
            and number.isdecimal()
            and not path.is_symlink()
            and opening.has(path, "run.json")
        ):
            found[int(number)] = group / path.name
    return [path for _, path in sorted(found.items())]
