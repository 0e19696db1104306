"""How is a file of a run directory opened? As plain data: no links, no pipes, no more than was expected of it.

A run directory may come from a stranger. It may itself be reached by a link, but nothing in it is followed out of it:
every file is read and appended to through this module, which opens regular files only, waits for nothing and reads no
more than a given number of bytes. JSON is read with bounds on its depth and on the length of its numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from intel_core.errors import RunError
from intel_core.files import reason_of, unwritable

__all__ = [
    "MOST_JSON",
    "append_line",
    "entries",
    "has",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_tail",
    "require_own_folder",
    "sync",
]

MOST_JSON = 64 * 2**20
"""Bytes of a JSON file."""
_DEEPEST = 64
_MOST_PARTS = 2_000_000
"""Lists and objects in one JSON file: each takes many times the two bytes that it is written in."""
_MOST_DIGITS = 25
_PLAIN = re.compile(r"[^/\\\0]+")
_SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
_FOLDER = sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_CLOEXEC"))


# --- bytes -----------------------------------------------------------------------------------------------------


def read_bytes(root: Path, name: str, most: int) -> bytes:
    """The content of a file in a run directory.

    Args:
        root: the run directory; it may be reached by links.
        name: the file in it, folders and all, e.g. ``"checkpoints/step-0000000010/state.json"``.
        most: bytes that it may have.

    Raises:
        FileNotFoundError: if it is not there.
        RunError: if it is anything but a regular file of at most that size, or cannot be read.
    """
    with _opened(root, name, os.O_RDONLY) as descriptor:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise RunError(f"{root / name} is {size:,} bytes long, expected at most {most:,}")
        return _read(root / name, descriptor, most + 1)


def read_tail(root: Path, name: str, most: int) -> bytes:
    """The last bytes of a file in a run directory, at most so many.

    Raises:
        FileNotFoundError: if it is not there.
        RunError: as `read_bytes`, whatever its size.
    """
    with _opened(root, name, os.O_RDONLY) as descriptor:
        os.lseek(descriptor, max(0, os.fstat(descriptor).st_size - most), os.SEEK_SET)
        return _read(root / name, descriptor, most)


def append_line(root: Path, name: str, line: str) -> None:
    """Add a line to a file in a run directory, which is made if it is not there.

    Raises:
        RunError: if it is anything but a regular file.
        OSError: if the disk does not take it.
    """
    content = memoryview(f"{line}\n".encode(errors="backslashreplace"))
    with _opened(root, name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
        while content:
            content = content[os.write(descriptor, content) :]


def sync(root: Path, name: str) -> None:
    """Wait until the disk has all of a file, if there is one.

    Raises:
        RunError: if the disk does not take it.
    """
    try:
        with _opened(root, name, os.O_RDWR) as descriptor:
            os.fsync(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(str(root / name), error) from error


def has(root: Path, name: str) -> bool:
    """Whether there is anything of that name in a run directory, a link that leads nowhere included.

    Raises:
        RunError: if the directory cannot be read.
    """
    try:
        (root / name).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise RunError(f"{root / name} cannot be read: {_said(error)}") from error
    return True


@contextlib.contextmanager
def _opened(root: Path, name: str, flags: int) -> Any:
    """The descriptor of a regular file."""
    path, parts = root / name, name.split("/")
    if not all(_PLAIN.fullmatch(part) and part not in (".", "..") for part in parts):
        raise RunError(f"{name!r} is no name of a file in a run directory")
    try:
        _require_no_link(root, parts, "written" if flags & (os.O_WRONLY | os.O_RDWR) else "read")
        descriptor = _descriptor(root, parts, flags | _SAFE)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(2, os.strerror(2), str(path)) from None
    except (OSError, ValueError) as error:
        if flags & os.O_CREAT and isinstance(error, OSError):
            raise
        raise RunError(f"{path} cannot be read: {_said(error)}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RunError(f"{path} is no regular file, expected one")
        if flags & os.O_APPEND and os.fstat(descriptor).st_nlink > 1:
            raise RunError(f"{path} cannot be written: it is a hard link, so another file would change too; copy it")
        yield descriptor
    finally:
        os.close(descriptor)


def _require_no_link(root: Path, parts: list[str], done: str) -> None:
    """Refuse links, and what is opened at a price, pipes and devices, before anything is opened."""
    path = root
    for index, part in enumerate(parts):
        path /= part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        is_last = index == len(parts) - 1
        if _is_link(path):
            raise RunError(f"{path} cannot be {done}: it is a link, and links inside a run directory are not followed")
        if is_last and not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise RunError(f"{path} cannot be {done}: it is {kind}, expected a regular file")


def _is_link(path: Path) -> bool:
    """Whether a path is a symbolic link, or what Windows has beside them (Python 3.11 has no `Path.is_junction`)."""
    found = path.lstat()
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) == 0xA0000003


def _descriptor(root: Path, parts: list[str], flags: int) -> int:
    """Open a file part by part, so that no part is exchanged for a link meanwhile, where the system can do so."""
    if os.open not in os.supports_dir_fd:
        return os.open(root.joinpath(*parts), flags, 0o666)
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], flags, 0o666, dir_fd=folder)
    finally:
        os.close(folder)


def _read(path: Path, descriptor: int, most: int) -> bytes:
    pieces, left = [], most
    try:
        while left and (piece := os.read(descriptor, min(left, 2**24))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {reason_of(error)}") from error
    return b"".join(pieces)


def _said(error: Exception) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)


# --- folders ---------------------------------------------------------------------------------------------------


def entries(folder: Path) -> list[Path]:
    """What lies in a folder of a run directory, by name; nothing if there is none.

    Raises:
        RunError: if it is a link or anything else than a folder, or cannot be read.
    """
    try:
        if _is_link(folder):
            raise RunError(f"{folder} cannot be read: it is a link, and links inside a run directory are not followed")
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} cannot be read as a folder: {_said(error)}") from error


def require_own_folder(folder: Path) -> None:
    """Make a folder in a run directory, if it is not there.

    Raises:
        RunError: if it is a link or anything else than a folder, or cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
        if _is_link(folder):
            raise RunError(f"{folder} cannot be written: it is a link, and those in a run directory are not followed")
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} cannot be made: {_said(error)}") from error


