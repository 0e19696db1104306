"""How is an interrupted run continued? As if it had never stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.errors import RunError, SpecError
from intel_core.evaluation.run import Run
from intel_core.fitting.keeping import train_and_keep
from intel_core.fitting.resuming import go_on
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.processes.starting import joined
from intel_core.reading.arrays import make_dataset
from intel_core.runs.folder import RunFolder
from intel_core.training.process_group import ProcessGroup
from intel_core.training.trainer import Trainer

__all__ = [
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
    devices: int | None = None,
    nodes: int | None = None,
) -> Run:
    """Continue an interrupted run from its newest undamaged checkpoint, as if it had never stopped.

    A damaged checkpoint is skipped with a warning. A run that was killed before its first checkpoint begins again.

    Args:
        path: the run directory.
        data: the same arrays again, for a run that was trained on arrays.
        labels: as in `fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: as in `fit`.
        devices: processes on each machine, if other than before; the result is the same up to rounding.
        nodes: machines, if other than before.

    Raises:
        RunError: if the run is finished, in use by another process, has no usable checkpoint, or its data has changed.
        SpecError: if so many processes cannot be started here.
    """
    folder = RunFolder(Path(path))
    asked = folder.read_description()["spec"]  # first, since there may be no directory to lock
    counts = devices or asked.get("devices", 1), nodes or asked.get("nodes", 1)
    if min(counts) < 1:
        raise SpecError(f"devices={counts[0]}, nodes={counts[1]}: expected 1 or more of each")
    with joined(*counts, asked.get("device", "auto")) as processes:
        return _resume(folder, data, labels, Path(data_dir) if data_dir else None, hooks, processes)


def _resume(
    folder: RunFolder,
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
            run = Run(folder)
            if run.status == "finished":
                raise RunError(
                    f"{path} is finished at step {run.spec.steps:,}; there is nothing to resume: for a longer "
                    "training, begin a new run with more steps"
                )
            # Scaled as at first, or not, whatever the rule is now.
            scaled = bool(getattr(run.spec.data, "standardize", False))
            given = data is not None
            dataset = make_dataset("data", data, labels, standardize=scaled) if given else run.dataset(data_dir)
            run.require_its_data(dataset)
            trainer = make_trainer(run.spec, dataset, hooks_of_run(hooks, processes), processes)
        with processes.agreeing():
            if processes.is_first:
                go_on(trainer, folder, run.info, run.spec.keep_checkpoints)
        if processes.size > 1:
            _follow_first(trainer)
        return train_and_keep(trainer, run.spec, folder if processes.is_first else None, run.info)


def _follow_first(trainer: Trainer) -> None:
    """Continue, in every process, from the state of the first one."""

    def there() -> tuple[int, Any, Any] | None:
        tensors, state = trainer.state()
        moved = {part: {name: value.cpu() for name, value in of.items()} for part, of in tensors.items()}
        return (trainer.step, moved, state) if trainer.step else None

    begun = trainer.processes.from_first(there)
    if begun is not None and not trainer.processes.is_first:
        trainer.load_state(*begun)
    trainer.processes.share(trainer.model)
