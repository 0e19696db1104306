"""How is a model trained from the command line? The options of `intel train`, and how they are carried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from intel_cli.arguments.completion import ComponentName, RunPath
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_cli.output.progress import Progress
    from intel_core.evaluation.run import Run
    from intel_core.fitting.tracking import Tracking
    from intel_core.recipe.runspec import RunSpec
    from intel_core.replicates.summary import Replicates

__all__ = ["train"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_MAPPING = "Mapping z = g(y), e.g. cluster:k=3; repeat to compose, the first applied first.  [default: identity]"
_DATA = "Data set, e.g. mnist:classes=[0,1]; or a .csv, .tsv, .parquet, .npy, .npz file or a folder.  [default: digits]"
_PRIOR = "p(y), e.g. mog:k=10.  [default: standard, which is N(0, I)]"
_POSTERIOR = "q(y|x), e.g. sylvester.  [default: gaussian, with independent dimensions]"
_START = (
    "How clusters are found in the data at first: mixture, kmeans, labels[:count=100], none, or a .csv, .tsv or .npy "
    "file that names one for each example; for a mapping with clusters or a mixture prior.  [default: mixture for a "
    "mapping with clusters, else none]"
)
_LIKELIHOOD = "p(x|z).  [default: bernoulli for values in [0, 1], gaussian with learned variance otherwise]"
_NETWORK = "Encoder and decoder network.  [default: conv for images of 48x48 or more, else mlp]"
_TRACK = (
    "Keep a record elsewhere too, e.g. tensorboard, wandb:project=NAME or mlflow; repeat the option, or put commas "
    "between them. With --resume the record goes on."
)
_HOW = ("devices", "nodes")
"""Settings that a continued run may change, because its result stays the same."""
_EPILOG = """\b
Examples:
  intel train --mapping cluster:k=10 --latent 10 --epochs 60
  intel train --data mydata.csv --likelihood gaussian --latent 2 --warmup 2000 --seed 1
  intel train --config runs/first/run.json --lr 3e-4 --run-dir runs/second