# --- JSON ------------------------------------------------------------------------------------------------------


def read_json(root: Path, name: str) -> Any:
    """The value that a JSON file of a run directory holds.

    Raises:
        FileNotFoundError: if it is not there.
        RunError: if it cannot be read, is no JSON, or goes beyond all bounds.
    """
    try:
        return parse_json(read_bytes(root, name, MOST_JSON))
    except ValueError as error:
        raise RunError(f"{root / name} cannot be read: {error}") from None


def parse_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8, of bounded depth, with integers of bounded length.

    Raises:
        ValueError: if it is none.

    >>> parse_json(b'{"a": [1, NaN]}')
    {'a': [1, nan]}
    >>> parse_json(b"[" * 1000 + b"]" * 1000)
    Traceback (most recent call last):
    ValueError: it is nested deeper than 64 levels
    >>> parse_json(b"9" * 4000)
    Traceback (most recent call last):
    ValueError: it holds a whole number of 4,000 digits
    >>> parse_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: it holds 'a' twice in one object
    """
    if content.count(b"[") + content.count(b"{") > _MOST_PARTS:
        raise ValueError(f"it holds more than {_MOST_PARTS:,} lists and objects")
    too_deep = ValueError(f"it is nested deeper than {_DEEPEST} levels")
    try:
        value = json.loads(content.decode("utf-8"), parse_int=_whole_number, object_pairs_hook=_object)
    except RecursionError:
        raise too_deep from None
    level = [value]
    for _ in range(_DEEPEST + 1):
        if not level:
            return value
        level = [inner for one in level for inner in _inside(one)]
    raise too_deep


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # readers differ in which of them they take
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"it holds {counts.most_common(1)[0][0][:60]!r} twice in one object")
    return found


def _inside(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, dict | list)]


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)
