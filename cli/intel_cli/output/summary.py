"""What is the result of a run, or its plan? The summary of a finished run, and the settings of a planned one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli.output.console import console, number
from intel_cli.output.describe import facts, spec_of, warmup
from intel_cli.output.meanings import MEANINGS
from intel_cli.output.starts import found_by
from intel_cli.output.telling import json_text, quoted
from intel_cli.output.terms import in_order, term_name

if TYPE_CHECKING:
    from intel_core.evaluation.run import Run
    from intel_core.recipe.runspec import RunSpec
    from intel_core.training.trainer import Trainer

__all__ = ["HIDDEN", "UNITS", "show_plan", "show_summary", "summary_of"]

UNITS = "nats per example"
HIDDEN = ("loss", "kl_per_dim", "active_units")


def summary_of(run: Run, pictures: list[Path]) -> dict[str, Any]:
    """All facts about a run that has ended, as one JSON object."""
    spec = run.info["spec"]
    return {
        "run_dir": str(run.path),
        "name": run.info["name"],
        **run.metrics,
        "steps": spec["steps"],
        "units": UNITS,
        "warmup": warmup(run.spec),
        "parameters": run.info["parameters"],
        "data": run.info["data"],
        "spec": spec,
        "pictures": [str(path) for path in pictures],
    }


def show_summary(run: Run, pictures: list[Path]) -> None:
    """Print tables of the final numbers, and where the files are."""
    from rich.table import Table

    out, metrics = console(), run.metrics
    reason = f", stopped: {metrics['stop_reason']}" if metrics.get("stop_reason") else ""
    if "best_step" in metrics:
        reason += f", weights of step {metrics['best_step']:,}"
    title = f"{run.info['name']}: {metrics['step']:,} steps in {metrics['seconds']:.1f} s{reason}"
    out.print(title, style="bold", soft_wrap=True)
    table = Table()
    table.add_column(UNITS)
    table.add_column("validation", justify="right")
    table.add_column("test", justify="right")
    validation, test = metrics["validation"], metrics["test"]
    for name in in_order(test, HIDDEN):
        table.add_row(term_name(name, test), f"{validation[name]:.2f}", f"{test[name]:.2f}")
    if "kl_y" in test:
        saved = (f"{part['kl_y'] - part['kl']:.2f}" for part in (validation, test))
        table.add_row("saved by the mapping", *saved)
    table.add_section()
    units = run.model.y_dim
    table.add_row("active units", f"{validation['active_units']} of {units}", f"{test['active_units']} of {units}")
    out.print(table)
    if metrics.get("start"):
        out.print(f"Start: {_start(run)}", soft_wrap=True, markup=False)
    if not test["active_units"]:
        click.echo(_collapsed(run), err=True)
    if metrics.get("mapping"):
        out.print("What the mapping says of the test data", style="bold")
        details = Table(show_header=False)
        details.add_column()
        details.add_column(overflow="fold")
        details.add_column(overflow="fold")
        for name, value in metrics["mapping"].items():
            plain = name.replace("_", " ")
            details.add_row(plain, number(value), MEANINGS.get(plain, ""))
        out.print(details)
    drawn = ", ".join(path.name for path in pictures)
    files = "run.json, metrics.json, metrics.jsonl, model.safetensors, checkpoints/"
    out.print(f"{run.path}/  {files}{', ' + drawn if drawn else ''}", soft_wrap=True)
    path = quoted(run.path)
    out.print(f"Next: intel report {path}  |  intel evaluate {path}  |  intel sample {path}", soft_wrap=True)


def _start(run: Run) -> str:
    """What the start found."""
    found = run.metrics["start"]
    return found_by(found, str(found.get("spec", run.spec.start)), int(run.info["data"]["train"]))


def _collapsed(run: Run) -> str:
    """That the model does not use its latent space, and which command may mend it."""
    again = f"intel train --config {quoted(run.path / 'run.json')} --warmup {max(1, int(run.metrics['step']) // 2)}"
    return (
        "Warning: no unit is active: the encoder says the same of every row, so y carries nothing (the posterior has "
        f"collapsed); next: {again}"
    )


def show_plan(
    spec: RunSpec, run_dir: Path | None, data_dir: Path | None, *, as_json: bool, replicates: int | None = None
) -> None:
    """Print the complete settings of a run and what it would do; no file is written.

    The YAML form is a config file in which the remarks are comments. Replicates are shown by the settings of the first.
    """
    from intel_core.replicates.seeds import check_replicates, group_name

    seeds = [] if replicates is None else check_replicates(spec, replicates)
    folder = None if replicates is None else run_dir or Path("runs") / group_name(spec, replicates)
    trainer = _unhooked_trainer(spec, data_dir)
    spec = spec_of(trainer)
    folder = folder or run_dir or Path("runs") / str(spec.name)
    settings = spec.model_dump(mode="json")
    if as_json:
        plan = {
            "spec": settings,
            "run_dir": str(folder),
            "data": trainer.dataset.summary(),
            "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
            "steps_per_epoch": trainer.steps_per_epoch,
            "epochs": trainer.steps / trainer.steps_per_epoch,
            "evaluations": math.ceil(trainer.steps / (spec.evaluate_every or trainer.steps)),
            "warmup": warmup(spec),
            "device": str(trainer.device),
            "units": UNITS,
            **({"replicates": len(seeds), "seeds": seeds} if seeds else {}),
        }
        click.echo(json_text(plan))
        return
    import yaml

    remarks = {"run": f"{folder} (not begun: this is a dry run)", **facts(trainer)}
    if seeds:
        remarks["replicates"] = f"{len(seeds)}, of seeds {seeds[0]} to {seeds[-1]}, in seed-<s> each"
    for name, text in remarks.items():
        click.echo(f"# {name:<9} {text}")
    click.echo(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), nl=False)


def _unhooked_trainer(spec: RunSpec, data_dir: Path | None) -> Trainer:
    """A trainer with everything that training needs, built so that any error in the settings is raised now."""
    from intel_core.fitting.arguments import prepare
    from intel_core.fitting.setting_up import make_trainer
    from intel_core.processes.peers import Peers
    from intel_core.training.hooks import hook_manager

    spec, dataset = prepare(spec, data_dir)
    trainer = make_trainer(spec, dataset, hook_manager())
    Peers(0, spec.devices * spec.nodes, trainer.device).rows(trainer.batch_size)
    return trainer
