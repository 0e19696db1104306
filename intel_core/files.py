"""How is a file written completely or not at all? Under another name, synced, then renamed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from intel_core.errors import RunError

__all__ = [
    "sync",
    "write_bytes",
    "write_text",
]


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        RunError: if it cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`, for bytes.

    Raises:
        RunError: if the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_synced(temporary, content)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path} cannot be written: {reason_of(error)}") from error


def reason_of(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync(path: Path) -> None:
    """Wait until a file is completely on the disk, if it exists.

    Raises:
        RunError: if the disk does not take it.
    """
    try:
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path} cannot be written: {reason_of(error)}") from error


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder permanent; on Windows folders cannot be opened and need not be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
