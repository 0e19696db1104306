"""What becomes of the memory that a step frees? It is kept for the next step.

A step asks for the same few large blocks as the one before. The C library would give them back to the system and fetch
them anew, page by page, which takes a tenth of a convolutional net's step on a CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from typing import Any

__all__ = ["freed_memory_kept"]

# Parameters of glibc's mallopt(3), and what they are without a call of it.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1
_USUAL_TRIM_THRESHOLD = 64 * 2**20
"""Where glibc's own rule ends once a block of 32 MiB was freed; it can be set, but not put back into motion."""
_USUAL_MMAP_MAX = 65_536


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within it, freed memory stays with the process; at its end, what is free goes back to the system.

    It is for the heap what PyTorch's caching allocator is for a GPU, and changes no number. Only glibc can do this;
    elsewhere nothing happens.

    >>> with freed_memory_kept():
    ...     values = bytearray(10**6)
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    library.mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        library.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
        library.malloc_trim(0)


@functools.cache
def _glibc() -> Any:
    """The C library, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
        found = hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")
    except (OSError, TypeError):  # TypeError: Windows has no such thing as the library of the process itself
        return None
    return library if found else None
