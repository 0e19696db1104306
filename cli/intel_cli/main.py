"""Where does the `intel` command begin? The group, its global options, and the function that the shell calls."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from intel_cli.arguments.completion import ComponentName
from intel_cli.arguments.groups import InstalledCommands
from intel_cli.output import telling
from intel_cli.output.terminal import failure_of, guarded

__all__ = ["intel", "main"]

_SWITCH = "INTEL_DISABLE_PLUGINS"
_EPILOG = "\b\n" + "\n".join(
    [
        *("Exit codes:", *(f"  {code:<5}{meaning}" for code, meaning in telling.EXIT_CODES.items())),
        *("", "Begin with: intel train --data digits --mapping identity --steps 500"),
    ]
)


class _Intel(InstalledCommands):
    """The outermost group, which reports every error of the commands below it."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """As click does; output that cannot be written ends nothing, and is told at the end.

        Raises:
            SystemExit: with the exit code of what went wrong.
        """
        with guarded() as results:
            try:
                return super().main(*args, **settings)
            except SystemExit as end:
                if end.code in (0, None) and (reason := failure_of(results)) is not None:
                    if reason:  # a reader that has read enough wants no word of it
                        telling.note(f"Error: the output cannot be written: {reason}")
                    raise SystemExit(telling.ENVIRONMENT) from None
                raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Set before the options are parsed, since parsing may fail, and that error is reported as JSON too.
        ctx.meta[telling.WANTS_JSON] = "--json" in args
        ctx.color = True  # nothing is taken out of a text on its way to where it is shown written out
        try:
            with telling.errors(ctx):
                return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()  # click does so only if parsing succeeds, and --no-plugin has changed the environment
            raise

    def invoke(self, ctx: click.Context) -> Any:
        with telling.errors(ctx), warnings.catch_warnings():
            warnings.showwarning = telling.each_once(telling.warning_in_one_line)
            return super().invoke(ctx)


def _versions(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    for name in ("intelvae-core", "intelvae-cli", "torch"):
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name} is not installed")
    click.echo(f"python {sys.version.split()[0]}")
    ctx.exit()


def _debug(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    ctx.meta[telling.DEBUG] = wanted


def _leave_out(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    """Disable some plugins before a command is looked up, since a command may be among them."""
    if names:
        before = os.environ.get(_SWITCH)
        os.environ[_SWITCH] = ",".join([*([before] if before else []), *names])
        ctx.call_on_close(lambda: _restore(before))


def _import(ctx: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> None:
    """Make the components of files known before those of a command are looked up."""
    if paths and not ctx.resilient_parsing:
        from intel_cli.arguments.own_file import import_file

        for path in paths:
            ctx.call_on_close(import_file(path))


def _restore(value: str | None) -> None:
    os.environ.pop(_SWITCH) if value is None else os.environ.__setitem__(_SWITCH, value)


@click.group(
    cls=_Intel,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.option(
    "--no-plugin",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_leave_out,
    metavar="NAME",
    type=ComponentName(plain=True),
    help="Leave out a component, a command or a distribution, as INTEL_DISABLE_PLUGINS does; may be repeated.",
)
@click.option(
    "--import",
    "imported",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_import,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Run a Python file first, which registers components of one's own; may be repeated.",
)
@click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_debug,
    envvar="INTEL_DEBUG",
    help="Show tracebacks of user errors too (INTEL_DEBUG=1).",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions, help="Show versions and exit."
)
def intel() -> None:
    """InteL-VAEs: variational auto-encoders with an inductive bias, z = g(y).

    Training writes a run directory, which the other commands read.
    """


def main() -> None:
    """Run the command of this process's arguments; a bug keeps its traceback and exits with 1."""
    with guarded():
        try:
            intel(prog_name="intel")
        except Exception:
            telling.bug()
            sys.exit(telling.BUG)


if __name__ == "__main__":
    main()
