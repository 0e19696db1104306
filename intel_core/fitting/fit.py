"""How does a spec become a run? Load the data, build the model, train, evaluate, keep everything."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pluggy

from intel_core.compute.device import pick_device
from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.data.dataset import Dataset
from intel_core.errors import DivergenceError, RunError
from intel_core.evaluation.run import Run
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.hook_plugins import make_hooks
from intel_core.fitting.keeping import finish, keep, load_best
from intel_core.fitting.restarts import choose_start
from intel_core.fitting.signals import interrupt_on_signals, stop_on_signals
from intel_core.processes.peers import Peers, agreeing
from intel_core.processes.starting import joined
from intel_core.recipe.building import build_model
from intel_core.recipe.runspec import RunSpec
from intel_core.runs.folder import RunFolder
from intel_core.training.trainer import Trainer

__all__ = [
    "fit",
]


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
    the same run, of which the first one writes the directory and calls the hooks (see `intel_core.processes.starting`).

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
