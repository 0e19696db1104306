"""Is a path meant where no component has such a name, and what lies near it where nothing is there?"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from intel_core.components import discovery as plugins
from intel_core.errors import DataError

__all__ = ["READERS", "deepest_existing", "names_in", "path_in", "refuse_missing"]

READERS = {".csv": "table", ".tsv": "table", ".parquet": "table", ".npy": "arrays", ".npz": "arrays"}
"""Which data set reads files of an ending."""
_MOST_NAMES = 2000
"""More names in a folder would only delay a message."""
_ALIKE = 0.65
"""From which likeness of two words one may be meant for the other."""
_LONGEST = 200
"""Characters of a path in a message."""
_ADDRESS = re.compile(r"\w[\w+.-]+://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def path_in(text: str) -> tuple[str, str]:
    """The path that a text begins with, and the settings behind its colon.

    >>> path_in("mydata.csv:label=kind"), path_in("C:/data/x.csv")
    (('mydata.csv', 'label=kind'), ('C:/data/x.csv', ''))
    """
    text = text.strip()
    if _DRIVE.match(text) or _ADDRESS.match(text):
        return text, ""
    head, _, settings = text.partition(":")
    return head, settings


def refuse_missing(text: str, kind: str = "datasets") -> None:
    """Refuse what can only be a path, where nothing is there; names of components and everything that exists pass.

    A path has a slash, a dot or a tilde. A word without them is one where a file or folder is called nearly so, and no
    component is.

    Args:
        text: what a user gave as data, or as a start, with or without settings after a colon.
        kind: the kind of component for which a path may stand.

    Raises:
        DataError: saying what is not there, and the nearest name that is.

    >>> refuse_missing("digits"), refuse_missing("digit")
    (None, None)
    >>> refuse_missing("no-such-file.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    intel_core.errors.DataError: there is no file or folder 'no-such-file.csv' in ...
    """
    head, _ = path_in(text)
    known = plugins.available(kind)
    names = {name for component in known for name in (component.name, component.qualified)}
    if not head or head in names or head.partition("/")[0] in {component.distribution for component in known}:
        return
    if _ADDRESS.match(head):
        raise DataError(f"{head!r} is an address; data are read from files of this machine, so download it first")
    try:
        path = Path(head).expanduser()
    except RuntimeError:  # the home of nobody
        path = Path(head)
    if os.path.exists(path):  # which answers for names, too, that no file can have
        return
    is_path = head.startswith("~") or any(sign in head for sign in "./\\")
    near = "" if not is_path and _nearest(head, names) else _nearest_path(path)
    if not is_path and not near:
        return
    folder, missing = deepest_existing(Path.cwd() / path)
    what = "file or folder" if missing == path.name else f"folder {missing!r} in {folder}, and so no"
    where = "" if path.is_absolute() or missing != path.name else f" in {Path.cwd()}"
    called = {"datasets": "data set"}.get(kind, plugins.singular(kind))
    also = f"{called} and no " if not is_path else ""
    shown = str(path) if len(str(path)) <= _LONGEST else f"{str(path)[:_LONGEST]}…"
    raise DataError(f"there is no {also}{what} {shown!r}{where}{near}")


def _nearest_path(path: Path) -> str:
    """The end of a message: what is spelt nearly so in the deepest folder that exists, or lies here under its name."""
    folder, missing = deepest_existing(Path.cwd() / path)
    found = _nearest(missing, names_in(folder, only_folders=missing != path.name))
    if found:
        rest = (Path.cwd() / path).relative_to(folder / missing)
        near = folder / found / rest
        shown = near if path.is_absolute() or not near.is_relative_to(Path.cwd()) else near.relative_to(Path.cwd())
        return f"; did you mean {str(shown)!r}?"
    return f"; did you mean {path.name!r}, which is here?" if path.name and os.path.exists(path.name) else ""


def _nearest(word: str, names: Iterable[str]) -> str:
    """The name that is spelt most like a word but for the ending, one of the same ending first; empty if none is."""

    def likeness(name: str) -> tuple[float, bool]:
        one, other = Path(word.lower()), Path(name.lower())
        return difflib.SequenceMatcher(None, one.stem, other.stem).ratio(), one.suffix == other.suffix

    best = max(sorted(names), key=likeness, default="")
    return best if best and likeness(best)[0] >= _ALIKE else ""


def deepest_existing(path: Path) -> tuple[Path, str]:
    """The nearest folder above a path that exists, and the first part that is missing in it."""
    missing = path.name
    for parent in path.parents:
        if os.path.isdir(parent):
            return parent, missing
        missing = parent.name
    return Path(path.anchor), missing


def names_in(folder: Path, *, only_folders: bool) -> list[str]:
    """What a folder holds, hidden names left out; nothing if it cannot be read."""
    try:
        entries = itertools.islice(os.scandir(folder), _MOST_NAMES)
        return [e.name for e in entries if not e.name.startswith(".") and (e.is_dir() or not only_folders)]
    except OSError:
        return []
