"""Where does the `intel` command begin? The group, its global options, and the entry point."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import metadata
from typing import Any

import click

from intel_cli.arguments.completion import ComponentName
from intel_cli.arguments.groups import SuggestingGroup
from intel_cli.commands.check import check
from intel_cli.commands.compare import compare
from intel_cli.commands.encode import encode
from intel_cli.commands.evaluate import evaluate
from intel_cli.commands.explore import explore
from intel_cli.commands.plugins import plugins
from intel_cli.commands.report import report
from intel_cli.commands.runs import runs
from intel_cli.commands.sample import sample
from intel_cli.commands.schema import schema
from intel_cli.commands.show import show
from intel_cli.commands.train import train
from intel_cli.output import telling

__all__ = ["intel", "main"]


class _Intel(SuggestingGroup):
    """The outermost group: whatever goes wrong below it is told here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Known before the options are parsed, since parsing them is what may fail.
        ctx.meta[telling.WANTS_JSON] = "--json" in args
        with telling.errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with telling.errors(ctx), warnings.catch_warnings():
            warnings.showwarning = telling.warning_in_one_line
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


@click.group(
    cls=_Intel,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: intel train --data digits --mapping identity --steps 500",
)
@click.option(
    "--no-plugin",
    multiple=True,
    metavar="NAME",
    type=ComponentName(),
    help="Leave out a component or a distribution, as INTEL_DISABLE_PLUGINS does; may be repeated.",
)
@click.option("--debug", is_flag=True, envvar="INTEL_DEBUG", help="Show tracebacks of user errors too (INTEL_DEBUG=1).")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions, help="Show versions and exit."
)
@click.pass_context
def intel(ctx: click.Context, no_plugin: tuple[str, ...], debug: bool) -> None:
    """InteL-VAEs: variational auto-encoders with an inductive bias, z = g(y).

    A run directory is what training leaves behind and what every other command reads.
    """
    ctx.meta[telling.DEBUG] = debug
    if no_plugin:
        variable = "INTEL_DISABLE_PLUGINS"
        before = os.environ.get(variable)
        os.environ[variable] = ",".join([*([before] if before else []), *no_plugin])
        ctx.call_on_close(lambda: _restore(variable, before))


def _restore(variable: str, value: str | None) -> None:
    os.environ.pop(variable) if value is None else os.environ.__setitem__(variable, value)


for command in (show, check, train, evaluate, compare, report, explore, sample, encode, runs, plugins, schema):
    intel.add_command(command)


def main() -> None:
    """Run the command of this process's arguments; a bug keeps its traceback and exits with 1."""
    try:
        intel(prog_name="intel")
    except Exception:
        telling.bug()
        sys.exit(1)


if __name__ == "__main__":
    main()
