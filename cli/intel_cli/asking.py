"""What is seen while metrics are measured? A live line on a terminal, a line for each metric elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intel_cli.telling import note

if TYPE_CHECKING:
    from intel_core.measuring import Measured
    from intel_core.metrics import MetricSpec
    from intel_core.run import Run

__all__ = ["ask"]


def ask(
    run: Run, metrics: Sequence[MetricSpec], data_dir: Path | None, *, again: bool = False, quiet: bool = False
) -> list[Measured]:
    """What some metrics say of a run, each told as it comes."""
    if quiet:
        return _ask(run, metrics, data_dir, again=again)
    return (
        _ask_live(run, metrics, data_dir, again=again)
        if sys.stderr.isatty()
        else _ask_in_lines(run, metrics, data_dir, again=again)
    )


def _ask(run: Run, metrics: Sequence[MetricSpec], data_dir: Path | None, *, again: bool) -> list[Measured]:
    from intel_core.measuring import Subject, measure

    return list(measure(Subject(run, data_dir=data_dir), metrics, again=again))


def _ask_in_lines(run: Run, metrics: Sequence[MetricSpec], data_dir: Path | None, *, again: bool) -> list[Measured]:
    from intel_core.measuring import Subject, measure

    asked: list[MetricSpec] = []
    found = []
    for one in measure(Subject(run, data_dir=data_dir), metrics, again=again, asked=asked.append):
        found.append(one)
        took = f"{one.seconds:.1f} s" if asked else "known"
        asked.clear()
        note(f"{run.info['name']}  {one.name}  {one.status}  {took}")
    return found


def _ask_live(run: Run, metrics: Sequence[MetricSpec], data_dir: Path | None, *, again: bool) -> list[Measured]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from intel_core.measuring import Subject, measure

    columns = (TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as progress:
        whole = progress.add_task(str(run.info["name"]), total=len(metrics))
        step = progress.add_task("", total=1.0, visible=False)

        def tell(what: str, share: float) -> None:
            progress.update(step, description=what, completed=share, visible=True)

        def asked(spec: MetricSpec) -> None:
            progress.reset(step, description=str(spec), visible=True)

        found = []
        for one in measure(Subject(run, data_dir=data_dir, tell=tell), metrics, again=again, asked=asked):
            found.append(one)
            progress.advance(whole)
        return found
