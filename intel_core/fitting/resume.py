"""How is an interrupted run continued? As if it had never stopped."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads, threads_to_go_on
from intel_core.data.dataset import Dataset
from intel_core.errors import RunError, SpecError, did_you_mean
from intel_core.evaluation.given_data import as_its_data
from intel_core.evaluation.run import Run
from intel_core.fitting.estimate import require_memory
from intel_core.fitting.hook_plugins import hook_objects
from intel_core.fitting.keeping import train_and_keep
from intel_core.fitting.progress import Progress, progress_hooks
from intel_core.fitting.resuming import go_on
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.fitting.starting import share_start
from intel_core.fitting.tracking import Track, Tracking, tracked
from intel_core.processes.starting import joined
from intel_core.recipe.given import PARTS
from intel_core.runs.folder import GROUP_FILE, RunFolder, is_group
from intel_core.training.process_group import ProcessGroup
from intel_core.training.trainer import Trainer

__all__ = [
    "data_of",
    "resume",
]


@out_of_memory_told()
@freed_memory_kept()
@torch_as_usual()
def resume(
    path: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
    track: Track | Tracking = (),
    progress: Progress = "auto",
    devices: int | None = None,
    nodes: int | None = None,
    **parts: object,
) -> Run:
    """Continue an interrupted run from its newest undamaged checkpoint, as if it had never stopped.

    A damaged checkpoint is skipped with a warning. A run that was killed before its first checkpoint begins again.

    Args:
        path: the run directory.
        data: the same arrays or `Dataset` again, for a run that was trained on them.
        labels: as in `fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: as in `fit`.
        track: as in `fit`; a tracker that has a record of the run goes on with it.
        progress: as in `fit`.
        devices: processes on each machine, if other than before; the result is the same up to rounding.
        nodes: machines, if other than before.
        **parts: ``encoder``, ``decoder``, ``mapping`` and ``likelihood``, as in `load_run`, as far as `fit` got them as
            objects.

    Raises:
        RunError: if the run is finished, in use by another process, has no usable checkpoint, or its data has changed.
        SpecError: if so many processes cannot be started here.
    """
    if unknown := [name for name in parts if name not in PARTS]:
        raise SpecError(f"resume() takes no {unknown[0]}{did_you_mean(unknown[0], PARTS, say='parts')}")
    folder = RunFolder(Path(path))
    if is_group(folder.path):
        raise RunError(f"{path} holds the runs of several seeds; resume_replicates({str(path)!r}) continues them all")
    asked = folder.read_description()["spec"]  # first, since there may be no directory to lock
    counts = devices or asked.get("devices", 1), nodes or asked.get("nodes", 1)
    if min(counts) < 1:
        raise SpecError(f"devices={counts[0]}, nodes={counts[1]}: expected 1 or more of each")
    called = [*hook_objects(hooks), *progress_hooks(progress)]
    with tracked(track) as (tracking, ended), joined(*counts, asked.get("device", "auto")) as processes:
        tracking.tell_of_former(folder.path)
        called += tracking.hooks
        return ended(_resume(folder, parts, data, labels, Path(data_dir) if data_dir else None, called, processes))


def _resume(
    folder: RunFolder,
    parts: dict[str, object],
    data: Any,
    labels: Any,
    data_dir: Path | None,
    hooks: Iterable[object],
    processes: ProcessGroup,
) -> Run:
    """As `resume`, together with the processes that share each batch."""
    path = folder.path
    with contextlib.ExitStack() as locks:
        with processes.agreeing():
            if processes.is_first:
                locks.enter_context(folder.locked())
                _tell_of_stack(folder)
            run = Run(folder, parts=parts)
            if run.status == "finished":
                raise RunError(
                    f"{path} is finished at step {run.spec.steps:,}; there is nothing to resume: for a longer "
                    "training, begin a new run with more steps"
                )
            dataset = data_of(run, data, labels, data_dir)
            require_memory(run.spec, dataset)
            trainer = make_trainer(run.spec, dataset, hooks_of_run(hooks, processes), processes)
            threads = threads_to_go_on(str(path), trainer.model, run.info.get("threads"))
        with processes.agreeing():
            if processes.is_first:
                go_on(trainer, folder, run.info, run.spec.keep_checkpoints)
        if processes.size > 1:
            _follow_first(trainer)
        with on_threads(threads):
            return train_and_keep(trainer, run.spec, folder if processes.is_first else None, run.info)


def _tell_of_stack(folder: RunFolder) -> None:
    """Warn that a seed of several, which took its steps together with the others, goes on without them."""
    path = folder.path.absolute()
    with contextlib.suppress(RunError):
        group = RunFolder(path.parent).read(GROUP_FILE)
        if group.get("stacked") and len(group["runs"]) > 1 and any(e["folder"] == path.name for e in group["runs"]):
            warnings.warn(
                f"{folder.path} began in one stack with {len(group['runs']) - 1} other seeds and goes on alone, so it "
                "will differ by rounding from an uninterrupted one; all together go on bit for bit: "
                f"intel train --resume {folder.path.parent}",
                stacklevel=4,
            )


def data_of(run: Run, data: Any, labels: Any, data_dir: Path | None) -> Dataset:
    """The data that a run was begun with, loaded again or given again as arrays.

    Raises:
        RunError: if any part of them has changed.
        DataError: if they cannot be loaded here.
    """
    with on_threads(1):
        # Scaled as at first, or not, whatever the rule is now.
        dataset = run.dataset(data_dir) if data is None else as_its_data(run, data, labels, data_dir)
    run.require_its_data(dataset, whole=True)
    return dataset


def _follow_first(trainer: Trainer) -> None:
    """Continue, in every process, from the state of the first one."""

    def there() -> tuple[int, Any, Any] | None:
        tensors, state = trainer.state()
        moved = {part: {name: value.cpu() for name, value in of.items()} for part, of in tensors.items()}
        return (trainer.step, moved, state) if trainer.step else None

    begun = trainer.processes.from_first(there)
    if begun is not None and not trainer.processes.is_first:
        trainer.load_state(*begun)
    share_start(trainer)
    trainer.processes.share(trainer.model)
