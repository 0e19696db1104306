"""Did the inductive bias take effect, and what does the model look like? `intel report` answers on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from intel_cli.arguments.completion import RunPath
from intel_cli.arguments.runs import require_runs

if TYPE_CHECKING:
    from intel_cli.report.gather import Page
    from intel_core.evaluation.run import Run

__all__ = ["report"]

_EPILOG = """\b
Examples:
  intel report runs/digits-cluster-seed0 --open
  intel report runs/digits-cluster-seed0 --against runs/digits-identity-seed0 -o cluster.html
  intel report runs/digits-cluster-seed0 --format pdf
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RunPath())
@click.option(
    "--against", type=RunPath(), metavar="VANILLA_RUN", help="A run on the same data without the bias, to compare with."
)
@click.option(
    "--beside",
    multiple=True,
    type=RunPath(),
    metavar="RUN",
    help="Another run on the same data, whose clusters are compared with this one's; may be repeated.  "
    "[default: the other seeds of a folder of replicates]",
)
@click.option(
    "-o",
    "--out",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .html file.  [default: RUN/report.html]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "pdf", "svg"]),
    help="Draw samples, reconstructions and the latent space as such files too, beside report.html; of a folder of "
    "replicates the latent space of all seeds as well.",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict and the sizes of clusters as one JSON object.")
def report(
    run: Path,
    against: Path | None,
    beside: tuple[Path, ...],
    output: Path | None,
    kind: str | None,
    data_dir: Path | None,
    show: bool,
    as_json: bool,
) -> None:
    """Write one self-contained HTML page about a run or its replicates.

    It begins with the verdict whether the inductive bias took effect, and the numbers behind it. Settings, learning
    curves, samples, each cluster with its size, samples and data, the latent space before and after the mapping,
    sliders along single dimensions, and metrics follow.

    RUN is a run directory, or the name of a run in runs/. Of a folder of replicates the page has the verdicts of all
    seeds side by side, and means and spreads; the page of each seed is written into its own directory.
    """
    from intel_cli.output.files import suffix_of
    from intel_core.errors import RunError, SpecError
    from intel_core.runs.folder import is_group

    target = output or run / "report.html"
    suffix_of(target, (".html", ".htm"))
    if output is not None and not output.parent.is_dir():
        raise RunError(f"{output} cannot be written: there is no folder {str(output.parent)!r}; make it first")
    if is_group(run):
        if beside:
            raise SpecError("--beside goes with one run; the seeds of a folder are compared with each other anyway")
        require_runs([] if against is None else [against])
        _report_seeds(run, against, target, kind, data_dir, as_json=as_json)
        if show:
            click.launch(str(target.resolve()))
        return
    require_runs([*([] if against is None else [against]), run, *beside])
    # What takes torch is imported after all that could be wrong without it.
    from intel_cli.output.telling import json_text
    from intel_cli.report.gather import gather
    from intel_cli.report.page import render
    from intel_core.evaluation.run import load_run
    from intel_core.files import write_text
    from intel_core.reading.data_dir import data_dir_or_default

    other = None if against is None else load_run(against)
    trained = load_run(run)
    others = [load_run(path) for path in beside]
    for one in others:
        if one.fingerprint != trained.fingerprint:
            raise RunError(f"{one.path} was trained on other data than {run}, so their clusters cannot be compared")
    page = gather(trained, other, data_dir_or_default(data_dir), others)
    html = render(page)
    write_text(target, html)
    pictures = [] if kind is None else _pictures([trained], kind, data_dir)
    if as_json:
        drawn = {} if kind is None else {"pictures": pictures}
        click.echo(json_text(_verdict(page, target) | drawn))
    else:
        _tell(page, target, len(html.encode()))
        _tell_pictures(pictures)
    if show:
        click.launch(str(target.resolve()))


def _report_seeds(
    group: Path, against: Path | None, target: Path, kind: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """The page of a folder of replicates."""
    from intel_core.errors import RunError
    from intel_core.runs.folder import GROUP_FILE, RunFolder

    folder = RunFolder(group)
    summary = folder.read(GROUP_FILE)
    if not any(entry["status"] == "finished" for entry in summary["runs"]):
        raise RunError(f"no seed of {group} has ended; end them with: intel train --resume {group}")
    from intel_cli.output.telling import json_text, note
    from intel_cli.report.seeds import gather_seeds, render_seeds
    from intel_core.evaluation.run import load_run
    from intel_core.files import write_text
    from intel_core.reading.data_dir import data_dir_or_default
    from intel_core.replicates.summary import Group, Replicates

    runs = [run for run in Group.read(folder).runs().values() if run is not None]
    other = None if against is None else load_run(against)
    page = gather_seeds(
        Replicates(group, runs, summary),
        other,
        data_dir_or_default(data_dir),
        (lambda seed: None) if as_json else (lambda seed: note(f"reading {seed}")),
    )
    html = render_seeds(page)
    write_text(target, html)
    ended = [run for run in runs if run.status == "finished"]
    pictures = [] if kind is None else _pictures(ended, kind, data_dir, group)
    if as_json:
        drawn = {} if kind is None else {"pictures": pictures}
        click.echo(json_text({**page.to_dict(), "file": str(target), **drawn}))
        return
    click.echo(f"{page.headline}.")
    for question in page.questions:
        click.echo(f"  {question.text} {question.told}")
    click.echo(f"{target} ({len(html.encode()) / 1e6:.2g} MB), and report.html of each seed in its own directory")
    _tell_pictures(pictures)


def _pictures(runs: list[Run], kind: str, data_dir: Path | None, group: Path | None = None) -> list[str]:
    """Draw the pictures of each run into its directory, and the latent space of all into that of their group."""
    from intel_cli.pictures import draw_all, save_latents

    dataset = runs[0].dataset(data_dir)
    runs[0].require_its_data(dataset)
    made = [path for run in runs for path in draw_all(run, dataset, kind)]
    if group is not None:
        save_latents(group / f"latent.{kind}", runs, dataset)
        made.insert(0, group / f"latent.{kind}")
    return [str(path) for path in made]


def _tell_pictures(pictures: list[str]) -> None:
    for path in pictures:
        click.echo(path)


def _verdict(page: Page, target: Path) -> dict[str, object]:
    return {
        "run": page.name,
        "against": page.against or None,
        **page.verdict.to_dict(),
        "clusters": {"each": [row.numbers() for row in page.clusters.rows], "said": page.clusters.said},
        "commands": page.commands,
        "file": str(target),
    }


def _tell(page: Page, target: Path, size: int) -> None:
    """The verdict in a line, questions and answers below it, and where the page is."""
    click.echo(str(page.verdict))
    for command in page.commands:
        click.echo(f"  Next: {command}")
    click.echo(f"{target} ({size / 1e6:.2g} MB)")
