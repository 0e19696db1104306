"""How is a comparison of many runs made from the command line? `intel study`: what is missing is trained and measured.

Nothing here imports torch before a run is planned.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intel_study.telling import Show, as_json_object, list_published, show_plan, tell_missing

if TYPE_CHECKING:
    from intel_study.jobs import Job
    from intel_study.planning import Planner
    from intel_study.results import Cell, Results
    from intel_study.running import Progress

__all__ = ["study"]

_INTERRUPTED, _DIVERGED, _UNMEASURED = 130, 4, 7
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_EPILOG = """\b
Examples:
  intel study                                   the studies that are published
  intel study fig4 --dry-run                    cells, and what each will cost
  intel study fig4 --seeds 3 --budget 2h --jobs 2
  intel study mine.yaml --only vamp@circle
  intel study fig4 --reuse docs/results/fig4.json     only what is missing there
  intel study mine.yaml --scheduler tcp://10.0.0.1:8786
  intel study table runs/studies/mine/study.json
  intel study claims docs/results/*.json
  intel schema study > study.schema.json

\b
Exit code: 0, also if the budget was used up, which a line says; 4 where every
run diverged, 7 where no cell could be measured, 130 interrupted; everything
that was done is kept, and the same command goes on.
"""


@click.command(epilog=_EPILOG, short_help="Compare arms over seeds as a file says: tables, figures and claims.")
@click.argument("words", nargs=-1, metavar="[FILE|NAME | table|claims STUDY.JSON...]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for everything.  [default: runs/studies/NAME]")
@click.option("--full", is_flag=True, help="The whole protocol, where the study is a reduced one.")
@click.option("--seeds", type=int, metavar="N", help="Only so many seeds, or more of them.")
@click.option("--first-seed", type=int, metavar="S", help="Seeds from this one on.")
@click.option(
    "--only",
    multiple=True,
    metavar="ARM|PROBLEM|ARM@PROBLEM",
    help="Train and measure only these; others are shown as far as they are there; may be repeated.",
)
@click.option(
    "--reuse",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="STUDY.JSON",
    help="Take the cells in these numbers as done, where settings, data and metrics are the same; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Print the cells, which are done, and what each costs; train nothing.")
@click.option(
    "--budget",
    metavar="TIME",
    help="Stop in time, e.g. 90m or 2h: no run is begun that would not end, and what still runs is saved.",
)
@click.option("--jobs", type=int, metavar="N", help="Processes at once, each on one thread.  [default: one per core]")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Hand the runs to a Dask cluster, whose workers see the same files."
)
@click.option(
    "--keep-runs/--no-keep-runs", default=True, show_default=True, help="Keep run directories after they are measured."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with data files.  [default: INTEL_DATA_DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object; progress is on stderr.")
@click.option("--quiet", is_flag=True, help="No progress; results, errors and warnings only.")
@click.pass_context
def study(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    out: Path | None,
    full: bool,
    seeds: int | None,
    first_seed: int | None,
    only: tuple[str, ...],
    reuse: tuple[Path, ...],
    dry_run: bool,
    budget: str | None,
    jobs: int | None,
    scheduler: str | None,
    keep_runs: bool,
    data_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare arms over seeds: train and measure what is missing, then show tables, figures and the claims.

    A study is a YAML or JSON file, or the name of a published one; without either, the published ones are listed. Each
    arm is trained with each seed in each problem. What was done before is found again by its settings and data, and
    what was interrupted goes on, so the same command can be given again at any time. Nothing is trained before every
    model has been built once.

    The folder holds study.json (every number of every seed with its protocol), table.md, table.tex, index.html and
    pictures. "intel study table STUDY.JSON" makes these anew from study.json alone, "intel study claims STUDY.JSON..."
    makes one table of the claims of several studies; a study named there instead of its numbers is shown as not run.
    """
    if not words:
        list_published(as_json=as_json)
        return
    given: dict[str, object] = {
        "--full": full,
        "--seeds": seeds,
        "--first-seed": first_seed,
        "--only": only,
        "--reuse": reuse,
        "--dry-run": dry_run,
    }
    given |= {"--budget": budget, "--jobs": jobs, "--scheduler": scheduler}
    if words[0] in ("table", "claims"):
        if wrong := [name for name, value in given.items() if value]:
            raise click.UsageError(f"{words[0]} only reads numbers that are there; leave out {', '.join(wrong)}")
        if not words[1:]:
            raise click.UsageError(f"name the files: intel study {words[0]} STUDY.JSON...")
        if words[0] == "claims":
            _claims(words[1:], out, as_json=as_json)
        else:
            _tables(words[1:], out, as_json=as_json)
        return
    if len(words) > 1:
        raise click.UsageError(f"one study at a time; got {', '.join(words)}")
    if scheduler is not None and jobs is not None:
        raise click.UsageError("--jobs counts processes of this machine; a cluster has workers of its own")
    ctx.exit(
        _run(words[0], out, full, seeds, first_seed, only, reuse, dry_run, _seconds(budget), jobs, scheduler,
             keep_runs, data_dir, as_json, quiet)
    )  # fmt: skip


def _tables(paths: tuple[str, ...], out: Path | None, *, as_json: bool) -> None:
    """Make pages anew from files of numbers."""
    from intel_study.pages import as_markdown, write_pages

    if out is not None and len(paths) > 1:
        raise click.UsageError("--out goes with one file")
    said = []
    for path in map(Path, paths):
        results = _numbers_in(path)
        folder = out or (path if path.is_dir() else path.parent)
        samples = path.parent / "samples"
        written = write_pages(results, folder, samples=samples if samples.is_dir() else None)
        said.append(as_json_object(results, written))
        if not as_json:
            click.echo(as_markdown(results))
    if as_json:
        click.echo(json.dumps(said[0] if len(said) == 1 else said, indent=2, ensure_ascii=False))


def _claims(paths: tuple[str, ...], out: Path | None, *, as_json: bool) -> None:
    """Print the claims of several studies as one table, or write it to a file."""
    from intel_core import files
    from intel_study.pages import all_claims

    studies = [_numbers_or_study(path) for path in paths]
    if as_json:
        said = [{"study": one.name, **row} for one in studies for row in as_json_object(one, [])["verdicts"]]
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    elif out is not None:
        files.write_text(out, all_claims(studies))
    else:
        click.echo(all_claims(studies), nl=False)


def _numbers_in(path: Path) -> Results:
    """The numbers in a file, or in the folder of a study."""
    from intel_study.results import Results

    return Results.read(path / "study.json" if path.is_dir() else path)


def _numbers_or_study(word: str) -> Results:
    """The numbers in a file or folder; of the name or the file of a study, that there are none."""
    from intel_study.reading import find_study, read_study
    from intel_study.results import Results

    path = Path(word)
    if path.is_dir() or (path.is_file() and path.suffix == ".json"):
        return _numbers_in(path)
    name, file = find_study(word)
    return Results.of_nothing(name, read_study(file))


def _seconds(text: str | None) -> float | None:
    """A time such as 90m, 2h or 1h30m in seconds."""
    if text is None:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhd])?", text.strip().lower())
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*(min|[smhd])?|\s", "", text.strip().lower()):
        raise click.UsageError(f"--budget {text!r}: expected a time such as 45m, 2h or 1h30m")
    if any(not unit for _, unit in parts):
        raise click.UsageError(f"--budget {text!r} has no unit; say {parts[0][0]}s, {parts[0][0]}m or {parts[0][0]}h")
    found = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if found <= 0:
        raise click.UsageError(f"--budget {text!r}: expected more than nothing")
    return found


def _run(
    word: str,
    out: Path | None,
    full: bool,
    count: int | None,
    first: int | None,
    only: tuple[str, ...],
    reuse: tuple[Path, ...],
    dry_run: bool,
    budget: float | None,
    at_once: int | None,
    scheduler: str | None,
    keep_runs: bool,
    data_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Do a study, and return the exit code."""
    from intel_study.choosing import chosen, with_seeds
    from intel_study.reading import find_study, read_study

    begun = time.time()
    name, path = find_study(word)
    own = "" if word.rpartition("/")[2] == name else path.name
    whole = read_study(path)
    if full:
        whole = whole.in_full()
    said, whole = whole, with_seeds(whole, count, first)
    wanted = chosen(whole, only)
    others = {path: _numbers_in(path) for path in reuse}
    folder = Path(os.path.abspath(out or Path("runs") / "studies" / (f"{name}-full" if full else name)))
    if not quiet:
        click.echo(f"{whole.title or name}: planning", err=True)
    # What takes torch is imported after all that could be wrong without it.
    from intel_study.costs import Costs
    from intel_study.crews import Cluster, LocalProcesses
    from intel_study.gathering import gather, reusable, shared, take_over
    from intel_study.planning import Planner
    from intel_study.running import require_folder, run_jobs
    from intel_study.working import is_done

    planner = Planner(whole, folder, path.parent, data_dir)
    jobs = planner.jobs(whole.seeds, keep_runs=keep_runs)
    reused: dict[Path, tuple[Job, Cell]] = {}  # of a cell in several files, the first
    for path, numbers in others.items():
        found = reusable(jobs, numbers)
        reused = {job.cell_path(cell.seed): (job, cell) for job, cell in found} | reused
        same = 0 if found else shared(jobs, numbers)
        done = sum(is_done(job, seed) for job in jobs for seed in job.seeds) if same else 0
        _tell_reused(path, len(found), same, done, len(numbers.cells), quiet=quiet)
    left = [
        job
        for job in jobs
        if (job.problem, job.arm) in wanted
        and not all(job.cell_path(seed) in reused or is_done(job, seed) for seed in job.seeds)
    ]
    timed = _Timed(planner, left) if dry_run or budget is not None else None
    costs = Costs(jobs, timed.seconds) if timed is not None else Costs(jobs)
    slots = at_once if at_once is not None else _cores()
    if dry_run:
        show_plan(name, jobs, left, wanted, costs, slots, as_json=as_json)
        return 0
    require_folder(folder)
    take_over(reused.values())
    show = Show(quiet)

    def known() -> Results:
        return gather(name, said, jobs, whole.seeds, is_full=full, file=own)

    warn = _Warning()

    def tell(progress: Progress) -> None:
        show(progress)
        if progress.said and not warn.over:
            warn(known())

    ended = None
    if left:
        crew = Cluster(scheduler) if scheduler is not None else LocalProcesses(min(slots, len(left)) or 1)
        cells = sum(len(job.seeds) for job in jobs if (job.problem, job.arm) in wanted)
        ready = cells - sum(len(job.seeds) for job in left)
        deadline = float("inf") if budget is None else begun + budget
        ended = run_jobs(left, crew, folder, costs=costs, deadline=deadline, tell=tell, total=(ready, cells))
    show.clear()
    results = known()
    warn(results)
    written = _write(results, folder)
    interrupted = ended is not None and ended.stopped
    _report(results, written, folder, as_json=as_json)
    if ended is not None and (ended.over or ended.stopped) and ended.unbegun:
        tell_missing(ended.unbegun, costs, slots, over=ended.over)
    return _code(results, interrupted)


def _tell_reused(path: Path, count: int, same: int, done: int, of: int, *, quiet: bool) -> None:
    """Say how many cells of other numbers are those of this study, and warn where none is, with what differs."""
    if count or (same and done >= same):
        if not quiet:
            said = f"{count} of {of} cells reused" if count else f"its {same} cells of this study are there already"
            click.echo(f"{path}: {said}", err=True)
        return
    why = (
        f"{same} have the same settings and data, and other metrics, or other versions of these"
        if same
        else "the settings or the data of each are others"
    )
    click.echo(f"warning: {path}: none of {of} cells is reused; {why}", err=True)


def _write(results: Results, folder: Path) -> list[Path]:
    from intel_study.pages import write_pages

    results.write(folder / "study.json")
    written = write_pages(results, folder, samples=folder / "samples")
    shutil.rmtree(folder / ".running", ignore_errors=True)
    return [folder / "study.json", *written]


def _code(results: Results, interrupted: bool) -> int:
    if interrupted:
        return _INTERRUPTED
    if results.cells and all(cell.status != "measured" for cell in results.cells) and not results.missing:
        return _DIVERGED if all(cell.status == "diverged" for cell in results.cells) else _UNMEASURED
    return 0


def _cores() -> int:
    """How many cores this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


def _report(results: Results, written: list[Path], folder: Path, *, as_json: bool) -> None:
    from intel_study.pages import as_markdown

    if as_json:
        click.echo(json.dumps(as_json_object(results, written), indent=2, ensure_ascii=False))
        return
    click.echo(as_markdown(results))
    click.echo(f"Everything is in {folder}; begin with index.html.", err=True)


class _Warning:
    """Says once, when the first cell is measured, which numbers of the study no run has."""

    def __init__(self) -> None:
        self.over = False

    def __call__(self, results: Results) -> None:
        from intel_study.summary import unknown_numbers

        if self.over:
            return
        for sentence in unknown_numbers(results).values():
            click.echo(f"warning: {sentence}; if that is mended in the file, cells that are done stay", err=True)
        self.over = any(cell.status == "measured" for cell in results.cells)


class _Timed:
    """How long jobs will take, by a few timed steps of each arm."""

    def __init__(self, planner: Planner, jobs: list[Job]) -> None:
        self.planner = planner

    def seconds(self, job: Job) -> float | None:
        from intel_study.costing import seconds_of

        return seconds_of(self.planner, job)
