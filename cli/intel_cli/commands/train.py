"""How is a model trained from the command line? The options of `intel train`, and what it does with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intel_cli.arguments.completion import ComponentName, RunPath
from intel_cli.output import telling

if TYPE_CHECKING:
    from intel_cli.output.progress import Progress
    from intel_core.evaluation.run import Run
    from intel_core.recipe.runspec import RunSpec

__all__ = ["train"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_MAPPING = "Mapping z = g(y), e.g. cluster:k=3; repeat to compose, the first applied first.  [default: identity]"
_DATA = "Data set, e.g. mnist:classes=[0,1]; or a .csv, .tsv, .parquet, .npy, .npz file or a folder.  [default: digits]"
_LIKELIHOOD = "p(x|z).  [default: bernoulli for values in [0, 1], gaussian with learned variance otherwise]"
_NETWORK = "Encoder and decoder network.  [default: conv for images of 48x48 or more, else mlp]"
_HOW = ("devices", "nodes")
"""What a continued run may have other than before: its result is the same."""
_EPILOG = """\b
Examples:
  intel train --mapping cluster:k=10 --latent 10 --epochs 60
  intel train --data mydata.csv --likelihood gaussian --latent 2 --warmup 2000 --seed 1
  intel train --config runs/first/run.json --lr 3e-4 --run-dir runs/second
