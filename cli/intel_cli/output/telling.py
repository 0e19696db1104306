"""How are errors and warnings reported? One line on stderr and exit status 2; a traceback for bugs only.

- Errors that a user can fix (`intel_core.IntelError`, a wrong option): ``Error: message`` on stderr, exit status 2.
- With ``--json`` such an error is also one JSON object on stdout, ``{"error": "message"}``, so that a program that
  reads stdout always finds exactly one value there.
- Interruption: exit status 130, and with ``--json`` such an object, too.
- Anything else is a bug: its traceback, one line that says so, exit status 1.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TextIO

import click

__all__ = ["DEBUG", "INTERRUPTED", "WANTS_JSON", "bug", "errors", "json_text", "note", "quoted", "warning_in_one_line"]

WANTS_JSON = "intel_cli.json"
DEBUG = "intel_cli.debug"
INTERRUPTED = 130
"""Exit status of a command that was interrupted, as shells have it."""


class _Told(click.ClickException):
    """An error of which only the message is printed."""

    exit_code = 2

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
        raise _tell(ctx, error.format_message(), f"{where} --help explains the options.") from error
    except click.ClickException as error:
        raise _tell(ctx, error.format_message()) from error
    except IntelError as error:
        if ctx.meta.get(DEBUG):
            traceback.print_exc()
        raise _tell(ctx, str(error)) from error
    except KeyboardInterrupt:
        if ctx.meta.get(WANTS_JSON):
            click.echo(json_text({"error": "interrupted"}))
        click.echo("Interrupted.", err=True)
        ctx.exit(INTERRUPTED)


def _tell(ctx: click.Context, message: str, hint: str = "") -> _Told:
    if ctx.meta.get(WANTS_JSON):
        click.echo(json_text({"error": message}))
    return _Told(f"{message}\n{hint}" if hint else message)


def quoted(path: Path) -> str:
    """A path quoted for a shell, in commands that a user may copy.

    >>> quoted(Path("runs/my run"))
    "'runs/my run'"
    """
    return shlex.quote(str(path))


def note(message: str) -> None:
    """Print something that a user should know on stderr."""
    click.echo(message, err=True)


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
    print(f"Warning: {' '.join(str(message).split())}", file=file or sys.stderr)


def json_text(value: object) -> str:
    """Strict JSON; a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
