"""What reaches a terminal, a pipe or a log? Text without control sequences; and a stream that breaks ends nothing.

Names of runs, columns, arrays, classes and files come from strangers. Whatever is printed goes through `visible`: a
name cannot set the title of a window, clear it, hide a line, turn one around or change its colour. While a command
runs, `guarded` puts an `Output` in the place of stdout and of stderr, so that this holds for warnings, tracebacks and
what plugins print as well. What rich draws itself goes past that filter, and has one of its own
(`intel_cli.output.safe_console`).
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["Output", "failure_of", "guarded", "is_terminal", "unfiltered", "visible"]

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline; escape begins all sequences
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what turns the direction of a text, or ends its line
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # what is there and cannot be seen
    "\ud800-\udfff]"  # bytes of a file name that are no UTF-8
)


def visible(text: str, *, one_line: bool = False) -> str:
    r"""The text with control characters, and those that turn its direction, written out as Python would.

    Args:
        text: from anywhere.
        one_line: write newlines out as well, in a name that must not begin a line of its own.

    >>> print(visible("a\x1b[2Jb\u202ec"), visible("two\nlines", one_line=True))
    a\x1b[2Jb\u202ec two\nlines
    """
    if text.isprintable():
        return text
    shown = _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
    return shown.replace("\n", "\\n") if one_line else shown


class Output(io.TextIOBase):
    """A text stream that shows control characters written out, and swallows what cannot be written.

    Characters that the encoding does not have become question marks.

    Args:
        inner: where the text goes; nowhere if None, as where a process was started without stdout or stderr.

    Attributes:
        failure: why something could not be written, if it could not.
        unfiltered: the same stream for those who filter the text themselves.
    """

    def __init__(self, inner: TextIO | None) -> None:
        self._inner = inner
        self.failure: Exception | None = None
        self.unfiltered = _Unfiltered(self)
        if isinstance(inner, io.TextIOWrapper) and inner.errors == "strict":
            with contextlib.suppress(OSError, ValueError):
                inner.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write a text, or as much of it as can be written; a leading return, as progress bars write it, is kept."""
        returns = text.startswith("\r")
        self.put("\r" * returns + visible(text[returns:]))
        return len(text)

    def put(self, text: str) -> None:
        """Write a text as it is."""
        if self._inner is None:
            return
        with self._kept():
            self._inner.write(text)

    def flush(self) -> None:
        """Write what was kept back."""
        if self._inner is None:
            return
        with self._kept():
            self._inner.flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Remembers why the stream cannot be written; a ValueError says that it is closed, or a character is none."""
        try:
            yield
        except (OSError, ValueError) as error:
            self.failure = self.failure or error

    def settle(self) -> None:
        """Before the process ends: what the stream never took is dropped, which Python would try again and report."""
        self.flush()
        if self.failure is None or self._inner is None:
            return
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._inner.fileno())
            os.close(nowhere)
            self._inner.flush()

    def isatty(self) -> bool:
        """Whether somebody is likely to look on."""
        with contextlib.suppress(OSError, ValueError):
            return self._inner is not None and self._inner.isatty()
        return False

    def writable(self) -> bool:
        """It always is."""
        return True

    def fileno(self) -> int:
        """The descriptor behind the stream."""
        if self._inner is None:
            raise io.UnsupportedOperation("fileno")
        return self._inner.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """In which characters become bytes."""
        return getattr(self._inner, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What becomes of characters that the encoding does not have."""
        return getattr(self._inner, "errors", None) or "replace"

    def __getattr__(self, name: str) -> Any:
        # click writes past a stream in ASCII whose bytes it finds.
        if name == "buffer" and codecs.lookup(self.encoding).name == "ascii":
            raise AttributeError(name)
        return getattr(self.__dict__["_inner"], name)


class _Unfiltered(io.TextIOBase):
    """What `Output.unfiltered` is."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, text: str) -> int:
        self._output.put(text)
        return len(text)

    def flush(self) -> None:
        self._output.flush()

    def isatty(self) -> bool:
        return self._output.isatty()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._output.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._output.encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return self._output.errors


@contextlib.contextmanager
def guarded() -> Iterator[Output]:
    """Stdout and stderr are each an `Output` inside the block, of which that for stdout is given; once, if nested."""
    if isinstance(sys.stdout, Output):
        yield sys.stdout
        return
    _hold_descriptors()
    before = sys.stdout, sys.stderr
    made = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = made
    try:
        yield made[0]
    finally:
        for stream in made:
            stream.settle()
        sys.stdout, sys.stderr = before


def _hold_descriptors() -> None:
    """Open what is closed of the descriptors 0 to 2, or the next file would get such a number, and be written into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free


def failure_of(output: Output) -> str | None:
    """Why the results of a command could not all be written; None where they were, empty where nobody reads on."""
    output.flush()
    if output.failure is None:
        return None
    if isinstance(output.failure, OSError):
        if output.failure.errno == errno.EPIPE:
            return ""
        return output.failure.strerror or str(output.failure)
    return str(output.failure)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is likely to look on.

    >>> is_terminal(None)
    False
    """
    return stream is not None and stream.isatty()


def unfiltered(stream: TextIO) -> TextIO:
    """The stream for somebody who filters what is written to it, beside what a command's users may write."""
    stream = getattr(stream, "rich_proxied_file", stream)  # while a display of rich is live
    return cast("TextIO", stream.unfiltered) if isinstance(stream, Output) else stream