"""


def _spec_option(
    name: str, kind: str, text: str, *, files: bool = False, multiple: bool = False
) -> Callable[[_Command], _Command]:
    return click.option(name, type=ComponentName(kind, files=files), metavar="SPEC", help=text, multiple=multiple)


@click.command(epilog=_EPILOG)
@_spec_option("--mapping", "mappings", _MAPPING, multiple=True)
@_spec_option("--data", "datasets", _DATA, files=True)
@_spec_option("--likelihood", "likelihoods", _LIKELIHOOD)
@_spec_option("--objective", "objectives", "Bound to maximise, e.g. iwae:particles=8.  [default: elbo]")
@_spec_option("--network", "networks", _NETWORK)
@_spec_option("--encoder", "networks", "Encoder network alone.")
@_spec_option("--decoder", "networks", "Decoder network alone.")
@click.option("--latent", type=int, help="Dimensions of y.  [default: 10 for images, else at most 2]")
@click.option("--steps", type=int, help="Training steps.  [default: 4000]")
@click.option("--epochs", type=int, help="Training epochs, instead of --steps.")
@click.option("--batch-size", type=int, help="Examples per step.  [default: 100]")
@click.option("--learning-rate", "--lr", type=float, help="Step size of Adam.  [default: 0.001]")
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
    help="Stop after so many evaluations without gain, counted once schedules have settled.  [default: never]",
)
@click.option("--evaluate-every", type=int, help="Steps between evaluations.  [default: 20 in a run]")
@click.option("--log-every", type=int, help="Steps between logged lines.  [default: 50]")
@click.option("--save-every", type=int, help="Steps between checkpoints.  [default: one with each evaluation]")
@click.option("--save-minutes", type=float, help="Longest time between checkpoints, in minutes.  [default: 10]")
@click.option(
    "--restarts", type=int, help="Try so many starts for a part of the run each, train the best.  [default: 1]"
)
@click.option("--trial", type=float, help="How long each start is tried, as a share of the run.  [default: 0.2]")
@click.option(
    "--replicates",
    type=int,
    metavar="R",
    help="Train R seeds, the seed and those after it, at once where the model allows; means and spreads at the end.",
)
@click.option("--seed", type=int, help="Seed of every random stream.  [default: 0]")
@click.option("--device", help="cpu, cuda, cuda:1, mps or auto.  [default: auto]")
@click.option("--devices", type=int, help="Processes here that share each batch, a device each.  [default: 1]")
@click.option("--nodes", type=int, help="Machines that share each batch, the command started on each.  [default: 1]")
@click.option(
    "--precision",
    metavar="auto|float32|bfloat16",
    help="Of what the networks multiply.  [default: bfloat16 for convolutions where it is faster]",
)
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Compile the networks for training by torch.compile; takes up to a minute at the start.  [default: no]",
)
@click.option("--name", help="Name of the run.  [default: data, mapping and seed]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="YAML or JSON file with these settings, or a run.json; options given here win over it.",
)
@click.option("--run-dir", type=click.Path(path_type=Path), help="New folder for the run.  [default: runs/NAME]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder with data files.  [default: INTEL_DATA_DIR]",
)
@click.option("--dry-run", is_flag=True, help="Print the complete settings and what would happen; train nothing.")
@click.option("--resume", type=RunPath(), metavar="RUN_DIR", help="Continue an interrupted run, with its settings.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object; progress is on stderr.")
@click.option("--quiet", is_flag=True, help="No progress and no summary; errors and warnings only.")
@click.option("--no-pictures", is_flag=True, help="Do not draw samples, reconstructions and the latent space.")
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
    no_pictures: bool,
    replicates: int | None,
    **settings: Any,
) -> None:
    """Train a model and keep it in a run directory.

    All losses are in nats per example. Ctrl-C saves the run; --resume continues it, bit for bit on a CPU. With
    --devices the result is that of one process, but for rounding; torchrun starts it on one machine or several.
    """
    if resume is not None:
        others = {key: value for key, value in settings.items() if key not in _HOW}
        _refuse_settings(
            resume, {"config": config, "run_dir": run_dir, "dry_run": dry_run, "replicates": replicates, **others}
        )
    from intel_cli.arguments.settings import run_spec
    from intel_cli.output.progress import first_alone, hard_interruption, make_progress
    from intel_cli.output.summary import show_plan, show_summary, summary_of
    from intel_core.fitting.fit import fit
    from intel_core.fitting.resume import resume as continue_run
    from intel_core.runs.folder import GROUP_FILE

    spec = None if resume is not None else run_spec(config, settings)
    if spec is not None and dry_run:
        show_plan(spec, run_dir, data_dir, as_json=as_json, replicates=replicates)
        return
    if spec is not None and replicates is not None:
        _train_replicates(ctx, replicates, spec, run_dir, data_dir, as_json=as_json, quiet=quiet)
        return
    progress = make_progress(quiet=quiet)
    with first_alone(ctx), hard_interruption(ctx, progress), progress:
        if resume is not None:
            how = {key: settings[key] for key in _HOW}
            run = continue_run(resume, data_dir=data_dir, hooks=[progress], **how)
        else:
            run = fit(spec, run_dir=run_dir, data_dir=data_dir, hooks=[progress])
    if resume is not None and (run.path.parent / GROUP_FILE).is_file():
        from intel_core.replicates.fitting import summarise_again

        summarise_again(run.path.parent)
    interrupted = run.status == "interrupted"
    pictures = [] if interrupted or no_pictures else _draw(ctx, run, progress)
    if as_json:
        click.echo(telling.json_text(summary_of(run, pictures)))
    elif not quiet and not interrupted:
        show_summary(run, pictures)
    if interrupted:
        telling.note(
            f"Interrupted at step {run.metrics['step']:,} of {run.spec.steps:,} ({run.metrics['stop_reason']})."
        )
        telling.note(f"Continue with: intel train --resume {telling.quoted(run.path)}")
        ctx.exit(telling.INTERRUPTED)


def _train_replicates(
    ctx: click.Context,
    replicates: int,
    spec: RunSpec,
    run_dir: Path | None,
    data_dir: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train some seeds of a run and tell how they came out; no pictures are drawn."""
    from intel_cli.output.progress import hard_interruption, make_progress
    from intel_cli.output.replicates import show_replicates
    from intel_core.replicates.fitting import check_replicates, fit_replicates

    seeds = check_replicates(spec, replicates)
    progress = make_progress(quiet=quiet)
    if not quiet:
        telling.note(f"{replicates} replicates, seeds {seeds[0]} to {seeds[-1]}")
    with hard_interruption(ctx, progress), progress:
        group = fit_replicates(replicates, spec, run_dir=run_dir, data_dir=data_dir, watchers=[progress])
    summary = group.summary
    if "why_not" in summary and replicates > 1:
        telling.note(f"Trained one after another: {summary['why_not']}")
    for entry in summary["runs"]:
        if "problem" in entry:
            telling.note(f"Warning: seed {entry['seed']} is left out: {entry['problem']}")
    interrupted = summary["status"] == "interrupted"
    if as_json:
        click.echo(telling.json_text({"run_dir": str(group.path), **summary, "units": "nats per example"}))
    elif not quiet and not interrupted:
        show_replicates(group)
    if interrupted:
        telling.note(f"Interrupted. Continue each with: intel train --resume {telling.quoted(group.path)}/seed-…")
        ctx.exit(telling.INTERRUPTED)


def _refuse_settings(resume: Path, given: dict[str, Any]) -> None:
    """A continued run keeps its settings, so that it is the run that was interrupted."""
    wrong = [key for key, value in given.items() if value is not None and value is not False and value != ()]
    if wrong:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in wrong)
        raise click.UsageError(
            f"--resume continues a run with its own settings; leave out {options}, "
            f"or begin a new run with --config {resume / 'run.json'}"
        )


def _draw(ctx: click.Context, run: Run, progress: Progress) -> list[Path]:
    """Pictures in the run directory; a failure to draw does not lose a trained model."""
    from intel_cli.pictures import draw_all

    try:
        return draw_all(run, progress.dataset or run.dataset(None))
    except Exception as error:
        if ctx.meta.get(telling.DEBUG):
            raise
        telling.note(f"Warning: no pictures were drawn: {type(error).__name__}: {error}")
        return []
