"""Did the bias take? Asks metrics of runs, keeps what they say, and shows it: `intel evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli import telling
from intel_cli.completion import ComponentName, RunPath

if TYPE_CHECKING:
    from intel_core.measuring import Measured
    from intel_core.metrics import MetricSpec
    from intel_core.run import Run

__all__ = ["evaluate", "read_metrics"]

_EPILOG = """\b
Examples:
  intel evaluate runs/digits-cluster-seed0
  intel evaluate runs/* --metrics clusters,likelihood --metric frechet:n=5000
  intel evaluate RUN --metrics frechet --again --json

\b
Exit status: 0 all that applies was measured, 1 a metric failed, 2 a wrong argument, 130 interrupted.
"""


@click.command(epilog=_EPILOG)
@click.argument("runs", nargs=-1, required=True, type=RunPath(), metavar="RUN...")
@click.option(
    "--metric",
    "--metrics",
    "metrics",
    multiple=True,
    type=ComponentName("metrics"),
    metavar="SPEC",
    help="What to measure, e.g. frechet:n=5000, or names with commas between; may be repeated.  "
    "[default: every metric that takes seconds]",
)
@click.option("--all", "everything", is_flag=True, help="Every installed metric, those that take minutes too.")
@click.option("--again", is_flag=True, help="Measure anew what is there already.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
@click.option("-v", "--protocol", is_flag=True, help="Show by which protocol each number was made.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object; progress is on stderr.")
@click.option("--quiet", is_flag=True, help="No progress; results, errors and warnings only.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    runs: tuple[Path, ...],
    metrics: tuple[str, ...],
    everything: bool,
    again: bool,
    data_dir: Path | None,
    device: str,
    protocol: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure trained runs, and keep each number with the protocol that made it.

    RUN is a run directory, a folder of replicates, or the name of either in runs/. What was measured before is read
    again, from RUN/evaluation/; Ctrl-C loses the metric in progress only, and the same command goes on.
    """
    from intel_cli.asking import ask
    from intel_cli.gathering import gather
    from intel_core.run import data_dir_or_default

    asked = read_metrics(metrics, everything=everything)
    found: list[tuple[Run, list[Measured]]] = []
    try:
        for run in gather(runs, device):
            said = ask(run, asked, data_dir_or_default(data_dir), again=again, quiet=quiet)
            found.append((run, said))
            if not as_json:
                _show(run, said, protocol=protocol)
    except KeyboardInterrupt:
        telling.note("Interrupted; what was measured is kept, and the same command goes on from there.")
        if as_json:
            click.echo(telling.json_text({"runs": [_as_json(run, said) for run, said in found], "interrupted": True}))
        ctx.exit(telling.INTERRUPTED)
    if as_json:
        click.echo(telling.json_text({"runs": [_as_json(run, said) for run, said in found]}))
    ctx.exit(1 if any(one.status == "failed" for _, said in found for one in said) else 0)


def read_metrics(texts: Sequence[str], *, everything: bool = False) -> list[MetricSpec]:
    """The metrics that some texts name; the usual ones if there is no text.

    Raises:
        SpecError: if a text describes no metric, or none is installed.
    """
    from intel_core.errors import SpecError
    from intel_core.measuring import usual_metrics
    from intel_core.metrics import MetricSpec
    from intel_core.spec import parse_spec

    if texts and everything:
        raise SpecError("--all asks for every metric; leave out --metric, or --all")
    if everything:
        texts = _every_one()
    if not texts:
        usual = usual_metrics()
        if not usual:
            raise SpecError("no metric is installed: pip install intelvae-metrics")
        return usual
    # A name has no comma, so that names can stand in one word; with settings, commas belong to them.
    split = [part for text in texts for part in _parts(text)]
    specs = [parse_spec("metrics", part) for part in split]
    return [spec for spec in dict.fromkeys(specs) if isinstance(spec, MetricSpec)]


def _every_one() -> list[str]:
    """The names of all metrics that can be asked; of those that cannot, one line each."""
    from intel_core import plugins
    from intel_core.errors import PluginError

    found = []
    for component in plugins.available("metrics"):
        name = component.qualified if component.status == "CONFLICT" else component.name
        try:
            plugins.load("metrics", name)
        except PluginError as error:
            if component.status != "DISABLED":  # which the user has asked for
                telling.note(f"Warning: {error}")
        else:
            found.append(name)
    return found


def _parts(text: str) -> list[str]:
    """The specs in a text: names with commas between, the last of which may have settings.

    >>> _parts("units,hoyer"), _parts("units,frechet:n=5000,few=true")
    (['units', 'hoyer'], ['units', 'frechet:n=5000,few=true'])
    """
    names, colon, settings = text.partition(":")
    *others, last = names.split(",")
    return [*others, f"{last}{colon}{settings}"]


def _as_json(run: Run, said: list[Measured]) -> dict[str, Any]:
    return {
        "run_dir": str(run.path),
        "name": run.info["name"],
        "seed": run.info["spec"]["seed"],
        "metrics": [one.model_dump(mode="json") for one in said],
    }


def _show(run: Run, said: list[Measured], *, protocol: bool) -> None:
    """A table of the numbers of one run, and below it why others are missing."""
    from rich.table import Table

    from intel_cli.summary import console

    out = console()
    out.print(f"{run.info['name']}  {run.path}", style="bold", soft_wrap=True)
    table = Table()
    table.add_column("metric")
    table.add_column("number")
    table.add_column("value", justify="right")
    table.add_column("beside it", overflow="fold")
    table.add_column("unit", overflow="fold")
    for one in said:
        if one.measurement is None:
            continue
        label = one.name
        for name, number in one.measurement.numbers.items():
            error = "" if number.error is None else f" ± {number.error:.2g}"
            beside = ", ".join(f"{what} {shown(value)}" for what, value in number.beside.items())
            table.add_row(label, name.replace("_", " "), f"{shown(number.value)}{error}", beside, number.unit)
            label = ""
        table.add_section()
    if table.row_count:
        out.print(table)
    for one in said:
        if one.measurement is None:
            out.print(f"{one.name}: {one.status}: {one.reason}", soft_wrap=True)
            continue
        for text in one.measurement.notes:
            out.print(f"{one.name}: {text}", soft_wrap=True)
        if protocol:
            settings = ", ".join(f"{key} {value}" for key, value in one.measurement.protocol.items())
            out.print(f"{one.name}: {one.metric}; {settings}; {one.distribution} {one.version}", soft_wrap=True)


def shown(value: float) -> str:
    """Four significant digits, and whole numbers as they are.

    >>> shown(-98.51234), shown(10.0), shown(0.00012)
    ('-98.51', '10', '0.00012')
    """
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
