"""How does a spec become a run? Load the data, build the model, train, evaluate, keep everything."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import torch

from intel_core import checkpoint, plugins
from intel_core.budget import out_of_memory_told, require_memory
from intel_core.compose import diagnose
from intel_core.data import Dataset, MemorySpec, fingerprint, make_dataset, to_float
from intel_core.devices import pick_device
from intel_core.distributed import joined
from intel_core.errors import DivergenceError, IntelError, RunError, SpecError
from intel_core.evaluation import evaluate
from intel_core.heap import freed_memory_kept
from intel_core.hooks import hookimpl, make_hooks
from intel_core.model import InteLVAE, build_model
from intel_core.peers import Peers, agreeing
from intel_core.restarts import choose_start
from intel_core.resuming import go_on, identity
from intel_core.run import Run, data_dir_or_default
from intel_core.rundir import RunFolder
from intel_core.runspec import RunSpec, make_run_spec, resolve
from intel_core.signals import interrupt_on_signals, is_signal, stop_on_signals
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

    With ``devices=2`` two processes share each batch: this script is started once more, and both go on from here with
    the same run, of which the first one writes the directory and calls the hooks (see `intel_core.distributed`).

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
    with joined(asked.devices, asked.nodes, asked.device, asked.batch_size) as peers:
        return _fit(asked, given, Path(run_dir) if run_dir is not None else None, data_dir, hooks, peers)


def _fit(
    asked: RunSpec,
    given: Dataset | None,
    run_dir: Path | None,
    data_dir: str | Path | None,
    hooks: Iterable[object],
    peers: Peers | None,
) -> Run:
    """As `fit`, together with the processes that share each batch, if there are others."""
    with agreeing(peers):
        spec, dataset = prepare(asked, data_dir, given)
        manager = _hooks(hooks, peers)
    if peers is not None:
        spec = _settled(spec, dataset, peers)
    trials: list[dict[str, Any]] = []
    if spec.restarts > 1:
        with interrupt_on_signals():
            spec, trials = choose_start(spec, dataset, lambda record: manager.hook.tried(record=record), peers)
    with contextlib.ExitStack() as locks:
        folder: RunFolder | None = None
        with agreeing(peers):
            trainer = _trainer(spec, dataset, manager, peers)
            description = RunFolder.description(asked, spec, dataset, trainer.model, trials)
            # Only now, when nothing that the user can mend is left, is anything written.
            if peers is None or peers.rank == 0:
                folder = RunFolder.create(run_dir, spec.name or spec.label)
                locks.enter_context(folder.locked())
                description |= {"processes": peers.size} if peers is not None else {}
                folder.describe(description)
        if peers is not None:
            peers.share(trainer.model)
        return _train(trainer, folder, description)


def _hooks(hooks: Iterable[object], peers: Peers | None) -> pluggy.PluginManager:
    """The hooks of a run, which only the first of several processes calls."""
    return make_hooks(hooks) if peers is None or peers.rank == 0 else make_hooks(installed=False)


def _trainer(spec: RunSpec, dataset: Dataset, manager: pluggy.PluginManager, peers: Peers | None) -> Trainer:
    place = pick_device(spec.device) if peers is None else peers.device
    return Trainer(spec, build_model(spec, dataset.x_shape).to(place), dataset, manager, peers)


def _settled(spec: RunSpec, dataset: Dataset, peers: Peers) -> RunSpec:
    """The same spec in all processes; the first one's machine decides the precision.

    Raises:
        RunError: in all of them, if one has other settings or other data.
    """
    spec = spec.model_copy(update={"precision": peers.exchange(spec.precision)[0]})
    own = (spec.model_dump_json(exclude={"name"}), dataset.summary()["fingerprint"])
    first = peers.exchange(own)[0]
    with agreeing(peers):
        for what, of_first, here in zip(("settings", "data"), first, own, strict=True):
            if of_first != here:
                raise RunError(f"the {what} of process {peers.rank} are not those of process 0")
    return spec


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
    if isinstance(data, str | os.PathLike):
        data = os.fspath(data)
        _refuse_path(data)
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


def _refuse_path(data: str) -> None:
    """A file says not how it is to be read.

    Raises:
        SpecError: naming the data sets that read files.
    """
    known = [component for component in plugins.available("datasets") if component.status == "OK"]
    if any(data.strip() in (component.name, component.qualified) for component in known) or not os.path.exists(data):
        return
    readers = []
    for component in known:
        with contextlib.suppress(IntelError):
            readers += [component.name] if "path" in plugins.load("datasets", component.name).model_fields else []
    forms = ", ".join(f'"{name}:path={data}"' for name in readers) or "none that is installed"
    raise SpecError(f"data={data!r} is a file or a folder; say which data set reads it: {forms}")


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
    devices: int | None = None,
    nodes: int | None = None,
) -> Run:
    """Continue an interrupted run from its newest whole checkpoint, as if it had never stopped.

    A damaged checkpoint is passed over with a warning. A run that was killed before its first one begins again.

    Args:
        path: the run directory.
        data: the same arrays again, for a run that was trained on arrays.
        labels: as in `fit`.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: as in `fit`.
        devices: processes on each machine, if other than before; the result is the same but for rounding.
        nodes: machines, if other than before.

    Raises:
        RunError: if the run is finished, in use by another process, has no usable checkpoint, or its data has changed.
        SpecError: if so many processes cannot be started here.
    """
    folder = RunFolder(Path(path))
    asked = folder.read_description()["spec"]  # or there is no directory to lock
    counts = devices or asked.get("devices", 1), nodes or asked.get("nodes", 1)
    if min(counts) < 1:
        raise SpecError(f"devices={counts[0]}, nodes={counts[1]}: expected 1 or more of each")
    with joined(*counts, asked.get("device", "auto")) as peers:
        return _resume(folder, data, labels, Path(data_dir) if data_dir else None, hooks, peers)


def _resume(
    folder: RunFolder, data: Any, labels: Any, data_dir: Path | None, hooks: Iterable[object], peers: Peers | None
) -> Run:
    """As `resume`, together with the processes that share each batch, if there are others."""
    path, first = folder.path, peers is None or peers.rank == 0
    with contextlib.ExitStack() as locks:
        with agreeing(peers):
            if first:
                locks.enter_context(folder.locked())
            run = Run(folder)
            if run.status == "finished":
                raise RunError(
                    f"{path} is finished at step {run.spec.steps:,}; there is nothing to resume: for a longer "
                    "training, begin a new run with more steps"
                )
            dataset = make_dataset("data", data, labels) if data is not None else run.dataset(data_dir)
            run.require_its_data(dataset)
            trainer = _trainer(run.spec, dataset, _hooks(hooks, peers), peers)
        with agreeing(peers):
            if first:
                go_on(trainer, folder, run.info)
        if peers is not None:
            trainer.follow_first()
        return _train(trainer, folder if first else None, run.info)


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


def _train(trainer: Trainer, folder: RunFolder | None, info: dict[str, Any]) -> Run:
    """Run a trainer to its end, everything kept in a folder that `info` describes.

    The folder is that of the first process; the others write nothing, and wait until it is complete.
    """
    peers = trainer.peers
    with agreeing(peers):
        if folder is not None:
            keep(trainer, folder, info)
    with stop_on_signals(trainer):
        try:
            trainer.train()
        except DivergenceError as error:
            if folder is not None:
                finish(trainer, folder, error)
            raise
    if peers is None:
        assert folder is not None
        return finish(trainer, folder)
    run = None
    with agreeing(peers):
        if folder is not None:
            run = finish(trainer, folder)
    path = peers.from_first(lambda: str(folder.path) if folder is not None else "")
    return Run(RunFolder(Path(path)), load_best(trainer), info=info) if run is None else run


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


def finish(trainer: Trainer, folder: RunFolder, failure: DivergenceError | None = None) -> Run:
    """Write what is left of a run that has ended: final weights and numbers, or that it was interrupted or diverged."""
    interrupted = is_signal(trainer.stop_reason)
    status = "diverged" if failure is not None else "interrupted" if interrupted else "finished"
    outcome = {
        "status": status,
        "stop_reason": trainer.stop_reason,
        "step": trainer.step,
        "epoch": round(trainer.epoch, 4),
        "seconds": round(trainer.seconds, 3),
    }
    if failure is not None:
        outcome["problem"] = str(failure)
    if status == "finished":
        load_best(trainer)
        if trainer.best_model is not None:
            outcome["best_step"] = trainer.best_step
        checkpoint.write_bytes(folder.path / "model.safetensors", checkpoint.to_bytes(trainer.model.state_dict()))
        outcome |= final_numbers(trainer)
    folder.write("metrics.json", outcome)
    return Run(folder, trainer.model.eval() if status == "finished" else None)


def load_best(trainer: Trainer) -> InteLVAE:
    """The model that training ends with: where it stops early, that of the best evaluation."""
    if trainer.best_model is not None:
        trainer.model.load_state_dict(trainer.best_model)
    return trainer.model.eval()


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
