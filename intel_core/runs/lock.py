"""Does another process use this run directory? A lock that the system releases when its owner ends."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from intel_core.errors import RunError

__all__ = ["NAME", "locked"]

NAME = ".lock"
_FAR = 1 << 30
"""The byte that is locked on Windows: far after the text, so that the text stays readable."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process, and every other run of this process, out of a folder while this block lasts.

    It is a lock of the operating system on a file that names its owner. It ends with the process, however the process
    ends, and a file that a killed process left behind locks nothing. On a file system without locks there is none.

    Raises:
        RunError: if another process has it, or the folder cannot be written.
    """
    path = folder / NAME
    descriptor = _acquire(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is still locked, so that it cannot be the file of another process
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{path.parent} cannot be written: {error.strerror}") from error
        try:
            if not _try_lock(descriptor):
                raise RunError(f"{path.parent} is in use by {_owner(path)}; wait for it or stop it")
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise RunError(f"{path} cannot be written: {error.strerror}") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner has just removed it


def _try_lock(descriptor: int) -> bool:
    """Whether this process has the lock now; True as well if the file system has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one that others would open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    except OSError:
        return "another process"
