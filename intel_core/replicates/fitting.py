"""How much do results depend on the seed? The same run for several seeds, with means and deviations of its numbers.

Replicate r is the run of seed ``spec.seed + r`` in all respects: up to rounding if all are trained as one stack
(`intel_core.replicates.stacked_runs`), bit for bit if they are trained one after another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pluggy

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads, threads_for
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, SpecError
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.estimate import fit_at_once
from intel_core.fitting.hook_plugins import hook_objects, make_hooks
from intel_core.fitting.progress import Progress, progress_hooks
from intel_core.fitting.tracking import Track, Tracking, tracked
from intel_core.fitting.watching import watching_schedules
from intel_core.processes.starting import process_count
from intel_core.recipe.runspec import RunSpec
from intel_core.replicates.planned import Planned, train_in_turn, train_stack
from intel_core.replicates.seeds import check_replicates, group_name
from intel_core.replicates.stacked_runs import StackedRuns
from intel_core.replicates.summary import Group, Replicates
from intel_core.runs.folder import RunFolder

__all__ = ["fit_replicates", "stacked"]


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
    track: Track | Tracking = (),
    progress: Progress = "auto",
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
        track: as in `intel_core.fit`: each seed is a run of its own.
        progress: as in `intel_core.fit`; a stack of seeds has one line.
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
    called = hook_objects(hooks)
    with tracked(track) as (tracking, ended):
        called += tracking.hooks
        watching = [*watchers, *progress_hooks(progress)]
        group = _fit_replicates(replicates, asked, given, run_dir, data_dir, called, watching, stack=stack)
        for run in group.runs:
            ended(run)
    return group


def _fit_replicates(
    replicates: int,
    asked: RunSpec,
    given: Dataset | None,
    run_dir: str | Path | None,
    data_dir: str | Path | None,
    hooks: list[object],
    watchers: Iterable[object],
    *,
    stack: bool,
) -> Replicates:
    """As `fit_replicates`, once it is clear what is asked for."""
    if process_count(asked.devices, asked.nodes) != (1, 1):
        raise SpecError(
            "replicates are trained in one process; leave out devices and nodes, or train one seed at a time"
        )
    seeds = check_replicates(asked, replicates)
    resolved, dataset = prepare(asked, data_dir, given)
    trained = [Planned(asked, seed, dataset) for seed in seeds]
    watching = make_hooks(watchers, installed=False)
    for plan in trained:
        plan.build(hooks, watching)
        # One copy of the data on an accelerator.
        plan.trainer.batches = trained[0].trainer.batches.for_rows(plan.trainer.rows)
    descriptions = [plan.description() for plan in trained]
    threads = threads_for(trained[0].trainer.model)
    group: StackedRuns | str = "one after another was asked for"
    if stack and replicates > 1:
        with on_threads(threads):
            group = stacked(trained, watching, resolved, dataset)
    # Nothing is written before this point, where no mistake of the user is left to be found.
    why_not = "" if isinstance(group, StackedRuns) else group
    folder = RunFolder.create(Path(run_dir) if run_dir is not None else None, group_name(asked, replicates))
    kept = Group(
        folder, group_name(asked, replicates), seeds, why_not, asked.model_dump(mode="json", exclude_unset=True)
    )
    # A process that is killed after this point leaves a group that can be continued.
    kept.summarise()
    with contextlib.ExitStack() as locks, on_threads(threads):
        for plan, description in zip(trained, descriptions, strict=True):
            plan.begin(kept.one(plan.seed), description, locks)
        kept.summarise()
        if isinstance(group, StackedRuns):
            group.folder = folder.path
            train_stack(group, trained)
        else:
            train_in_turn(trained, list(watchers))
        for plan in trained:
            plan.tidy()
    found = kept.summarise()
    failures = [plan.trainer.failure for plan in trained]
    if all(failure is not None for failure in failures):
        raise DivergenceError(f"all {replicates} replicates diverged, the first thus: {failures[0]}")
    return Replicates(found.path, [plan.run for plan in trained], found.summary)


def stacked(
    trained: Sequence[Planned], watching: pluggy.PluginManager, spec: RunSpec, dataset: Dataset
) -> StackedRuns | str:
    """All replicates as one stack, before the first step; or why they cannot be stacked, in which case none changes."""
    if spec.compile:
        return "networks are compiled for one model"
    optimizer = spec.optimizer
    if not optimizer.is_stackable or optimizer.ema is not None or optimizer.accumulate is not None:
        return f"optimizer {optimizer} takes the steps of one model"
    if following := watching_schedules(spec):
        return f"schedule {spec.schedules[next(iter(following))]} follows the evaluations of each seed"
    if dataset.train.conditions is not None:
        return "examples have conditions"
    if spec.start is not None and not spec.start.is_none:
        return "each seed starts from clusters of its own"
    if not fit_at_once(spec, dataset, len(trained)):
        return "all at once would not fit into memory"
    group = StackedRuns([plan.trainer for plan in trained], watching)
    why_not = group.why_not()
    if not why_not:
        return group
    group.disband()
    return why_not
