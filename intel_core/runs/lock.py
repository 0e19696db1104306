"""Does another process use this run directory? A lock that the system releases when its owner ends."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import stat
from collections.abc import Iterator
from pathlib import Path

from intel_core.errors import RunError
from intel_core.files import unwritable
from intel_core.runs.opening import read_tail

__all__ = ["NAME", "locked"]

NAME = ".lock"
_FAR = 1 << 30
"""The byte that is locked on Windows: far after the text, so that the text stays readable."""
_MOST_TEXT = 1000
_SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process, and every other run of this one, out of a folder while this block lasts.

    The lock is the operating system's, on the folder itself, and ends with the process, however that ends; the file
    ``.lock`` only names the owner, and may be removed. Where folders cannot be locked (Windows, NFS) the lock is on
    that file. Where the file system knows no locks there is none.

    Raises:
        RunError: if another process has it, or the folder cannot be written.
    """
    path = folder / NAME
    descriptor = _acquire_folder(folder)
    if descriptor is None:
        descriptor = _acquire_file(path)
    else:
        try:
            _name_owner(path)
        except BaseException:
            os.close(descriptor)
            raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is still locked, so that it cannot be the file of another process
        os.close(descriptor)


def _acquire_folder(folder: Path) -> int | None:
    """The lock on a folder, held by its descriptor; None where folders cannot be locked."""
    if os.name == "nt":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from error
    is_ours: bool | None = None
    try:
        is_ours = _try_lock(descriptor)
        if is_ours is False:
            raise _in_use(folder)
    finally:
        if not is_ours:
            os.close(descriptor)
    return descriptor if is_ours else None


def _name_owner(path: Path) -> None:
    """Write who has the lock, in the place of whatever was there; a link is not followed."""
    temporary = path.with_name(f"{NAME}.{os.getpid()}.tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        with temporary.open("x", encoding="utf-8") as stream:
            stream.write(_own_name())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise unwritable(str(path.parent), error) from error


def _acquire_file(path: Path) -> int:
    """The lock on the file itself, held by its descriptor."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o644)
        except OSError as error:
            raise RunError(f"{path.parent} cannot be written: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or path.is_symlink():
                raise RunError(f"{path} is no regular file; remove it")
            if _try_lock(descriptor) is False:
                raise _in_use(path.parent)
            if found.st_nlink > 1:
                path.unlink()  # what is written into it would be written into another file as well
            elif _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _own_name().encode())
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise RunError(f"{path} cannot be written: {error.strerror}") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner has just removed it


def _own_name() -> str:
    return f"process {os.getpid()} on {platform.node()}\n"


def _in_use(folder: Path) -> RunError:
    return RunError(f"{folder} is in use by {_owner(folder)}; wait for it or stop it")


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where there is none to be had."""
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
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK) else None
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one that others would open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _owner(folder: Path) -> str:
    try:
        text = read_tail(folder, NAME, _MOST_TEXT).decode(errors="replace")
    except (OSError, RunError):
        text = ""
    name = "".join(letter if letter.isprintable() else "?" for letter in text.strip())
    return name or "another process"
