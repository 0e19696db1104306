"""How is a file written completely or not at all? Under another name, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from intel_core.errors import EnvironmentProblem, RunError

__all__ = ["reason_of", "sync_folder", "unwritable", "write_bytes", "write_synced", "write_text"]

_OF_THE_DISK = {errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}


def write_text(path: Path, text: str) -> None:
    r"""Write a file in UTF-8 so that a reader sees the old content or the new, never a part.

    What UTF-8 has no form for (names of files in another encoding, as Python holds them) is written as JSON does:
    ``\udce9``.

    Raises:
        RunError: if it cannot be written.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`, for bytes. A link of that name is replaced, and not followed.

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
        raise unwritable(str(path), error) from error


def unwritable(what: str, error: OSError, more: str = "") -> RunError:
    """The error that a file cannot be written; of the machine's kind, if its disk is the reason."""
    kind = EnvironmentProblem if error.errno in _OF_THE_DISK else RunError
    return kind(f"{what} cannot be written: {reason_of(error)}{more}")


def reason_of(error: OSError) -> str:
    """What the system says of an error, in words."""
    return error.strerror or str(error) or type(error).__name__


def write_synced(path: Path, content: bytes) -> None:
    """Write a file in the place of what was there: a link of that name is not followed."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM}
"""What file systems answer that keep renames by themselves, or cannot be asked to (CIFS, vboxsf, some of FUSE)."""


def sync_folder(folder: Path) -> None:
    """Wait until a rename in a folder is kept, where folders can be synced at all; Windows opens none."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
