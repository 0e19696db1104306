"""How are errors and warnings reported? One line on stderr and the exit code of its kind; a traceback for bugs only.

- Errors that a user can fix (`intel_core.IntelError`, a wrong option): ``Error: message`` on stderr. The exit code is
  one of `EXIT_CODES`.
- With ``--json`` such an error is also one JSON object on stdout, ``{"error": "message"}``, so that a program that
  reads stdout always finds exactly one value there.
- Interruption: exit code 130, and with ``--json`` such an object, too.
- Anything else is a bug: its traceback, one line that says so, exit code 1.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shlex
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO

import click

from intel_cli.output.terminal import visible

__all__ = [
    "BUG",
    "DEBUG",
    "ENVIRONMENT",
    "EXIT_CODES",
    "INTERRUPTED",
    "UNMEASURED",
    "WANTS_JSON",
    "WORSE",
    "bug",
    "each_once",
    "errors",
    "exit_code",
    "json_text",
    "note",
    "quoted",
    "warning_in_one_line",
]

WANTS_JSON = "intel_cli.json"
DEBUG = "intel_cli.debug"
BUG, USAGE, DATA, DIVERGED, ENVIRONMENT, WORSE, UNMEASURED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 7, 130
EXIT_CODES = {
    0: "done",
    BUG: "a bug, with its traceback; or the answer of a command that checks something is no",
    USAGE: "a wrong option, spec, plugin or run directory",
    DATA: "data that are missing, malformed or do not fit the model",
    DIVERGED: "the training diverged",
    ENVIRONMENT: "this machine lacks memory, disk space, a device or a package; or output cannot be written",
    WORSE: "compare --fail-if worse: a number is significantly worse",
    UNMEASURED: "evaluate, compare: a metric failed; all others are stored",
    INTERRUPTED: "interrupted; a training is saved",
}
"""How a command ends, by its exit code."""
_LACKING = {
    *(errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN),
    *(errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", errno.ENOSPC)),
}
"""What an operating system says where it, and neither a file's name nor a program, is to blame."""


class _Told(click.ClickException):
    """An error of which only the message is printed."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click's is of the class

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {self.message}", err=True)


@contextlib.contextmanager
def errors(ctx: click.Context) -> Iterator[None]:
    """Turn errors that a user can fix into a short message; let all others through."""
    from intel_core.errors import IntelError

    try:
        yield
    except (click.exceptions.NoArgsIsHelpError, _Told):
        raise
    except click.UsageError as error:
        # A parser that misses a value knows of no context.
        begun = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()
        where = error.ctx.command_path if error.ctx is not None else begun
        raise _tell(ctx, error.format_message(), USAGE, f"{where} --help explains the options.") from error
    except click.ClickException as error:
        raise _tell(ctx, error.format_message(), USAGE) from error
    except IntelError as error:
        if ctx.meta.get(DEBUG):
            traceback.print_exc()
        raise _tell(ctx, str(error), exit_code(error)) from error
    except (MemoryError, OSError, RuntimeError) as error:
        lack = _lack(error)
        if lack is None:
            raise
        if ctx.meta.get(DEBUG):
            traceback.print_exc()
        raise _tell(ctx, lack, ENVIRONMENT) from error
    except KeyboardInterrupt:
        if ctx.meta.get(WANTS_JSON):
            click.echo(json_text({"error": "interrupted"}))
        click.echo("Interrupted.", err=True)
        ctx.exit(INTERRUPTED)


def exit_code(error: BaseException) -> int:
    """The code with which a command ends after an error; see `EXIT_CODES`.

    >>> from intel_core.errors import DataError, EnvironmentProblem, SpecError
    >>> [exit_code(kind("")) for kind in (SpecError, DataError, EnvironmentProblem, KeyError)]
    [2, 3, 5, 1]
    """
    from intel_core.errors import DataError, DivergenceError, EnvironmentProblem, IntelError, RunError

    there = getattr(error, "kind", None)  # what happened in another process of the run counts as happened here
    kind = there if isinstance(there, type) else type(error)
    if isinstance(error, RunError) and isinstance(error.__cause__, OSError) and error.__cause__.errno in _LACKING:
        return ENVIRONMENT
    kinds = {EnvironmentProblem: ENVIRONMENT, DivergenceError: DIVERGED, DataError: DATA, IntelError: USAGE}
    return next((code for one, code in kinds.items() if issubclass(kind, one)), BUG)


def _lack(error: Exception) -> str | None:
    """What the machine lacks, where that is the whole of an error; None for a bug."""
    if isinstance(error, OSError):
        named = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return f"{named}{error.strerror}" if error.errno in _LACKING else None
    # As torch says it of a CPU and of an accelerator; its class cannot be named without an import of torch.
    if isinstance(error, MemoryError) or re.search("can't allocate memory|out of memory", str(error)):
        return "memory ran out; try fewer examples, particles or dimensions, or another --device"
    return None


def _tell(ctx: click.Context, message: str, code: int, hint: str = "") -> _Told:
    if ctx.meta.get(WANTS_JSON):
        click.echo(json_text({"error": message}))
    return _Told(f"{message}\n{hint}" if hint else message, code)


def quoted(path: Path) -> str:
    """A path quoted for a shell, in commands that a user may copy.

    >>> quoted(Path("runs/my run"))
    "'runs/my run'"
    """
    return shlex.quote(str(path))


def note(message: str) -> None:
    """Print something that a user should know on stderr."""
    click.echo(visible(message), err=True)


def bug() -> None:
    """Print the traceback of the current exception, and say that it is a bug."""
    traceback.print_exc()
    click.echo("This is a bug in InteL-VAE or in one of its plugins; please report it with the lines above.", err=True)


def warning_in_one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A stand-in for `warnings.showwarning` without file names and source lines."""
    click.echo(f"Warning: {visible(' '.join(str(message).split()))}", file=file, err=True)


def each_once(show: Callable[..., None]) -> Callable[..., None]:
    """A stand-in for `warnings.showwarning` that shows each text once, however often the same data are loaded."""
    said: set[str] = set()

    def showing(message: Warning | str, *rest: Any, **more: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            show(message, *rest, **more)

    return showing


def json_text(value: object) -> str:
    r"""Strict JSON; a number that is not finite becomes null, and what a terminal would obey is written as its code.

    >>> print(json_text("naïve\u202e\x7f"))
    "naïve\u202e\u007f"
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    if visible(text) == text:
        return text
    return "".join(c if c == "\n" or visible(c) == c else json.dumps(c)[1:-1] for c in text)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
