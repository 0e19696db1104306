"""How do several seeds go on that were interrupted or killed? Together, from the newest step that all have kept.

A step of a stack rounds otherwise than one of a model alone, and than one of a stack of others. So a stack goes on bit
for bit from a step at which the same seeds took steps together and each was saved. Every checkpoint says who they were.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads, threads_to_go_on
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, RunError
from intel_core.evaluation.run import Run
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.estimate import fit_at_once
from intel_core.fitting.hook_plugins import hook_objects, make_hooks
from intel_core.fitting.progress import Progress, progress_hooks
from intel_core.fitting.resume import data_of
from intel_core.fitting.resuming import go_on, identity, load_checkpoint
from intel_core.fitting.tracking import Track, Tracking, tracked
from intel_core.recipe.runspec import FORMER, RunSpec, stored_run_spec
from intel_core.replicates.fitting import stacked
from intel_core.replicates.members import gone, require_own, tell_of_gone
from intel_core.replicates.planned import Planned, train_in_turn, train_stack
from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.replicates.summary import Group, Replicates
from intel_core.runs import checkpoint, opening
from intel_core.runs.folder import GROUP_FILE, RunFolder

__all__ = ["resume_replicates"]

_ENDED = ("finished", "diverged")


@out_of_memory_told()
@freed_memory_kept()
@torch_as_usual()
def resume_replicates(
    path: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
    watchers: Iterable[object] = (),
    track: Track | Tracking = (),
    progress: Progress = "auto",
) -> Replicates:
    """Continue all seeds of an interrupted group, as if it had never stopped: as the stack that it began as.

    The stack goes on from the newest step of which every seed has a whole checkpoint; before the first one it begins
    again. Seeds that have ended stay as they are. One that somebody continued alone goes on alone, and one whose run
    directory is gone is trained again alone; a warning says so, and what then differs by rounding.

    Args:
        path: the folder of the group, with ``replicates.json``.
        data: the same arrays again, for a group that was trained on arrays.
        labels: as in `intel_core.fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: as in `fit_replicates`.
        watchers: as in `fit_replicates`.
        track: as in `fit_replicates`.
        progress: as in `fit_replicates`.

    Raises:
        RunError: if the group is finished, in use by another process, has no step from which it can go on, its data
            has changed, or the folder of a seed holds another run.
        DivergenceError: if every seed has diverged.

    >>> import tempfile, torch
    >>> from intel_core import StopReason, fit_replicates, hookimpl
    >>> class StopEarly:
    ...     @hookimpl
    ...     def logged(self, trainer):
    ...         trainer.stop(StopReason("signal SIGTERM", "signal"))  # as Ctrl-C does
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> group = fit_replicates(
    ...     3, mapping="identity", data=x, steps=20, log_every=10, run_dir=tempfile.mkdtemp(), watchers=[StopEarly()]
    ... )
    >>> group.summary["status"], [run.metrics["step"] for run in group.runs]
    ('interrupted', [10, 10, 10])
    >>> group = resume_replicates(group.path, data=x)
    >>> group.summary["status"], [run.metrics["step"] for run in group.runs]
    ('finished', [20, 20, 20])
    """
    called = hook_objects(hooks)
    with tracked(track) as (tracking, ended):
        called += tracking.hooks
        watching = [*watchers, *progress_hooks(progress)]
        group = _resume_replicates(Group.read(RunFolder(Path(path))), data, labels, data_dir, called, watching)
        for run in group.runs:
            ended(run)
    return group


def _resume_replicates(
    group: Group,
    data: Any,
    labels: Any,
    data_dir: str | Path | None,
    hooks: list[object],
    watchers: list[object],
) -> Replicates:
    """As `resume_replicates`, with all hooks."""
    with contextlib.ExitStack() as locks:
        for seed in group.seeds:
            if (group.one(seed).path / "run.json").is_file():
                locks.enter_context(group.one(seed).locked())
        runs = group.runs()
        require_own(group, runs)
        if all(run is not None and run.status in _ENDED for run in runs.values()):
            if group.folder.read(GROUP_FILE).get("status") == "finished":
                raise RunError(f"{group.folder.path} is finished, all {len(runs)} seeds; there is nothing to resume")
            return group.summarise()  # it was killed after its last seed ended, and before it said so
        asked, dataset = _begun_with(group, runs, data, labels, Path(data_dir) if data_dir else None)
        lost = gone(group, runs)
        tell_of_gone(group, lost)
        going_on = _GoingOn(group, runs, asked, dataset, hooks, watchers, locks)
        going_on.lost = lost if len(lost) < len(runs) else []
        first = next((run for run in runs.values() if run is not None), None)
        model = going_on.plan(group.seeds[0]).trainer.model
        began = None if first is None else first.info.get("threads")
        with on_threads(threads_to_go_on(str(group.folder.path), model, began)):
            if group.why_not:
                going_on.in_turn(going_on.unfinished(group.seeds))
            else:
                going_on.together()
        for seed in group.seeds:
            checkpoint.prune(group.one(seed).checkpoints, asked.keep_checkpoints)
    found = group.summarise()
    problems = [entry.get("problem", "") for entry in found.summary["runs"] if entry["status"] == "diverged"]
    if len(problems) == len(group.seeds):
        raise DivergenceError(f"all {len(problems)} replicates diverged, the first thus: {problems[0]}")
    return found


def _begun_with(
    group: Group, runs: dict[int, Run | None], data: Any, labels: Any, data_dir: Path | None
) -> tuple[RunSpec, Dataset]:
    """The spec and the data of a group.

    Raises:
        RunError: if its data has changed, or its runs are of several data sets.
    """
    there = [run for run in runs.values() if run is not None]
    names = FORMER if not there else there[0].info["spec"]
    asked = None if group.asked is None else stored_run_spec(group.asked, names)
    if there:
        dataset = data_of(there[0], data, labels, data_dir)
        for run in there:
            if run.info["data"] != there[0].info["data"]:
                raise RunError(f"{run.path} was begun with other data than {there[0].path}")
        return asked or there[0].spec, dataset
    if asked is None:
        raise RunError(f"{group.folder.path} holds none of its runs; begin it again")
    spec, given = read_arguments(asked, data, labels, {})
    if spec.data != asked.data:
        raise RunError(f"{group.folder.path} was begun with other data")
    return asked, prepare(asked, data_dir, given)[1]


class _GoingOn:
    """What is done for the seeds of a group that goes on; see `resume_replicates`."""

    def __init__(
        self,
        group: Group,
        runs: dict[int, Run | None],
        asked: RunSpec,
        dataset: Dataset,
        hooks: list[object],
        watchers: list[object],
        locks: contextlib.ExitStack,
    ) -> None:
        self.group, self.runs, self.asked, self.dataset = group, runs, asked, dataset
        self.hooks, self.watchers, self.locks = hooks, watchers, locks
        self.watching = make_hooks(watchers, installed=False)
        self.lost: list[int] = []  # runs that are gone, of a group of which others are there
        self._together: list[int] = []  # in the stack at the step from which it goes on
        self._plans: dict[int, Planned] = {}
        self._damaged: set[Path] = set()

    def plan(self, seed: int, *, anew: bool = False) -> Planned:
        """One seed with a trainer, which is at its first step unless something has been loaded into it."""
        if anew or seed not in self._plans:
            run = self.runs[seed]
            plan = Planned(self.asked, seed, self.dataset) if run is None else Planned.of_run(run, seed, self.dataset)
            plan.build(self.hooks, self.watching)
            self._plans[seed] = plan
            first = next(iter(self._plans.values())).trainer  # one copy of the data on an accelerator
            plan.trainer.batches = first.batches.for_rows(plan.trainer.rows)
        return self._plans[seed]

    def unfinished(self, seeds: Iterable[int]) -> list[int]:
        """Those that have not ended."""
        return [seed for seed in seeds if (run := self.runs[seed]) is None or run.status not in _ENDED]

    def take_up(self, seed: int) -> None:
        """Let the trainer of a seed write into its run directory, which is made if it was not there."""
        plan = self.plan(seed)
        if self.runs[seed] is None:
            plan.begin(self.group.one(seed), plan.description(), self.locks)
        else:
            plan.keep()

    # --- one after another -------------------------------------------------------------------------------------

    def in_turn(self, seeds: Sequence[int]) -> None:
        """Let seeds go on one after another, each from its own newest checkpoint."""
        for seed in seeds:
            plan, run = self.plan(seed, anew=True), self.runs[seed]
            if run is not None and (run.records() or checkpoint.listed(plan.folder.checkpoints)):
                go_on(plan.trainer, plan.folder, run.info, max(2, plan.spec.keep_checkpoints))
            self.take_up(seed)
        train_in_turn([self.plan(seed) for seed in seeds], self.watchers)

    # --- as a stack --------------------------------------------------------------------------------------------

    def together(self) -> None:
        """Let the stack go on, and then those that somebody continued alone."""
        saved = {seed: _Saved.read(self.group.one(seed)) for seed in self.group.seeds}
        alone = [seed for seed in self.group.seeds if saved[seed].is_alone or seed in self.lost]
        if len(alone) == len(self.group.seeds):
            self._tell_of_rounding("each was saved alone")
            self.in_turn(self.unfinished(alone))
            return
        if not self.unfinished(seed for seed in self.group.seeds if seed not in alone):
            self.in_turn(self.unfinished(alone))
            return
        step, way, members, left = self._common(saved, alone)
        for seed in left:  # before the rest, as they did
            self.take_up(seed)
            self.plan(seed).end()
        for seed in members:
            self._turn_back(seed, step)
            self.take_up(seed)
        plans = [self.plan(seed) for seed in members]
        going = [plan for plan in plans if plan.trainer.going and plan.trainer.step < plan.trainer.steps]
        for plan in plans:
            if plan not in going:
                plan.end()
        if going:
            self._train(going, way, alone)
        if not any(plan.run.status == "interrupted" for plan in plans):
            self.in_turn(self.unfinished(alone))

    def _train(self, going: list[Planned], way: int | None, alone: list[int]) -> None:
        path = self.group.folder.path
        stack = self._stack(going, way)
        if isinstance(stack, str):
            self._tell_of_rounding(stack)
            train_in_turn(going, self.watchers)
            return
        for apart, what in (
            ([seed for seed in alone if seed not in self.lost], "went on alone"),
            ([seed for seed in self.lost if seed in self._together], "took steps with the others and cannot any more"),
        ):
            if apart:
                warnings.warn(
                    f"{', '.join(f'seed-{seed}' for seed in apart)} of {path} {what}, so the other seeds will "
                    "differ by rounding from those of an uninterrupted group",
                    stacklevel=4,
                )
        stack.folder = path
        train_stack(stack, going)

    def _tell_of_rounding(self, why: str) -> None:
        warnings.warn(
            f"{self.group.folder.path} began as one stack and goes on one seed after another ({why}), so its results "
            "will differ by rounding from those of an uninterrupted group",
            stacklevel=5,
        )

    def _stack(self, going: list[Planned], way: int | None) -> StackedRuns | str:
        if way is None:
            return stacked(going, self.watching, going[0].spec, self.dataset)
        if any(plan.trainer.watched for plan in going):
            return "a hook watches every step"
        if not fit_at_once(going[0].spec, self.dataset, len(going)):
            return "all at once would not fit into memory"
        stack = StackedRuns([plan.trainer for plan in going], self.watching)
        stack.go_in_way(way)
        return stack

    def _common(self, saved: dict[int, _Saved], alone: list[int]) -> tuple[int, int | None, list[int], list[int]]:
        """Where the stack goes on: a step, the way of evaluation, its members, and those still to be ended.

        Raises:
            RunError: if there is no such step.
        """
        seeds, problems = [seed for seed in self.group.seeds if seed not in alone], list[str]()
        steps = {step for seed in seeds for step, stack in saved[seed].stacks.items() if stack is not None}
        for step in sorted(steps, reverse=True):
            told = [stack for seed in seeds if (stack := saved[seed].stacks.get(step)) is not None]
            members = [seed for seed in seeds if f"seed-{seed}" in told[0]["members"]]
            if any(stack != told[0] for stack in told) or any(not saved[seed].stacks.get(step) for seed in members):
                continue  # it was killed while they were being saved
            left = self.unfinished(seed for seed in seeds if seed not in members)
            try:
                for seed in members:
                    self._load(seed, step)
                for seed in left:
                    self._load(seed, saved[seed].newest)
                    if self.plan(seed).trainer.going:
                        raise RunError(f"{self.group.one(seed).path} was not saved when it left the stack")
            except checkpoint.NewerFormatError:
                raise
            except RunError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                warnings.warn(f"{problem}; going on from step {step:,}", stacklevel=5)
            self._together = [seed for seed in self.group.seeds if f"seed-{seed}" in told[0]["members"]]
            return step, int(told[0]["way"]), members, left
        self._require_unsaved(seeds, saved, problems)
        for seed in seeds:
            self.plan(seed, anew=True)
        return 0, None, seeds, []

    def _load(self, seed: int, step: int) -> None:
        plan, folder = self.plan(seed, anew=True), self.group.one(seed)
        path = next(path for path in checkpoint.listed(folder.checkpoints) if f"step-{step:010d}" in path.name)
        try:
            load_checkpoint(plan.trainer, path, identity(plan.run.info))
        except RunError:
            self._damaged.add(path)
            raise

    def _require_unsaved(self, seeds: list[int], saved: dict[int, _Saved], problems: list[str]) -> None:
        """Refuse to begin again where more would be lost than the steps before the first checkpoints."""
        path, due = self.group.folder.path, self.plan(seeds[0]).trainer.settings.save_every or 0
        runs = [run for seed in seeds if (run := self.runs[seed]) is not None]
        furthest = max((record["step"] for run in runs for record in run.records()), default=0)
        if problems or max(furthest, *(saved[seed].newest for seed in seeds)) > due:
            first = f"{path} has no step of which all seeds hold a checkpoint that can be used"
            advice = f"each seed can be continued alone: intel train --resume {path}/seed-…"
            raise RunError("; ".join([first, *problems, advice]))
        if furthest:
            warnings.warn(f"{path} was not saved yet; it begins again with its first step", stacklevel=5)

    def _turn_back(self, seed: int, step: int) -> None:
        """Bring the run directory of a seed to the state of a step."""
        folder, run = self.group.one(seed), self.runs[seed]
        if run is None:
            return
        whole = _Saved.read(folder).stacks
        for path in checkpoint.listed(folder.checkpoints):
            if path not in self._damaged and any(later > step and f"step-{later:010d}" in path.name for later in whole):
                shutil.rmtree(
                    path, ignore_errors=True
                )  # it was saved, and others were not: these steps are taken again
        checkpoint.put_aside_after(folder.checkpoints, step)
        folder.clear_leftovers()
        folder.forget_after(step)
        if run.status in _ENDED and self.plan(seed).trainer.going:
            (folder.path / "metrics.json").unlink(missing_ok=True)


@dataclass
class _Saved:
    """What the checkpoints of one seed say without their tensors, by step: the stack that took the step, if one did."""

    stacks: dict[int, dict[str, Any] | None] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: RunFolder) -> _Saved:
        found = cls()
        for path in checkpoint.listed(folder.checkpoints):
            with contextlib.suppress(RunError, OSError, ValueError, TypeError, KeyError):
                meta = opening.read_json(folder.path, f"checkpoints/{path.name}/state.json")
                stack = meta["state"].get("stack")
                found.stacks[int(meta["step"])] = stack if _is_stack(stack) else None
        return found

    @property
    def newest(self) -> int:
        return max(self.stacks, default=0)

    @property
    def is_alone(self) -> bool:
        """Whether its newest steps were taken outside of the stack."""
        return bool(self.stacks) and self.stacks[self.newest] is None


def _is_stack(stack: Any) -> bool:
    if not isinstance(stack, dict):
        return False
    members, way = stack.get("members"), stack.get("way")
    return isinstance(members, list) and all(isinstance(name, str) for name in members) and way in (0, 1)
