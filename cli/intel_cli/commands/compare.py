"""Which differences between runs exceed their noise? `intel compare`."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.metrics import metric_option, read_metrics
from intel_cli.arguments.runs import gather, require_runs
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_core.evaluation.comparing import Comparison

__all__ = ["compare"]

_EPILOG = """\b
Examples:
  intel compare runs/vanilla runs/cluster
  intel compare runs/* --metric certainty --metric likelihood
  intel compare runs/vanilla runs/cluster --only 'certainty.*' --markdown
  intel compare runs/main runs/changed --only elbo --fail-if worse

\b
Exit code: 0, or 7 where a metric that was asked for failed, 6 with
--fail-if worse where a number is worse, and those of intel --help.
"""


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
@click.option(
    "--fail-if",
    type=click.Choice(["worse"]),
    help="Exit with code 6 if any number shown is significantly worse than the reference.",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@click.option("--latex", is_flag=True, help="Print the table for LaTeX, with the rules of booktabs.")
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
    fail_if: str | None,
    data_dir: Path | None,
    device: str,
    markdown: bool,
    latex: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare the mean and standard deviation of runs over seeds, and mark differences that exceed the noise.

    RUN is a run directory, a folder of replicates, or the name of either in runs/. Runs that differ in their seed alone
    are one group; the group of the first RUN is the reference. Every other group is tested against it: by the paired
    t-test over seeds if it has the same seeds and data, by Welch's t-test otherwise. The p-values are adjusted by
    Holm's method within families, the numbers by which one metric answers one question, so that no p-value depends on
    what else is shown. Single clusters have no order: they are matched between runs, averaged, and not tested. Of
    several runs with the same seed only the first is used. Numbers that were measured by different protocols are named
    below the table.

    A second table says how well the clusters of runs agree, those of the mapping or of a mixture prior, with each other
    and with the labels of the test data, if the data are there; --only clusters shows it beside other numbers that were
    asked for.
    """
    if markdown + latex + as_json > 1:
        raise click.UsageError("--markdown, --latex and --json are forms of one table; choose one")
    asked_for = read_metrics(metrics) if metrics else []
    require_runs(runs, groups=True)
    # What takes torch is imported after all that could be wrong without it.
    from intel_cli.output.agreement import (
        agreement_as_json,
        agreement_as_latex,
        agreement_as_markdown,
        show_agreement,
    )
    from intel_cli.output.comparison import as_json as to_json
    from intel_cli.output.comparison import as_latex, as_markdown, show
    from intel_cli.output.measuring import ask
    from intel_core.evaluation.agreement import compare_clusters
    from intel_core.evaluation.comparing import compare as compare_groups
    from intel_core.evaluation.grouping import group_runs
    from intel_core.reading.data_dir import data_dir_or_default

    gathered, failed = gather(runs, device, needs_first=True), False
    if asked_for:
        for run, said in ask(gathered, asked_for, data_dir_or_default(data_dir), quiet=quiet):
            for one in said:
                failed = failed or one.status == "failed"
                if one.status != "measured":
                    telling.note(f"{run.path}: {one.name} is {one.status}: {one.reason}")
    chosen = (lambda row: any(_matches(row, pattern) for pattern in only)) if only else None
    groups = group_runs(gathered)
    comparison = compare_groups(groups, level=level, only=chosen)
    asked = chosen is None or chosen(("clusters", "agreement"))
    clusters = compare_clusters(groups, data_dir=data_dir_or_default(data_dir)) if asked else None
    if only and not comparison.rows and clusters is None:
        from intel_core.errors import SpecError, did_you_mean
        from intel_core.evaluation.comparing import numbers_of, short_name

        numbers = {name for run in gathered for name in numbers_of(run)}
        known = {number for _, number in numbers} | {short_name(metric) for metric, _ in numbers}
        near = "" if len(only) > 1 or "*" in only[0] else did_you_mean(only[0].rpartition(".")[2], known, say="names")
        raise SpecError(f"no number is called {', '.join(only)}{near or '; leave out --only to see all'}")
    if as_json:
        of_clusters = None if clusters is None else agreement_as_json(clusters)
        click.echo(telling.json_text(to_json(comparison) | {"clusters": of_clusters}))
    elif markdown:
        texts = [as_markdown(comparison)] * bool(comparison.rows)
        click.echo("\n\n".join([*texts, *([] if clusters is None else [agreement_as_markdown(clusters)])]))
    elif latex:
        texts = [as_latex(comparison)] * bool(comparison.rows)
        click.echo("\n\n".join([*texts, *([] if clusters is None else [agreement_as_latex(clusters)])]))
    else:
        if comparison.rows:
            show(comparison)
        if clusters is not None:
            show_agreement(clusters)
    worse = fail_if == "worse" and _is_worse(comparison)
    ctx.exit(telling.UNMEASURED if failed else telling.WORSE if worse else 0)


def _is_worse(comparison: Comparison) -> bool:
    """Whether a number is worse than the reference, with a line for each; and one where nothing could be."""
    from intel_core.evaluation.comparing import short_name

    if not any(
        cell is not None and cell.test is not None for row in comparison.rows if row.better for cell in row.cells
    ):
        telling.note("no number that has a better direction was tested, so that --fail-if worse says nothing")
    found = [
        f"{short_name(row.metric)} {row.number} of {group.name} is worse than that of {comparison.groups[0].name}"
        for row in comparison.rows
        for group, cell in zip(comparison.groups, row.cells, strict=True)
        if cell is not None and cell.verdict == "worse"
    ]
    for line in found:
        telling.note(line)
    return bool(found)


def _matches(name: tuple[str, str], pattern: str) -> bool:
    """Whether a pattern is that of ``metric.number``, of either alone, or of the metric's whole text."""
    from intel_core.evaluation.comparing import short_name

    metric, number = name
    short = short_name(metric)
    return any(fnmatch.fnmatchcase(text, pattern) for text in (f"{short}.{number}", number, short, metric))
