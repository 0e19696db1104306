"""How does a file of one's own make its components known to the command?"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from intel_core.components import discovery
from intel_core.errors import SpecError

__all__ = ["import_file"]


_neighbours: dict[str, Path] = {}
"""Modules that imported files have imported from beside themselves, and where they lie."""


def import_file(path: Path) -> Callable[[], None]:
    """Run a Python file, which registers components by `intel_core.register`; what is returned takes them back.

    It may import the modules beside it, unless an installed one has their name.

    Raises:
        SpecError: if there is no such file or it is no Python file, it fails, with its line, or it registers nothing;
            or if a module beside it has the name of one that another file has imported from beside itself.
    """
    if not path.exists():
        raise SpecError(f"--import {path}: there is no file {path.name}")
    if path.suffix != ".py" or not path.is_file():
        raise SpecError(f"--import {path}: expected a Python file that registers components, such as my_nets.py")
    name = "imported_" + re.sub(r"\W", "_", path.stem)  # the name of no module that is installed
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, paths, folder = dict(discovery.registered), list(sys.path), path.resolve().parent
    for other, place in _neighbours.items():
        if place.parent != folder and (folder / place.name).exists():
            raise SpecError(
                f"--import {path}: {place.name} beside it has the name of {place}, which another file has imported as "
                f"{other}; rename one of them"
            )

    def take_back() -> None:
        discovery.registered.clear()
        discovery.registered.update(before)
        sys.path[:] = paths
        for key in [name, *(key for key, place in _neighbours.items() if place.parent == folder)]:
            sys.modules.pop(key, None)
            _neighbours.pop(key, None)

    sys.modules[name] = module
    sys.path.append(str(folder))
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        take_back()
        raise SpecError(f"--import {path}{_line(error, path)}: {type(error).__name__}: {error}") from error
    _neighbours.update((key, place) for key, place in _places() if place.parent == folder and key != name)
    if discovery.registered == before:
        take_back()
        raise SpecError(
            f"--import {path}: it registers no component; at its end, call "
            'intel_core.register("networks", "my_net", MyNetSpec) for each'
        )
    return take_back


def _line(error: BaseException, path: Path) -> str:
    """Where in the file it failed, as ``:LINE``; nothing if not there."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f":{error.lineno}"
    lines = [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == str(path)]
    return f":{lines[-1]}" if lines else ""


def _places() -> Iterator[tuple[str, Path]]:
    """The names of modules that are imported, and their files."""
    for key, module in list(sys.modules.items()):
        if isinstance(file := getattr(module, "__file__", None), str):
            yield key, Path(file)
