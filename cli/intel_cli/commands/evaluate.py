"""What do metrics say of some runs? `intel evaluate` measures, stores the results and shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.metrics import metric_option, read_metrics
from intel_cli.arguments.runs import gather, require_runs
from intel_cli.arguments.sampler import sampler_option
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_core.evaluation.measuring import Measured
    from intel_core.evaluation.run import Run

__all__ = ["evaluate"]

_WIDE = 130
"""Characters in a line from which on the table also says what each number is."""
_EPILOG = """\b
Examples:
  intel evaluate runs/digits-cluster-seed0
  intel evaluate runs/* --metrics clusters,likelihood --metric frechet:n=5000
  intel evaluate RUN --metrics frechet --again --json
  intel evaluate RUN --metrics frechet,prdc --from pooled

\b
Exit status: 0 all that applies was measured, 2 a wrong argument, 7 a metric failed, 130 interrupted.
"""


@click.command(epilog=_EPILOG, short_help="Measure trained runs, and store each number with its protocol.")
@click.argument("runs", nargs=-1, required=True, type=RunPath(), metavar="RUN...")
@metric_option(
    "What to measure, e.g. frechet:n=5000, or several names separated by commas; may be repeated.  "
    "[default: every metric that takes seconds]"
)
@click.option("--all", "everything", is_flag=True, help="Measure every installed metric, also those that take minutes.")
@click.option("--again", is_flag=True, help="Measure again what is stored already.")
@sampler_option(
    "Draw generated examples from a sampler that is fitted to the encodings of the training data, e.g. pooled; "
    "the numbers are stored and named as those of it."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1, mps or auto.")
@click.option("-v", "--protocol", is_flag=True, help="Show what each number is, and by which protocol it was measured.")
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
    sampler: str,
    data_dir: Path | None,
    device: str,
    protocol: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure trained runs, and store each number with the protocol by which it was measured.

    RUN is a run directory, a folder of replicates, or the name of either in runs/. What was measured
    before is read from RUN/evaluation/. Ctrl-C loses only the metric in progress; the same command continues.
    """
    from intel_core.components.spec import parse_spec
    from intel_core.reading.data_dir import data_dir_or_default

    asked = read_metrics(metrics, everything=everything) if metrics else None
    if sampler.strip() != "prior":
        parse_spec("samplers", sampler)
    require_runs(runs, groups=True)
    # What takes torch is imported after all that could be wrong without it.
    from intel_cli.output.measuring import ask
    from intel_core.evaluation.pooling import sampler_spec

    asked = asked or read_metrics(metrics, everything=everything)
    how: dict[str, Any] = {"again": again, "quiet": quiet, "sampler": sampler_spec(sampler)}
    answers: list[tuple[Run, list[Measured]]] = []
    try:
        for run, said in ask(gather(runs, device), asked, data_dir_or_default(data_dir), **how):
            answers.append((run, said))
            if not as_json:
                _show(run, said, protocol=protocol)
    except KeyboardInterrupt:
        telling.note("Interrupted; all finished measurements are stored, and the same command continues from there.")
        if as_json:
            click.echo(telling.json_text({"runs": [_as_json(run, said) for run, said in answers], "interrupted": True}))
        ctx.exit(telling.INTERRUPTED)
    if as_json:
        click.echo(telling.json_text({"runs": [_as_json(run, said) for run, said in answers]}))
    ctx.exit(telling.UNMEASURED if any(one.status == "failed" for _, said in answers for one in said) else 0)


def _as_json(run: Run, said: list[Measured]) -> dict[str, Any]:
    return {
        "run_dir": str(run.path),
        "name": run.info["name"],
        "seed": run.seed,
        "metrics": [one.model_dump(mode="json") for one in said],
    }


def _show(run: Run, said: list[Measured], *, protocol: bool) -> None:
    """Print a table of the numbers of one run, and below it why others are missing."""
    from rich.table import Table

    from intel_cli.output.console import console, four_digits
    from intel_cli.output.meanings import MEANINGS
    from intel_cli.output.terms import offered_by

    out = console()
    out.print(f"{run.info['name']}  {run.path}", style="bold", soft_wrap=True)
    table = Table()
    table.add_column("metric")
    table.add_column("number")
    table.add_column("value", justify="right")
    table.add_column("beside it", overflow="fold")
    table.add_column("unit", overflow="fold")
    is_wide = out.width >= _WIDE
    if is_wide:
        table.add_column("what it is", overflow="fold")
    meanings: list[str] = []
    for one in said:
        if one.measurement is None:
            continue
        label = one.name
        for name, number in one.measurement.numbers.items():
            error = "" if number.error is None else f" ± {number.error:.2g}"
            beside = ", ".join(f"{what} {four_digits(value)}" for what, value in number.beside.items())
            shown, value = name.replace("_", " "), f"{four_digits(number.value)}{error}"
            about = number.about or MEANINGS.get(shown, "")
            table.add_row(label, shown, value, beside, number.unit, *([about] if is_wide else []))
            meanings += [f"{one.name}: {shown}: {about}"] if about and not is_wide else []
            label = ""
        table.add_section()
    if table.row_count:
        out.print(table)
    if meanings and not protocol:
        meanings = ["-v says what each number is"]
    for text in meanings:
        out.print(text, soft_wrap=True)
    for one in said:
        if one.measurement is None:
            out.print(f"{one.name}: {one.status}: {one.reason}", soft_wrap=True)
            continue
        for text in one.measurement.notes:
            out.print(f"{one.name}: {text}", soft_wrap=True)
        if protocol:
            settings = ", ".join(f"{key} {value}" for key, value in one.measurement.protocol.items())
            origin = offered_by(one.distribution, one.version)
            out.print(f"{one.name}: {one.metric}; {settings}; {origin}", soft_wrap=True)
