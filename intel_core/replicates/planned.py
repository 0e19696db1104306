"""How does one seed of several become a run? A spec, then a trainer, then a run directory, then its end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, cast

import pluggy

from intel_core.compute.threads import threads_for
from intel_core.data.dataset import Dataset
from intel_core.evaluation.run import Run
from intel_core.fitting.keeping import finish, keep
from intel_core.fitting.restarts import choose_start
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.fitting.signals import interrupt_on_signals, stop_on_signals
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import RunSpec
from intel_core.replicates.replicate import Replicate
from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.runs import checkpoint
from intel_core.runs.folder import RunFolder

__all__ = ["Planned", "train_in_turn", "train_stack"]

_AT_LEAST = 2
"""Checkpoints kept of each seed while they train: a group killed between two saves needs the older ones."""


class Planned:
    """One replicate from its spec to the end of its run.

    Args:
        asked: the spec of the group.
        seed: of this one.
        dataset: the data, of which all share one copy.
        folder: its run directory, which may not be there yet.

    Attributes:
        trainer: at its first step once built.
        run: once it has a run directory.
    """

    trainer: Replicate
    spec: RunSpec
    run: Run

    def __init__(self, asked: RunSpec, seed: int, dataset: Dataset) -> None:
        name = f"{asked.name[:75]}-seed{seed}" if asked.name else None
        self.asked = asked.model_copy(update={"seed": seed, "name": name})
        self.seed, self.dataset = seed, dataset
        self.trials: list[dict[str, Any]] = []

    @classmethod
    def of_run(cls, run: Run, seed: int, dataset: Dataset) -> Planned:
        """One that was begun before."""
        planned = cls(run.spec, seed, dataset)
        planned.run, planned.spec, planned.folder = run, run.spec, RunFolder(run.path)
        return planned

    def build(self, hooks: list[object], watching: pluggy.PluginManager) -> None:
        """Choose a start if several are tried, and build the model and its trainer."""
        if not hasattr(self, "spec"):
            spec = resolve(self.asked, self.dataset)
            if spec.restarts > 1:
                with interrupt_on_signals():
                    spec, self.trials = choose_start(
                        spec, self.dataset, lambda record: watching.hook.tried(record=record)
                    )
            self.spec = spec
        self.trainer = cast(Replicate, make_trainer(self.spec, self.dataset, hooks_of_run(hooks), kind=Replicate))

    def description(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        threads = {"threads": threads_for(self.trainer.model)} if self.trainer.device.type == "cpu" else {}
        model = self.trainer.model
        return RunFolder.description(self.asked, self.spec, self.dataset, model, self.trials) | threads

    def begin(self, folder: RunFolder, description: dict[str, Any], locks: contextlib.ExitStack) -> None:
        """Make the run directory, and lock it for as long as `locks` is open."""
        self.folder = RunFolder.create(folder.path, "")
        locks.enter_context(self.folder.locked())
        self.folder.describe(description)
        self.run = Run(self.folder)
        self.keep()

    def keep(self) -> None:
        """Let the trainer write its lines and checkpoints."""
        keep(self.trainer, self.folder, self.run.info, max(_AT_LEAST, self.spec.keep_checkpoints))

    def end(self) -> None:
        """Write the final weights and numbers, or that it diverged."""
        self.run = finish(self.trainer, self.folder, self.trainer.failure)

    def tidy(self) -> None:
        """Keep no more checkpoints than were asked for."""
        checkpoint.prune(self.folder.checkpoints, self.spec.keep_checkpoints)


def train_stack(group: StackedRuns, planned: Sequence[Planned]) -> None:
    """Train the stack of some replicates; each is ended as soon as it takes no further step."""
    by_trainer = {id(plan.trainer): plan for plan in planned}
    group.on_end = lambda trainer: by_trainer[id(trainer)].end()
    with stop_on_signals(group):
        group.train()


def train_in_turn(planned: Sequence[Planned], watchers: Sequence[object]) -> bool:
    """Train one after another; if one is interrupted the others do not begin, and this is False."""
    for plan in planned:
        trainer = plan.trainer
        for index, watcher in enumerate(watchers):
            trainer.hooks.register(watcher, name=f"watcher-{index}")
        with stop_on_signals(trainer):
            trainer.guarded(trainer.train)
        plan.end()
        if plan.run.status == "interrupted":
            return False
    return True
