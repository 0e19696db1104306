"""How do several seeds come out? Trains replicates and shows their means, their spreads and each seed's ELBO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intel_cli import telling
from intel_cli.progress import hard_interruption, make_progress

if TYPE_CHECKING:
    from intel_core.recipe.runspec import RunSpec
    from intel_core.replicates.fitting import Replicates

__all__ = ["show_replicates", "train_replicates"]


def train_replicates(
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


def show_replicates(group: Replicates) -> None:
    """Tables of means and spreads, and each seed's ELBO, on stdout."""
    from rich.table import Table

    from intel_cli.summary import FIRST_ROWS, HIDDEN, UNITS, console

    out, summary = console(), group.summary
    finished = [entry for entry in summary["runs"] if entry["status"] == "finished"]
    how = "at once" if summary["stacked"] else "one after another"
    out.print(f"{summary['name']}: {len(finished)} of {len(summary['runs'])} seeds, trained {how}", style="bold")
    table = Table(caption="mean ± standard deviation over seeds", caption_justify="left")
    table.add_column(UNITS)
    table.add_column("validation", justify="right")
    table.add_column("test", justify="right")
    validation, test = summary["validation"], summary["test"]
    for name in [*(n for n in FIRST_ROWS if n in test), *(n for n in test if n not in (*FIRST_ROWS, *HIDDEN))]:
        table.add_row(FIRST_ROWS.get(name, name.replace("_", " ")), _both(validation[name]), _both(test[name]))
    table.add_section()
    table.add_row("active units", _both(validation["active_units"]), _both(test["active_units"]))
    for name, value in summary["mapping"].items():
        table.add_row(name.replace("_", " "), "", _both(value, ".3g"))
    out.print(table)
    seeds = Table()
    for name in ("seed", "test ELBO", "steps"):
        seeds.add_column(name, justify="right")
    seeds.add_column("status")
    for entry in summary["runs"]:
        elbo = "" if entry["test_elbo"] is None else f"{entry['test_elbo']:.2f}"
        seeds.add_row(str(entry["seed"]), elbo, f"{entry['step']:,}", entry["status"])
    out.print(seeds)
    out.print(f"{group.path}/  replicates.json and a run in each of {finished[0]['folder']}/, …", soft_wrap=True)
    path = telling.quoted(group.path)
    out.print(f"Next: intel evaluate {path}  |  intel compare {path} OTHER_RUNS", soft_wrap=True)


def _both(value: dict[str, Any], how: str = ".2f") -> str:
    """``mean ± std``."""
    spread = "" if value["std"] is None else f" ± {value['std']:{how}}"
    return f"{value['mean']:{how}}{spread}"
