"""How much do results depend on the seed? The same run for several seeds, with means and deviations of its numbers.

Replicate r is the run of seed ``spec.seed + r`` in all respects: up to rounding if all are trained as one stack
(`intel_core.replicates.stacked_runs`), bit for bit if they are trained one after another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pluggy

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, RunError, SpecError
from intel_core.evaluation.run import Run
from intel_core.evaluation.statistics import mean_and_std
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.estimate import fit_at_once
from intel_core.fitting.hook_plugins import make_hooks
from intel_core.fitting.keeping import finish, keep
from intel_core.fitting.restarts import choose_start
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.fitting.signals import interrupt_on_signals, stop_on_signals
from intel_core.processes.starting import process_count
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import RunSpec
from intel_core.replicates.stacked_runs import Replicate, StackedRuns
from intel_core.runs.folder import GROUP_FILE, RunFolder

__all__ = ["Replicates", "check_replicates", "fit_replicates", "group_name", "summarise_again"]

FORMAT = 1
_LARGEST = 1000


@dataclass(frozen=True)
class Replicates:
    """The runs of several seeds, and what they have in common.

    Attributes:
        path: the folder of their run directories, named ``seed-<s>``.
        runs: the runs by seed, including those that diverged or have not begun.
        summary: the content of ``replicates.json``: ``seeds``, ``stacked`` and, if they were not, ``why_not``;
            ``status``; ``runs`` with folder, status and test ELBO of each; and for the finished runs ``validation``,
            ``test`` and ``mapping``, a ``mean`` and a ``std`` (n - 1 in the denominator) of every number, in nats per
            example.
    """

    path: Path
    runs: list[Run]
    summary: dict[str, Any]


@out_of_memory_told()
@freed_memory_kept()
@torch_as_usual()
def fit_replicates(
    replicates: int,
    spec: RunSpec | None = None,
    *,
    data: Any = None,
    labels: Any = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
    watchers: Iterable[object] = (),
    stack: bool = True,
    **settings: Any,
) -> Replicates:
    """Train the same run with several seeds: ``seed``, ``seed + 1``, …, at once if the models can be stacked.

    Each seed leaves the same run directory as `intel_core.fit` with that seed. It can be read like any other run, and
    resumed if it was interrupted. A seed that diverges does not end the others. With early stopping each seed stops
    where it would stop alone. `RunSpec.restarts` chooses a start for each seed, one seed after another.

    The seeds are trained one after another if the mapping or a network does not work with `torch.func.vmap`, if a hook
    watches every step, or if the models would not fit into memory together.

    Args:
        replicates: how many seeds, at most 1000.
        spec: as in `intel_core.fit`, as are `data`, `labels`, `data_dir` and `settings`.
        data: see `spec`.
        labels: see `spec`.
        run_dir: a new directory for all runs; by default ``runs/<name>``.
        data_dir: see `spec`.
        hooks: objects whose hooks are called for every replicate. In a stack they may read its parts, but not exchange
            them.
        watchers: objects whose hooks are called once for all replicates: with the means over a stack (and
            ``elbo_std``), otherwise with one run after another.
        stack: False trains one seed after another.
        **settings: fields of `RunSpec`.

    Raises:
        DivergenceError: if every seed diverged.
        IntelError: for anything else that the caller can correct.

    >>> import tempfile, torch
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> group = fit_replicates(3, mapping="identity", data=x, steps=20, run_dir=tempfile.mkdtemp())
    >>> [run.path.name for run in group.runs], sorted(group.summary["test"]["elbo"])
    (['seed-0', 'seed-1', 'seed-2'], ['mean', 'std'])
    """
    asked, given = read_arguments(spec, data, labels, settings)
    if process_count(asked.devices, asked.nodes) != (1, 1):
        raise SpecError(
            "replicates are trained in one process; leave out devices and nodes, or train one seed at a time"
        )
    seeds = check_replicates(asked, replicates)
    resolved, dataset = prepare(asked, data_dir, given)
    trained = [_Planned(asked, seed, dataset) for seed in seeds]
    watching = make_hooks(watchers, installed=False)
    for plan in trained:
        plan.build(list(hooks), watching)
        # One copy of the data on an accelerator.
        plan.trainer.batches = trained[0].trainer.batches.for_rows(plan.trainer.rows)
    descriptions = [plan.description() for plan in trained]
    group: StackedRuns | str = "one after another was asked for"
    if stack and replicates > 1:
        if resolved.compile:
            group = "networks are compiled for one model"
        elif not fit_at_once(resolved, dataset, replicates):
            group = "all at once would not fit into memory"
        else:
            group = _stacked(trained, watching)
    # Nothing is written before this point, where no mistake of the user is left to be found.
    name, why_not = group_name(asked, replicates), "" if isinstance(group, StackedRuns) else group
    folder = RunFolder.create(Path(run_dir) if run_dir is not None else None, name)
    with contextlib.ExitStack() as locks:
        for plan, description in zip(trained, descriptions, strict=True):
            plan.begin(folder.path, description, locks)
        # A process that is killed after this point leaves a group whose runs can all be continued.
        folder.write(GROUP_FILE, _summary(name, {plan.seed: plan.run for plan in trained}, why_not))
        if isinstance(group, StackedRuns):
            group.folder = folder.path
            with stop_on_signals(group):
                group.train()
            for plan in trained:
                plan.end()
        else:
            _train_in_turn(trained, list(watchers))
    summary = _summary(name, {plan.seed: plan.run for plan in trained}, why_not)
    folder.write(GROUP_FILE, summary)
    failures = [plan.trainer.failure for plan in trained]
    if all(failure is not None for failure in failures):
        raise DivergenceError(f"all {replicates} replicates diverged, the first thus: {failures[0]}")
    return Replicates(folder.path, [plan.run for plan in trained], summary)


def check_replicates(spec: RunSpec, replicates: int) -> list[int]:
    """The seeds of some replicates of a run: ``seed``, ``seed + 1``, ….

    Raises:
        SpecError: if there are too many or too few.
    """
    if not 1 <= replicates <= _LARGEST:
        raise SpecError(f"{replicates} replicates were asked for, expected 1 to {_LARGEST:,}")
    if spec.seed + replicates > 2**63:
        raise SpecError(f"seeds end at {2**63 - 1}, which leaves no room for {replicates} of them from {spec.seed} on")
    return list(range(spec.seed, spec.seed + replicates))


def group_name(spec: RunSpec, replicates: int) -> str:
    """The name of a group's folder in ``runs``: the run's name, or its label with all seeds.

    >>> from intel_core.recipe.runspec import make_run_spec
    >>> group_name(make_run_spec(mapping="identity", data="memory:examples=4,shape=[2]", seed=3), 10)
    'memory-identity-seeds3-12'
    """
    return spec.name or f"{spec.label.rpartition('seed')[0]}seeds{spec.seed}-{spec.seed + replicates - 1}"


class _Planned:
    """One replicate from its spec to its run directory."""

    trainer: Replicate
    spec: RunSpec
    folder: RunFolder
    run: Run

    def __init__(self, asked: RunSpec, seed: int, dataset: Dataset) -> None:
        name = f"{asked.name[:75]}-seed{seed}" if asked.name else None
        self.asked = asked.model_copy(update={"seed": seed, "name": name})
        self.seed, self.dataset = seed, dataset
        self.trials: list[dict[str, Any]] = []

    def build(self, hooks: list[object], watching: pluggy.PluginManager) -> None:
        """Choose a start if several are tried, and build the model and its trainer."""
        spec = resolve(self.asked, self.dataset)
        if spec.restarts > 1:
            with interrupt_on_signals():
                spec, self.trials = choose_start(spec, self.dataset, lambda record: watching.hook.tried(record=record))
        self.spec = spec
        self.trainer = cast(Replicate, make_trainer(spec, self.dataset, hooks_of_run(hooks), kind=Replicate))

    def description(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        return RunFolder.description(self.asked, self.spec, self.dataset, self.trainer.model, self.trials)

    def begin(self, group: Path, description: dict[str, Any], locks: contextlib.ExitStack) -> None:
        """Make the run directory, and lock it for as long as `locks` is open."""
        self.folder = RunFolder.create(group / f"seed-{self.seed}", "")
        locks.enter_context(self.folder.locked())
        self.folder.describe(description)
        keep(self.trainer, self.folder, description, self.spec.keep_checkpoints)
        self.run = Run(self.folder)

    def end(self) -> None:
        """Write the final weights and numbers, or that it diverged."""
        self.run = finish(self.trainer, self.folder, self.trainer.failure)


def _stacked(trained: list[_Planned], watching: pluggy.PluginManager) -> StackedRuns | str:
    """All replicates as one stack, before the first step; or why they cannot be stacked, in which case none changes."""
    group = StackedRuns([plan.trainer for plan in trained], watching)
    why_not = group.why_not()
    if not why_not:
        return group
    group.disband()
    return why_not


def _train_in_turn(trained: list[_Planned], watchers: list[object]) -> None:
    """Train one after another; if one is interrupted, the others do not begin."""
    for plan in trained:
        trainer = plan.trainer
        for index, watcher in enumerate(watchers):
            trainer.hooks.register(watcher, name=f"watcher-{index}")
        with stop_on_signals(trainer):
            trainer.guarded(trainer.train)
        plan.end()
        if plan.run.status == "interrupted":
            return


def _entry(seed: int, run: Run | None) -> dict[str, Any]:
    """The entry of one seed in the summary."""
    metrics = run.metrics if run is not None else {}
    return {
        "seed": seed,
        "folder": f"seed-{seed}",
        "status": run.status if run is not None else "missing",
        "step": metrics.get("step", 0),
        "test_elbo": metrics.get("test", {}).get("elbo"),
        **({"problem": metrics["problem"]} if "problem" in metrics else {}),
    }


def _summary(name: str, runs: dict[int, Run | None], why_not: str) -> dict[str, Any]:
    """The summary of the runs of some seeds, of which some may be missing."""
    entries = [_entry(seed, run) for seed, run in runs.items()]
    done = [run.metrics for run in runs.values() if run is not None and run.status == "finished"]
    ended = all(entry["status"] in ("finished", "diverged") for entry in entries)
    return {
        "format": FORMAT,
        "name": name,
        "seeds": list(runs),
        "status": "finished" if ended else "interrupted",
        "stacked": not why_not,
        **({"why_not": why_not} if why_not else {}),
        "runs": entries,
        **{part: mean_and_std(metrics[part] for metrics in done) for part in ("validation", "test", "mapping")},
        "seconds": mean_and_std({"seconds": metrics["seconds"]} for metrics in done).get("seconds"),
    }


def summarise_again(path: str | Path) -> Replicates:
    """Update and write the summary of a group, some of whose runs have been continued one by one.

    Raises:
        RunError: if the folder holds no group, or its summary is damaged.
    """
    folder = RunFolder(Path(path))
    before = folder.read(GROUP_FILE)
    try:
        folders = {int(entry["seed"]): folder.path / str(entry["folder"]) for entry in before["runs"]}
        name = str(before["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.path / GROUP_FILE} is damaged: {error!r}") from error
    runs = {seed: Run(RunFolder(one)) if (one / "run.json").is_file() else None for seed, one in folders.items()}
    summary = _summary(name, runs, str(before.get("why_not", "")))
    folder.write(GROUP_FILE, summary)
    return Replicates(folder.path, [run for run in runs.values() if run is not None], summary)
