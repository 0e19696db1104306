"""Which differences between runs exceed their noise? `intel compare`."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.metrics import metric_option, read_metrics
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_core.evaluation.comparing import Cell, Comparison, Row

__all__ = ["compare"]

_EPILOG = """\b
Examples:
  intel compare runs/vanilla runs/cluster
  intel compare runs/* --metric certainty --metric likelihood
  intel compare runs/vanilla runs/cluster --only 'certainty.*' --markdown

\b
Exit status: 0, or 1 where a metric that was asked for failed, 2 a wrong argument.
"""
_SIGNS = {"better": "better", "worse": "worse", "differs": "differs", "within noise": "~"}


@click.command(epilog=_EPILOG, short_help="Compare runs, and mark differences that exceed the noise.")
@click.argument("runs", nargs=-1, required=True, type=RunPath(), metavar="RUN...")
@metric_option("Measure this first if it is not stored yet; may be repeated.  [default: all that is stored]")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Show only these numbers, e.g. 'certainty.*' or elbo; may be repeated.",
)
@click.option(
    "--level", type=float, default=0.05, show_default=True, help="A difference counts if its p-value is below this."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object; progress is on stderr.")
@click.option("--quiet", is_flag=True, help="No progress; results, errors and warnings only.")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    runs: tuple[Path, ...],
    metrics: tuple[str, ...],
    only: tuple[str, ...],
    level: float,
    data_dir: Path | None,
    device: str,
    markdown: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare the mean and standard deviation of runs over seeds, and mark differences that exceed the noise.

    RUN is a run directory, a folder of replicates, or the name of either in runs/. Runs that differ in their seed alone
    are one group; the group of the first RUN is the reference. Every other group is tested against it by Welch's t-test
    over seeds; the p-values of all numbers shown are adjusted together by Holm's method. Of several runs with the same
    seed only the first is used. Numbers that were measured by different protocols are named below the table.
    """
    from intel_cli.arguments.runs import gather
    from intel_cli.output.measuring import ask
    from intel_core.evaluation.comparing import compare as compare_groups
    from intel_core.evaluation.grouping import group_runs
    from intel_core.reading.data_dir import data_dir_or_default

    if markdown and as_json:
        raise click.UsageError("--markdown and --json are two forms of one table; choose one")
    gathered, failed = gather(runs, device, needs_first=True), False
    if metrics:
        for run, said in ask(gathered, read_metrics(metrics), data_dir_or_default(data_dir), quiet=quiet):
            for one in said:
                failed = failed or one.status == "failed"
                if one.status != "measured":
                    telling.note(f"{run.path}: {one.name} is {one.status}: {one.reason}")
    chosen = (lambda row: any(_matches(row, pattern) for pattern in only)) if only else None
    comparison = compare_groups(group_runs(gathered), level=level, only=chosen)
    if only and not comparison.rows:
        from intel_core.errors import SpecError

        raise SpecError(f"no number is called {', '.join(only)}; leave out --only to see all")
    if as_json:
        click.echo(telling.json_text(_as_json(comparison)))
    elif markdown:
        _show_markdown(comparison)
    else:
        _show(comparison)
    ctx.exit(1 if failed else 0)


def _matches(name: tuple[str, str], pattern: str) -> bool:
    """Whether a pattern is that of ``metric.number``, of either alone, or of the metric's whole text."""
    metric, number = name
    short = metric.partition(":")[0]
    return any(fnmatch.fnmatchcase(text, pattern) for text in (f"{short}.{number}", number, short, metric))


def _label(row: Row, rows: tuple[Row, ...]) -> str:
    """The metric and the number; the settings of the metric are added if two of one name are shown."""
    short = row.metric.partition(":")[0]
    alike = {other.metric for other in rows if other.metric.partition(":")[0] == short}
    return f"{short if len(alike) == 1 else row.metric} {row.number}".replace("_", " ")


def _cell(cell: Cell | None, runs: int) -> str:
    """Mean and standard deviation, the result of the test, and how many runs have the number if some lack it."""
    from intel_cli.output.console import four_digits

    if cell is None:
        return "–"
    spread = "" if cell.std is None else f" ± {cell.std:.2g}"
    sign = _SIGNS.get(cell.verdict, "")
    p = "" if cell.p is None else f" (p {'<0.001' if cell.p < 0.001 else f'{cell.p:.2g}'})"
    of = "" if len(cell.values) == runs else f" of {len(cell.values)} run{'s'[: len(cell.values) != 1]}"
    return f"{four_digits(cell.mean)}{spread}{of}{'  ' + sign if sign else ''}{p}"


def _cells(row: Row, comparison: Comparison) -> list[str]:
    return [_cell(cell, len(group.runs)) for cell, group in zip(row.cells, comparison.groups, strict=True)]


def _legend(comparison: Comparison) -> str:
    """What the numbers in the table are, and which test was made."""
    first, sizes = comparison.groups[0].name, sorted({len(group.runs) for group in comparison.groups})
    seeds = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = f"mean ± standard deviation over {seeds} seed{'' if sizes == [1] else 's'}."
    if len(comparison.groups) == 1:
        return said
    if not comparison.tests:
        return f"{said} No test: at least two runs that differ in their seed alone are needed on both sides."
    return (
        f"{said} Against {first}: Welch's t-test over seeds, p adjusted by Holm over "
        f"{comparison.tests} test{'s'[: comparison.tests != 1]}, level {comparison.level:g}; ~ within noise."
    )


def _show(comparison: Comparison) -> None:
    from rich.table import Table

    from intel_cli.output.console import console

    table = Table()
    table.add_column("")
    for group in comparison.groups:
        table.add_column(f"{group.name}\n{len(group.runs)} run{'s'[: len(group.runs) != 1]}", justify="right")
    table.add_column("unit", overflow="fold")
    for row in comparison.rows:
        table.add_row(_label(row, comparison.rows), *_cells(row, comparison), row.unit)
    out = console()
    out.print(table)
    for text in (_legend(comparison), *comparison.notes):
        out.print(text, soft_wrap=True)


def _show_markdown(comparison: Comparison) -> None:
    names = [f"`{group.name}`" for group in comparison.groups]
    click.echo(f"| | {' | '.join(names)} | unit |\n|---|{'---|' * len(names)}---|")
    for row in comparison.rows:
        cells = " | ".join(_cells(row, comparison))
        click.echo(f"| {_label(row, comparison.rows)} | {cells} | {row.unit} |")
    for text in (_legend(comparison), *comparison.notes):
        click.echo(f"\n{text}")


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "groups": [{"name": group.name, "runs": [str(run.path) for run in group.runs]} for group in comparison.groups],
        "rows": [
            {**row._asdict(), "cells": [None if cell is None else cell._asdict() for cell in row.cells]}
            for row in comparison.rows
        ],
        "test": "Welch's t-test over seeds against the first group, p-values adjusted by Holm's method",
        "tests": comparison.tests,
        "level": comparison.level,
        "notes": comparison.notes,
    }