"""


class _Output(NamedTuple):
    """What is printed, and whether pictures are drawn."""

    as_json: bool
    quiet: bool
    pictures: bool


def _spec_option(
    name: str, kind: str, text: str, *, files: bool = False, multiple: bool = False
) -> Callable[[_Command], _Command]:
    return click.option(name, type=ComponentName(kind, files=files), metavar="SPEC", help=text, multiple=multiple)


@click.command(epilog=_EPILOG)
@_spec_option("--mapping", "mappings", _MAPPING, multiple=True)
@_spec_option("--data", "datasets", _DATA, files=True)
@_spec_option("--start", "starts", _START, files=True)
@_spec_option("--prior", "priors", _PRIOR)
@_spec_option("--posterior", "posteriors", _POSTERIOR)
@_spec_option("--likelihood", "likelihoods", _LIKELIHOOD)
@_spec_option("--objective", "objectives", "Bound to maximise, e.g. iwae:particles=8.  [default: elbo]")
@_spec_option("--optimizer", "optimizers", "What takes the steps, e.g. adamw:weight_decay=0.01.  [default: adam]")
@click.option(
    "--kl",
    type=click.Choice(["auto", "y", "z"]),
    help="Where the KL term is taken: z is a tighter bound where the mapping forgets a part of y.  [default: z where "
    "the mapping knows it, else y]",
)
@_spec_option("--network", "networks", _NETWORK)
@_spec_option("--encoder", "networks", "Network of the encoder only.")
@_spec_option("--decoder", "networks", "Network of the decoder only.")
@click.option(
    "--latent", type=int, help="Dimensions of y.  [default: 10 for images, else at most 2, or what clusters need]"
)
@click.option(
    "--conditions",
    metavar="labels|COLUMN,...",
    help="What encoder and decoder see beside x and z: the labels, or columns of a table.  [default: none]",
)
@click.option("--steps", type=int, help="Training steps.  [default: 4000]")
@click.option("--epochs", type=int, help="Training epochs, instead of --steps.")
@click.option("--batch-size", type=int, help="Examples per step.  [default: 100]")
@click.option("--learning-rate", "--lr", type=float, help="Step size of the optimizer.  [default: 0.001]")
@click.option("--clip-norm", type=float, help="Largest norm of the whole gradient.  [default: no limit]")
@click.option(
    "--warmup",
    type=int,
    metavar="N",
    help="Raise the KL weight from 0 to 1 over N steps; 0: at once.  [default: half a run on vectors, 0 on images]",
)
@click.option(
    "--schedule",
    multiple=True,
    metavar="NAME=SPEC",
    help="Factor per step of kl, lr, a mapping's strength or regulariser, e.g. lr=cosine:end=0.1,steps=4000.",
)
@click.option(
    "--patience",
    type=int,
    help="Stop after so many evaluations without improvement, counted once schedules have settled.  [default: never]",
)
@click.option(
    "--evaluate-every",
    type=int,
    help="Steps between evaluations.  [default: 20 in a run, fewer where they would cost more than a tenth of it]",
)
@click.option("--log-every", type=int, help="Steps between logged lines.  [default: 50]")
@click.option(
    "--save-every", type=int, help="Steps between checkpoints.  [default: as --evaluate-every, or 4 to 20 in a run]"
)
@click.option("--save-minutes", type=float, help="Longest time between checkpoints in minutes.  [default: 10]")
@click.option(
    "--restarts",
    type=int,
    help="Try so many initialisations for a part of the run each, and train the best one.  [default: 1]",
)
@click.option(
    "--trial",
    type=float,
    help="Length of each trial as a share of the run.  [default: 0.2, or until a start's clusters are learned]",
)
@click.option(
    "--replicates",
    type=int,
    metavar="R",
    help="Train R runs with consecutive seeds, in parallel if the model allows it; show means and standard deviations.",
)
@click.option("--seed", type=int, help="Seed of every random stream.  [default: 0]")
@click.option("--device", help="cpu, cuda, cuda:1, mps or auto.  [default: auto]")
@click.option(
    "--devices",
    type=int,
    help="Number of processes on this machine that share each batch, one device each.  [default: 1]",
)
@click.option(
    "--nodes",
    type=int,
    help="Number of machines that share each batch; the command is started on each of them.  [default: 1]",
)
@click.option(
    "--precision",
    metavar="auto|float32|bfloat16",
    help="Number format of the networks' products.  [default: bfloat16 for convolutions if the device has it]",
)
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Compile the networks for training by torch.compile; takes up to a minute at the start.  [default: no]",
)
@click.option("--name", help="Name of the run.  [default: data, mapping, another prior or posterior, and seed]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="YAML or JSON file that says what options say, or the run.json of another run; options override it.",
)
@click.option("--run-dir", type=click.Path(path_type=Path), help="New folder for the run.  [default: runs/NAME]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder with data files.  [default: INTEL_DATA_DIR]",
)
@_spec_option("--track", "trackers", _TRACK, multiple=True)
@click.option("--dry-run", is_flag=True, help="Print the complete settings and what would be done; train nothing.")
@click.option(
    "--resume",
    type=RunPath(),
    metavar="RUN_DIR",
    help="Continue an interrupted run, or a folder of replicates, with its own settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object; progress is on stderr.")
@click.option("--quiet", is_flag=True, help="No progress and no summary; errors and warnings only.")
@click.option(
    "--pictures/--no-pictures",
    default=None,
    help="Whether to draw samples, reconstructions and the latent space.  [default: yes]",
)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    config: Path | None,
    run_dir: Path | None,
    data_dir: Path | None,
    dry_run: bool,
    resume: Path | None,
    as_json: bool,
    quiet: bool,
    pictures: bool | None,
    replicates: int | None,
    track: tuple[str, ...],
    **settings: Any,
) -> None:
    """Train a model and store it in a run directory.

    All losses are in nats per example. Ctrl-C saves the run and --resume continues it, on a CPU with the same result
    bit for bit. With --devices the result is that of a single process up to rounding; torchrun can start the command
    on one or several machines.
    """
    if resume is not None:
        others = {key: value for key, value in settings.items() if key not in _HOW}
        _refuse_settings(
            resume, {"config": config, "run_dir": run_dir, "dry_run": dry_run, "replicates": replicates, **others}
        )
    from intel_cli.arguments.around import around
    from intel_cli.arguments.settings import asked_run, refuse_taken
    from intel_core.fitting.tracking import Tracking
    from intel_core.replicates.seeds import check_replicates
    from intel_core.runs.folder import GROUP_FILE, RunFolder, is_group

    said = {"run_dir": run_dir, "data_dir": data_dir, "replicates": replicates, "track": track, "pictures": pictures}
    spec, asked = (None, around(said)) if resume is not None else asked_run(config, settings, said)
    run_dir, data_dir, replicates = asked.run_dir, asked.data_dir, asked.replicates
    tracking, output = Tracking(asked.track), _Output(as_json, quiet, asked.pictures)
    if resume is not None and not is_group(resume):
        RunFolder(resume).read_description()
    if spec is not None and run_dir is not None and not dry_run:
        refuse_taken(run_dir)
    seeds = [] if spec is None or replicates is None else check_replicates(spec, replicates)
    # What takes torch is imported after all that could be wrong without it: a message is there at once.
    from intel_cli.output.progress import first_alone, hard_interruption, make_progress
    from intel_cli.output.summary import show_plan, show_summary, summary_of
    from intel_core.fitting.fit import fit
    from intel_core.fitting.resume import resume as continue_run

    if spec is not None and dry_run:
        show_plan(spec, run_dir, data_dir, as_json=as_json, replicates=replicates)
        return
    if spec is not None and seeds:
        _train_replicates(ctx, seeds, spec, run_dir, data_dir, tracking, output)
        return
    if resume is not None and is_group(resume):
        _refuse_settings(resume, {key: settings[key] for key in _HOW})
        _resume_replicates(ctx, resume, data_dir, tracking, output)
        return
    progress = make_progress(quiet=quiet)
    with tracking:
        with first_alone(ctx), hard_interruption(ctx, progress), progress:
            if resume is not None:
                how: dict[str, Any] = {key: settings[key] for key in _HOW}
                how |= {"track": tracking, "progress": False}
                run = continue_run(resume, data_dir=data_dir, hooks=[progress], **how)
            else:
                run = fit(spec, run_dir=run_dir, data_dir=data_dir, hooks=[progress], track=tracking, progress=False)
        if resume is not None and (run.path.parent / GROUP_FILE).is_file():
            from intel_core.replicates.summary import summarise_again

            summarise_again(run.path.parent)
        interrupted = run.status == "interrupted"
        drawn = _draw(ctx, run, progress) if asked.pictures and not interrupted else []
        tracking.end(run, drawn)
    if as_json:
        click.echo(telling.json_text(summary_of(run, drawn)))
    elif not quiet and not interrupted:
        show_summary(run, drawn)
    if interrupted:
        telling.note(
            f"Interrupted at step {run.metrics['step']:,} of {run.spec.steps:,} ({run.metrics['stop_reason']})."
        )
        telling.note(f"Continue with: intel train --resume {telling.quoted(run.path)}")
        ctx.exit(telling.INTERRUPTED)


def _train_replicates(
    ctx: click.Context,
    seeds: list[int],
    spec: RunSpec,
    run_dir: Path | None,
    data_dir: Path | None,
    tracking: Tracking,
    output: _Output,
) -> None:
    """Train a run with several seeds and show the results; of the pictures, the latent space of all is drawn."""
    from intel_core.replicates.fitting import fit_replicates

    if not output.quiet:
        telling.note(f"{len(seeds)} replicates, seeds {seeds[0]} to {seeds[-1]}")

    def train_all(hook: Progress) -> Replicates:
        how: dict[str, Any] = {"run_dir": run_dir, "data_dir": data_dir, "track": tracking, "progress": False}
        return fit_replicates(len(seeds), spec, watchers=[hook], **how)

    _show_group(ctx, output, tracking, train_all)


def _resume_replicates(
    ctx: click.Context, folder: Path, data_dir: Path | None, tracking: Tracking, output: _Output
) -> None:
    """Continue several seeds together and show the results."""
    from intel_core.replicates.resuming import resume_replicates

    _show_group(
        ctx,
        output,
        tracking,
        lambda hook: resume_replicates(folder, data_dir=data_dir, watchers=[hook], track=tracking, progress=False),
    )


def _show_group(
    ctx: click.Context, output: _Output, tracking: Tracking, train_all: Callable[[Progress], Replicates]
) -> None:
    """Train several seeds, and show what became of them."""
    from intel_cli.output.progress import hard_interruption, make_progress
    from intel_cli.output.replicates import show_replicates

    progress = make_progress(quiet=output.quiet)
    with tracking, hard_interruption(ctx, progress), progress:
        group = train_all(progress)
        for run in group.runs:
            tracking.end(run)
    if output.pictures and group.summary["status"] != "interrupted":
        _draw_seeds(ctx, group, progress)
    summary = {key: value for key, value in group.summary.items() if key != "asked"}
    if "why_not" in summary and len(summary["runs"]) > 1:
        telling.note(f"Trained one after another: {summary['why_not']}")
    for entry in summary["runs"]:
        if "problem" in entry:
            telling.note(f"Warning: seed {entry['seed']} is left out: {entry['problem']}")
    interrupted = summary["status"] == "interrupted"
    if output.as_json:
        click.echo(telling.json_text({"run_dir": str(group.path), **summary, "units": "nats per example"}))
    elif not output.quiet and not interrupted:
        show_replicates(group)
    if interrupted:
        telling.note(f"Interrupted. Continue all with: intel train --resume {telling.quoted(group.path)}")
        ctx.exit(telling.INTERRUPTED)


def _refuse_settings(resume: Path, given: dict[str, Any]) -> None:
    """Refuse other settings: a continued run keeps its own, so that it is the run that was interrupted."""
    wrong = [key for key, value in given.items() if value is not None and value is not False and value != ()]
    if wrong:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in wrong)
        raise click.UsageError(
            f"--resume continues a run with its own settings; leave out {options}, "
            f"or begin a new run with --config {resume / 'run.json'}"
        )


def _draw(ctx: click.Context, run: Run, progress: Progress) -> list[Path]:
    """Draw pictures into the run directory; if drawing fails, the trained model is not lost."""
    from intel_cli.pictures import draw_all

    try:
        return draw_all(run, progress.dataset or run.dataset(None))
    except Exception as error:
        if ctx.meta.get(telling.DEBUG):
            raise
        telling.note(f"Warning: no pictures were drawn: {type(error).__name__}: {error}")
        return []


def _draw_seeds(ctx: click.Context, group: Replicates, progress: Progress) -> None:
    """Draw the latent space of the seeds that have ended, as `_draw`."""
    from intel_cli.pictures import save_latents

    try:
        runs = [run for run in group.runs if run.status == "finished"]
        if runs:
            save_latents(group.path / "latent.png", runs, progress.dataset or runs[0].dataset(None))
    except Exception as error:
        if ctx.meta.get(telling.DEBUG):
            raise
        telling.note(f"Warning: no picture was drawn: {type(error).__name__}: {error}")
