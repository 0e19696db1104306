"""What is shown while a model trains? A live line on a terminal, plain lines elsewhere; both are hook objects."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from intel_cli.output.describe import header
from intel_cli.output.starts import found_by, phase, started
from intel_cli.output.telling import INTERRUPTED, note, quoted
from intel_cli.output.terminal import is_terminal
from intel_core.errors import IntelError
from intel_core.runs import contents
from intel_core.training.hooks import hookimpl

if TYPE_CHECKING:
    import click
    from rich.console import Console
    from typing_extensions import Self

    from intel_core.data.dataset import Dataset
    from intel_core.training.trainer import Trainer

__all__ = ["Lines", "Live", "Progress", "first_alone", "hard_interruption", "make_progress"]


def make_progress(*, quiet: bool = False) -> Progress:
    """The progress display for stderr: none if quiet, a live one on a terminal, and otherwise lines."""
    if quiet:
        return Progress()
    return Live() if is_terminal(sys.stderr) else Lines()


class Progress:
    """Shows nothing, and remembers the run and its newest numbers.

    Attributes:
        folder: the run directory, once training has begun.
        dataset: the data it is trained on, once training has begun.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.dataset: Dataset | None = None
        self.terms: dict[str, Any] = {}
        self.validation: dict[str, Any] = {}
        self._started = (0, 0.0)
        self._start_told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        pass

    @hookimpl
    def tried(self, record: dict[str, Any]) -> None:
        """Show how a trial ended."""
        self.show_trial(record)

    @hookimpl
    def run_start(self, trainer: Trainer) -> None:
        """Remember the run."""
        self.folder, self.dataset = trainer.folder, trainer.dataset
        self._started = (trainer.step, time.perf_counter())
        start = started(trainer)
        self._start_told = start is None or start.clusters is not None
        self.begin(trainer)

    @hookimpl
    def logged(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Remember the newest training terms."""
        self.terms = record
        self._tell_start(trainer)
        self.show_terms(trainer)

    @hookimpl
    def evaluated(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Remember the newest validation terms."""
        self.validation = record
        self._tell_start(trainer)
        self.show_evaluation(trainer)

    def _tell_start(self, trainer: Trainer) -> None:
        """Say once what the start has found."""
        start = started(trainer)
        if self._start_told or start is None or start.clusters is None:
            return
        self._start_told = True
        with contextlib.suppress(IntelError, OSError):  # the end of the run says that the file cannot be read
            found = contents.read(trainer.folder, contents.START_FILE) if trainer.folder is not None else None
            if found is not None:
                self.show_start("Start: " + found_by(found, str(start.start), len(trainer.dataset.train)))

    def show_trial(self, record: dict[str, Any]) -> None:
        """After a trial of a run with restarts."""

    def show_start(self, said: str) -> None:
        """Once the start has found its clusters."""

    def begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def show_terms(self, trainer: Trainer) -> None:
        """After a logged line."""

    def show_evaluation(self, trainer: Trainer) -> None:
        """After an evaluation."""

    def time_left(self, trainer: Trainer) -> str:
        """How long the remaining steps take at the pace so far."""
        first, since = self._started
        done = trainer.step - first
        seconds = (time.perf_counter() - since) / done * (trainer.steps - trainer.step) if done else 0.0
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left"

    def training_terms(self) -> str:
        """The newest training terms in one line."""
        if not self.terms:
            return ""
        t = self.terms
        return (
            f"ELBO {t['elbo']:.2f}  log-likelihood {t['log_likelihood']:.2f}  "
            f"KL {t['kl']:.2f} × {t['weights'].get('kl', 1.0):.2f}"
        )

    def validation_elbo(self) -> str:
        """The newest validation ELBO; of replicates their mean and standard deviation."""
        spread = self.validation.get("elbo_std")
        return f"validation ELBO {self.validation['elbo']:.2f}{'' if spread is None else f' ± {spread:.2f}'}"


def trial_line(record: dict[str, Any]) -> str:
    """How a trial ended, in words."""
    some, every = record.get("examples", 0), record.get("of_examples", 0)
    where = f" on {some:,} of {every:,} examples, for which a tenth of its time is enough" if some < every else ""
    start = f"start {record['start'] + 1}/{record['of']}  {record['step']:,} steps"
    return f"{start}  validation loss {record['loss']:.2f}{where}"


class Lines(Progress):
    """One line per evaluation, for files and pipes."""

    def show_trial(self, record: dict[str, Any]) -> None:
        """Print one line."""
        note(trial_line(record))

    def show_start(self, said: str) -> None:
        """Print one line."""
        note(said)

    def begin(self, trainer: Trainer) -> None:
        """Show what will be trained."""
        note(header(trainer))

    def show_evaluation(self, trainer: Trainer) -> None:
        """Print the step, the training terms and the validation ELBO."""
        width = len(f"{trainer.steps:,}")
        note(
            f"step {trainer.step:>{width},}/{trainer.steps:,}  epoch {trainer.epoch:.1f}{phase(trainer)}  "
            f"{self.training_terms()}  {self.validation_elbo()}  {self.time_left(trainer)}"
        )


class Live(Progress):
    """A bar and the newest terms, rewritten in place."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        from rich.live import Live as Display

        from intel_cli.output.safe_console import SafeConsole

        self._console = console or SafeConsole(stderr=True)
        self._display = Display(console=self._console, refresh_per_second=8, transient=True)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Leave the terminal as it was, whatever happened."""
        self._display.stop()

    def show_trial(self, record: dict[str, Any]) -> None:
        """Print one line that stays on the screen."""
        self._console.print(trial_line(record), markup=False)

    def show_start(self, said: str) -> None:
        """Print one line that stays on the screen."""
        self._console.print(said, markup=False)

    def begin(self, trainer: Trainer) -> None:
        """Show what will be trained, then the bar."""
        self._console.print(header(trainer), markup=False)
        self._display.start()
        self._refresh(trainer)

    def show_terms(self, trainer: Trainer) -> None:
        """Move the bar."""
        self._refresh(trainer)

    def show_evaluation(self, trainer: Trainer) -> None:
        """Show the new validation ELBO."""
        self._refresh(trainer)

    def _refresh(self, trainer: Trainer) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2))
        counts = f"{trainer.step:,}/{trainer.steps:,} steps"
        bar = ProgressBar(total=trainer.steps, completed=trainer.step, width=24)
        line.add_row(bar, counts, f"epoch {trainer.epoch:.1f}{phase(trainer)}", self.time_left(trainer))
        validation = f"  {self.validation_elbo()}" if self.validation else ""
        self._display.update(Group(line, Text(self.training_terms() + validation, no_wrap=True, overflow="ellipsis")))


@contextlib.contextmanager
def first_alone(ctx: click.Context) -> Iterator[None]:
    """Of several processes that train together, only the first one continues after this block or reports an error."""
    from click.exceptions import Exit

    from intel_core.processes.starting import is_first, tells

    try:
        yield
    except (IntelError, Exit) as error:
        if tells(error):
            raise
        ctx.exit(0)
    if not is_first():
        ctx.exit(0)  # an error that only this process had is part of the first one's message


@contextlib.contextmanager
def hard_interruption(ctx: click.Context, progress: Progress) -> Iterator[None]:
    """A second Ctrl-C or SIGTERM, or one before the first step, ends the process at once."""
    from intel_core.fitting.signals import interrupt_on_signals

    try:
        with interrupt_on_signals():
            yield
    except KeyboardInterrupt:
        from intel_core.processes.starting import is_first

        if not is_first():
            ctx.exit(INTERRUPTED)
        if progress.folder is None:
            note("Interrupted before training began; nothing was written.")
        else:
            note("Interrupted at once; nothing after the newest checkpoint was saved.")
            note(f"Continue with: intel train --resume {quoted(progress.folder)}")
        ctx.exit(INTERRUPTED)
