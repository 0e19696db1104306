"""How does a spec become a run? Load the data, build the model, train, evaluate, keep everything."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intel_core import checkpoint
from intel_core.budget import out_of_memory_told, require_memory
from intel_core.compose import diagnose
from intel_core.data import Dataset, MemorySpec, fingerprint, make_dataset, to_float
from intel_core.devices import pick_device
from intel_core.errors import RunError, SpecError
from intel_core.evaluation import evaluate
from intel_core.heap import freed_memory_kept
from intel_core.hooks import hookimpl, make_hooks
from intel_core.model import build_model
from intel_core.restarts import choose_start
from intel_core.resuming import go_on, identity
from intel_core.run import Run, data_dir_or_default
from intel_core.rundir import RunFolder
from intel_core.runspec import RunSpec, make_run_spec, resolve
from intel_core.signals import interrupt_on_signals, stop_on_signals
from intel_core.spec import parse_spec
from intel_core.trainer import Trainer

__all__ = ["finish", "fit", "keep", "prepare", "read_arguments", "resume"]


@out_of_memory_told()
@freed_memory_kept()
def fit(
    spec: RunSpec | None = None,
    *,
    data: Any = None,
    labels: Any = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
    **settings: Any,
) -> Run:
    """Train a model and keep it in a run directory.

    Args:
        spec: a whole run spec, instead of `settings`.
        data: a text such as ``"digits"``, a data set's spec, an array or tensor ``(n, D)`` or ``(n, C, H, W)``, or a
            data frame of numbers; with `spec`, instead of its data.
        labels: integers ``(n,)`` beside an array.
        run_dir: a new directory for the run; by default ``runs/<name>``.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: objects with functions marked by `intel_core.hookimpl`.
        **settings: fields of `RunSpec`, e.g. ``mapping="cluster:k=3", latent=2, epochs=20, seed=1``.

    The first SIGINT (Ctrl-C) or SIGTERM ends the run after its step, saved: a run of status ``interrupted`` is
    returned, which `resume` continues. A second one raises KeyboardInterrupt, as does the first one during the trials
    of a run with restarts, of which nothing is kept.

    Raises:
        IntelError: for anything that the caller can mend.

    >>> import tempfile
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> run = fit(mapping="identity", data=x, steps=20, run_dir=tempfile.mkdtemp())
    >>> run.sample(5).shape
    torch.Size([5, 2])
    """
    asked, given = read_arguments(spec, data, labels, settings)
    spec, dataset = prepare(asked, data_dir, given)
    manager = make_hooks(hooks)
    trials: list[dict[str, Any]] = []
    if spec.restarts > 1:
        with interrupt_on_signals():
            spec, trials = choose_start(spec, dataset, lambda record: manager.hook.tried(record=record))
    model = build_model(spec, dataset.x_shape).to(pick_device(spec.device))
    trainer = Trainer(spec, model, dataset, manager)
    description = RunFolder.description(asked, spec, dataset, model, trials)
    # Only now, when nothing that the user can mend is left, is anything written.
    folder = RunFolder.create(Path(run_dir) if run_dir is not None else None, spec.name or spec.label)
    with folder.locked():
        folder.describe(description)
        return _train(trainer, folder, description)


def read_arguments(
    spec: RunSpec | None, data: Any, labels: Any, settings: dict[str, Any]
) -> tuple[RunSpec, Dataset | None]:
    """What the arguments of `fit` ask for: a spec that is not resolved, and the data where they are an array.

    Raises:
        SpecError: where they say two things at once, or something that no run has.
    """
    if spec is not None and settings:
        raise SpecError("give fit() a whole spec or settings, not both")
    dataset = None
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, np.ndarray | torch.Tensor | list):
        dataset = make_dataset("data", data, labels)
        x = dataset.train.x
        total = sum(len(split) for split in (dataset.train, dataset.validation, dataset.test))
        data = MemorySpec(examples=total, shape=dataset.x_shape, fingerprint=fingerprint(x))
    elif labels is not None:
        raise SpecError("labels= goes with data= as an array; a named data set brings its own")
    if spec is None:
        spec = make_run_spec(**settings, **({} if data is None else {"data": data}))
    elif data is not None:
        spec = spec.model_copy(update={"data": parse_spec("datasets", data) if isinstance(data, str) else data})
    return spec, dataset


def prepare(
    spec: RunSpec, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> tuple[RunSpec, Dataset]:
    """The resolved spec and its data, without training.

    Raises:
        IntelError: as `fit`.
    """
    if dataset is None:
        dataset = spec.data.load(data_dir_or_default(data_dir))
    spec = resolve(spec, dataset)
    require_memory(spec, dataset)
    return spec, dataset


@out_of_memory_told()
@freed_memory_kept()
def resume(
    path: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
) -> Run:
    """Continue an interrupted run from its newest whole checkpoint, as if it had never stopped.

    A damaged checkpoint is passed over with a warning. A run that was killed before its first one begins again.

    Args:
        path: the run directory.
        data: the same arrays again, for a run that was trained on arrays.
        labels: as in `fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: as in `fit`.

    Raises:
        RunError: if the run is finished, in use by another process, has no usable checkpoint, or its data has changed.
    """
    folder = RunFolder(Path(path))
    folder.read("run.json")  # or there is no directory to lock
    with folder.locked():
        return _resume(folder, data, labels, Path(data_dir) if data_dir else None, hooks)


def _resume(folder: RunFolder, data: Any, labels: Any, data_dir: Path | None, hooks: Iterable[object]) -> Run:
    """As `resume`, in a locked folder."""
    path, run = folder.path, Run(folder)
    if run.status == "finished":
        raise RunError(f"{path} is finished; there is nothing to resume")
    spec = run.spec
    dataset = make_dataset("data", data, labels) if data is not None else run.dataset(data_dir)
    if dataset.summary()["fingerprint"] != run.info["data"].get("fingerprint"):
        raise RunError(f"{path} was trained on other data: the fingerprint of the training examples differs")
    model = build_model(spec, dataset.x_shape).to(pick_device(spec.device))
    trainer = Trainer(spec, model, dataset, make_hooks(hooks))
    go_on(trainer, folder, run.info)
    return _train(trainer, folder, run.info)


class _Recorder:
    """Writes every line into the run directory."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @hookimpl
    def logged(self, record: dict[str, Any]) -> None:
        self.folder.append(record)

    @hookimpl
    def evaluated(self, record: dict[str, Any]) -> None:
        self.folder.append(record)


def _train(trainer: Trainer, folder: RunFolder, info: dict[str, Any]) -> Run:
    """Run a trainer to its end, everything kept in a folder that `info` describes."""
    keep(trainer, folder, info)
    with stop_on_signals(trainer):
        trainer.train()
    return finish(trainer, folder)


def keep(trainer: Trainer, folder: RunFolder, info: dict[str, Any]) -> None:
    """Let a trainer write its lines and checkpoints into a folder that `info` describes."""
    spec, belongs = trainer.spec, {"run": identity(info)}

    def save(trainer: Trainer) -> Path:
        checkpoint.sync(folder.log)  # a run that goes on from here finds every line up to here
        tensors, state = trainer.state()
        written = checkpoint.save(folder.checkpoints, trainer.step, tensors, state | belongs)
        checkpoint.prune(folder.checkpoints, spec.keep_checkpoints)
        return written

    trainer.folder, trainer.save = folder.path, save
    trainer.hooks.register(_Recorder(folder), name="recorder")


def finish(trainer: Trainer, folder: RunFolder) -> Run:
    """Write what is left of a run that has ended: its final weights and numbers, or that it was interrupted."""
    interrupted = (trainer.stop_reason or "").startswith("signal")
    outcome = {
        "status": "interrupted" if interrupted else "finished",
        "stop_reason": trainer.stop_reason,
        "step": trainer.step,
        "epoch": round(trainer.epoch, 4),
        "seconds": round(trainer.seconds, 3),
    }
    if not interrupted:
        if trainer.best_model is not None:
            trainer.model.load_state_dict(trainer.best_model)
            outcome["best_step"] = trainer.best_step
        checkpoint.write_bytes(folder.path / "model.safetensors", checkpoint.to_bytes(trainer.model.state_dict()))
        outcome |= final_numbers(trainer)
    folder.write("metrics.json", outcome)
    return Run(folder, None if interrupted else trainer.model.eval())


@torch.no_grad()
def final_numbers(trainer: Trainer) -> dict[str, Any]:
    """Objective terms on validation and test data, and what the mapping says of the encoded test data."""
    model, spec, dataset = trainer.model.eval(), trainer.spec, trainer.dataset
    numbers: dict[str, Any] = {
        name: evaluate(model, trainer.objective, split, spec.seed)
        for name, split in (("validation", dataset.validation), ("test", dataset.test))
    }
    rows = [model.encode(to_float(x.to(trainer.device))).mean for x in torch.split(dataset.test.x, 1000)]
    labels = dataset.test.labels
    try:
        mapping = diagnose(model.mapping, torch.cat(rows), None if labels is None else labels.to(trainer.device))
        json.dumps(mapping)
    except Exception as error:  # a plugin's fault must not lose the numbers of a whole run
        warnings.warn(f"the mapping's diagnosis failed with {type(error).__name__}: {error}", stacklevel=2)
        mapping = {}
    return {**numbers, "mapping": mapping}
