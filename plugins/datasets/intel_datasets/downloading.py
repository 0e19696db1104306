"""How is a hanging download ended, and where do torchvision's messages go?"""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator

__all__ = ["patiently"]

_PATIENCE = 30.0  # seconds without an answer before a download is given up


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """A context in which hanging downloads end, and torchvision's messages stay out of the command's output.

    >>> with patiently():
    ...     print("Downloading …")
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
