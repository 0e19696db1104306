"""What is shown while metrics are measured? A live line on a terminal, elsewhere one line for each metric."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intel_cli.output.telling import DEBUG, note
from intel_cli.output.terminal import is_terminal

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.measuring import Measured
    from intel_core.evaluation.metric import MetricSpec
    from intel_core.evaluation.run import Run
    from intel_core.evaluation.sampler import SamplerSpec

__all__ = ["ask"]


class _Silent:
    """Shows nothing; subclasses show something at the same four calls."""

    @contextlib.contextmanager
    def of(self, run: Run, metrics: int) -> Iterator[None]:
        """Surrounds the measurements of one run."""
        yield

    def asked(self, spec: MetricSpec) -> None:
        """The measurement of a metric begins; not called for a stored result."""

    def tell(self, what: str, share: float) -> None:
        """How far the measurement has come."""

    def answered(self, one: Measured) -> None:
        """The measurement has ended, or its result was stored."""


class _Lines(_Silent):
    _name = ""
    _new = False

    @contextlib.contextmanager
    def of(self, run: Run, metrics: int) -> Iterator[None]:
        self._name = run.info["name"]
        yield

    def asked(self, spec: MetricSpec) -> None:
        self._new = True

    def answered(self, one: Measured) -> None:
        note(f"{self._name}  {one.name}  {one.status}  {f'{one.seconds:.1f} s' if self._new else 'known'}")
        self._new = False


class _Live(_Silent):
    @contextlib.contextmanager
    def of(self, run: Run, metrics: int) -> Iterator[None]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from intel_cli.output.safe_console import SafeConsole

        columns = (TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn())
        with Progress(*columns, console=SafeConsole(stderr=True), transient=True) as self._progress:
            self._whole = self._progress.add_task(str(run.info["name"]), total=metrics)
            self._step = self._progress.add_task("", total=1.0, visible=False)
            yield

    def asked(self, spec: MetricSpec) -> None:
        self._progress.reset(self._step, description=str(spec), visible=True)

    def tell(self, what: str, share: float) -> None:
        self._progress.update(self._step, description=what, completed=share, visible=True)

    def answered(self, one: Measured) -> None:
        self._progress.advance(self._whole)


def ask(
    runs: Iterable[Run],
    metrics: Sequence[MetricSpec],
    data_dir: Path | None,
    *,
    again: bool = False,
    quiet: bool = False,
    sampler: SamplerSpec | None = None,
) -> Iterator[tuple[Run, list[Measured]]]:
    """The results of some metrics on each run, shown as they come; consecutive runs on the same data load it once.

    With a sampler, generated examples are drawn from what it makes of each run's encodings.
    """
    from intel_core.components.spec import format_spec
    from intel_core.evaluation.measuring import measure
    from intel_core.evaluation.pooling import PRIOR
    from intel_core.evaluation.subject import Subject

    shown = _Silent() if quiet else _Live() if is_terminal(sys.stderr) else _Lines()
    name, dataset = "", None  # the data that the previous run has loaded
    for run in runs:
        described = format_spec(run.spec.data, explicit=True)
        known: Dataset | None = dataset if described == name else None
        subject = Subject(run, dataset=known, data_dir=data_dir, tell=shown.tell)
        subject.draw_from(sampler or PRIOR, told=None if quiet else note)
        answers = []
        traced: list[str] = []  # shown below the live line
        with shown.of(run, len(metrics)):
            for one in measure(subject, metrics, again=again, asked=shown.asked, failed=_tracing(traced)):
                answers.append(one)
                shown.answered(one)
        for text in traced:
            note(text)
        name, dataset = described, subject.loaded
        yield run, answers


def _tracing(traced: list[str]) -> Callable[[BaseException], None] | None:
    """What keeps the tracebacks of metrics that fail, if the command was told to show them (``intel --debug``)."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(DEBUG):
        return None
    return lambda error: traced.append("".join(traceback.format_exception(error)).rstrip())
