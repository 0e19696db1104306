"""What is printed of a study: the published ones, a plan, how far it is, what is missing?

Nothing here imports torch.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click

from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.errors import IntelError
from intel_study.claims import verdicts
from intel_study.costs import Costs, spoken
from intel_study.jobs import Job
from intel_study.results import Results
from intel_study.running import Progress
from intel_study.summary import tables

__all__ = ["Show", "as_json_object", "list_published", "show_plan", "tell_missing"]


def list_published(*, as_json: bool) -> None:
    """Print the published studies; their first lines are read, no torch is imported."""
    rows = []
    for component in plugins.available("studies"):
        said = component.reason
        if component.is_live:
            name = component.qualified if component.status == "CONFLICT" else component.name
            try:
                said = (loading.load("studies", name).__doc__ or "").strip().partition("\n")[0]
            except IntelError as error:
                said = str(error)
        rows.append({"name": component.name, "distribution": component.distribution, "about": said})
    if as_json:
        click.echo(json.dumps({"studies": rows}, indent=2, ensure_ascii=False))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['about']}")
    if not rows:
        click.echo("No study is installed; intel study FILE reads one of your own.")


def as_json_object(results: Results, written: list[Path]) -> dict[str, Any]:
    """All results, tables and verdicts of a study, and the files in which they are, as one JSON object."""
    said = [
        {**claim.model_dump(mode="json"), **{key: value for key, value in verdict._asdict().items() if key != "arm"}}
        for claim, verdict in verdicts(results)
    ]
    shown = [
        {
            "problem": table.problem,
            "tests": table.tests,
            "arms": [
                {
                    "arm": row.arm,
                    "seeds": row.seeds,
                    "numbers": {
                        name: None
                        if entry is None
                        else {"mean": entry.mean, "std": entry.std, "p": entry.p, "mark": entry.mark}
                        for name, entry in row.entries.items()
                    },
                }
                for row in table.rows
            ],
        }
        for table in tables(results)
    ]
    return {**results.as_json(), "tables": shown, "verdicts": said, "files": [str(path) for path in written]}


def tell_missing(unbegun: list[Job], costs: Costs, slots: int, *, over: bool) -> None:
    """Say what was not done, and how long it would take."""
    seeds = sum(len(job.seeds) for job in unbegun)
    known = [seconds for job in unbegun if (seconds := costs.left(job)) is not None]
    time_left = f", about {spoken(sum(known) / slots)} more" if len(known) == len(unbegun) else ""
    why = "The budget does not reach further" if over else "Interrupted"
    names = ", ".join(job.label for job in unbegun[:6]) + (f" and {len(unbegun) - 6} more" if len(unbegun) > 6 else "")
    click.echo(f"{why}: {seeds} cells are missing{time_left}: {names}. The same command goes on.", err=True)


def show_plan(
    name: str,
    jobs: list[Job],
    left: list[Job],
    wanted: set[tuple[str, str]],
    costs: Costs,
    slots: int,
    *,
    as_json: bool,
) -> None:
    """Print the cells, which are done, and what the others will cost."""
    todo = {job.name for job in left}
    rows: list[dict[str, Any]] = []
    for job in jobs:
        if (job.problem, job.arm) not in wanted:
            continue
        seconds = costs.left(job) if job.name in todo else 0.0
        how = "as finished ones took" if costs.is_measured(job) else "training only, by timed steps"
        rows.append(
            {
                "problem": job.problem,
                "arm": job.arm,
                "seeds": list(job.seeds),
                "done": job.name not in todo,
                "seconds": seconds,
                "how": "" if job.name not in todo else how,
                "run_dir": str(job.run_dir),
            }
        )
    known = [row["seconds"] for row in rows if not row["done"] and row["seconds"] is not None]
    whole = sum(known)
    if as_json:
        said = {"name": name, "cells": rows, "seconds": whole, "jobs": slots, "wall_seconds": whole / slots}
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    width = max(len(f"{row['arm']}@{row['problem']}") for row in rows) if rows else 0
    for row in rows:
        where = f"{row['arm']}@{row['problem']}" if row["problem"] else row["arm"]
        seeds = row["seeds"]
        said_seeds = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}-{seeds[-1]}"
        cost = "done" if row["done"] else "?" if row["seconds"] is None else f"{spoken(row['seconds'])}  ({row['how']})"
        click.echo(f"{where:<{width}}  {said_seeds:<12}  {cost}")
    ready = sum(row["done"] for row in rows)
    more = f"; about {spoken(whole)} of one core, {spoken(whole / slots)} with {slots} at once" if known else ""
    click.echo(f"{len(rows)} to be trained and measured, {ready} of them done{more}")


class Show:
    """Tells how far a study is: one line that changes on a terminal, a line for each job elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.is_terminal = quiet, sys.stderr is not None and sys.stderr.isatty()
        self._width, self._next = 0, 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell it."""
        if self.quiet:
            return
        left = "" if progress.left is None or not progress.running else f", about {spoken(progress.left)} left"
        count = f"{progress.done}/{progress.of}"
        if progress.said:
            self.clear()
            click.echo(f"{count}  {progress.said}{left}", err=True)
        if self.is_terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.5
            running = "; ".join(f"{label} {what} {share:.0%}" for label, what, share in progress.running)
            room = max(20, shutil.get_terminal_size().columns - 1)
            line = f"{count}{left}  {running}"[:room]
            click.echo(f"\r{line:<{self._width}}", nl=False, err=True)
            self._width = len(line)

    def clear(self) -> None:
        """Take the line away that changes."""
        if self._width:
            click.echo(f"\r{'':<{self._width}}\r", nl=False, err=True)
            self._width = 0
