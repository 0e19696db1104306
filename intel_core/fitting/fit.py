"""How does a spec become a run? Load the data, build the model, train, evaluate, keep everything."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intel_core.compute.heap import freed_memory_kept
from intel_core.compute.memory import out_of_memory_told
from intel_core.compute.precision import torch_as_usual
from intel_core.compute.threads import on_threads, threads_for
from intel_core.data.dataset import Dataset
from intel_core.errors import RunError, SpecError
from intel_core.evaluation.run import Run
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.hook_plugins import hook_objects
from intel_core.fitting.keeping import train_and_keep
from intel_core.fitting.progress import Progress, progress_hooks
from intel_core.fitting.restarts import choose_start
from intel_core.fitting.setting_up import hooks_of_run, make_trainer
from intel_core.fitting.signals import interrupt_on_signals
from intel_core.fitting.tracking import Track, Tracking, tracked
from intel_core.processes.starting import joined
from intel_core.recipe.runspec import RunSpec
from intel_core.runs.folder import RunFolder
from intel_core.training.process_group import ProcessGroup

__all__ = [
    "fit",
]


@out_of_memory_told()
@freed_memory_kept()
@torch_as_usual()
def fit(
    spec: RunSpec | None = None,
    *,
    data: Any = None,
    labels: Any = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    hooks: Iterable[object] = (),
    track: Track | Tracking = (),
    progress: Progress = "auto",
    keep: bool = True,
    **settings: Any,
) -> Run:
    """Train a model and keep it in a run directory.

    Args:
        spec: a whole run spec, instead of `settings`.
        data: a text such as ``"digits"`` or ``"mydata.csv:label=kind"``, a data set's spec, an array or tensor
            ``(n, D)`` or ``(n, C, H, W)``, a data frame, a data set or data loader of torch, whatever else an installed
            reader knows, three of these as ``(train, validation, test)``, or a `Dataset` of `make_dataset`; with
            `spec`, instead of its data.
        labels: whole numbers or words ``(n,)`` beside an array, or the name of a column.
        run_dir: a new directory for the run; by default ``runs/<name>``, below the current folder.
        data_dir: where data files lie; by default ``INTEL_DATA_DIR``.
        hooks: objects with functions marked by `intel_core.hookimpl`.
        track: trackers that keep a record of the training, e.g. ``"tensorboard"`` or ``"tensorboard,mlflow"``; specs or
            texts, or a list of them. One that fails ends no training. With a `Tracking`, its owner ends the record.
        progress: whether one line shows the step, the ELBO and the time left on standard error; ``"auto"``: on a
            terminal and in a notebook.
        keep: False keeps the run in a temporary directory, which goes with the run that is returned.
        **settings: fields of `RunSpec`, e.g. ``mapping="cluster:k=3", latent=2, epochs=20, seed=1``; and, beside an
            array or another object, how it is read. ``standardize``: True scales each column to mean 0 and variance 1,
            False leaves values as they are; by default those are scaled that are far from the scale of about 1, which
            a warning says. ``missing``: see `make_dataset`. ``columns``, ``drop`` and ``id`` of a data frame, ``layer``
            of an AnnData, ``examples`` of a stream: what the reader of such objects takes. ``conditions``: what encoder
            and decoder see beside x and z, names of columns or values beside an array, see `make_dataset`; or
            ``"labels"``, of any data that has some.

    With ``devices=2`` two processes share each batch: this script is started once more, and both processes return the
    same run. The first one writes the directory and calls the hooks (see `intel_core.processes.starting`).

    The first SIGINT (Ctrl-C) or SIGTERM ends the run after the current step and saves it. The returned run has the
    status ``interrupted``, and `resume` continues it. A second signal raises KeyboardInterrupt; so does the first one
    during the trials of a run with restarts, of which nothing is kept.

    Raises:
        IntelError: for anything that the caller can correct.

    >>> import tempfile, torch
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> run = fit(mapping="identity", data=x, steps=20, run_dir=tempfile.mkdtemp())
    >>> run.sample(5).shape
    torch.Size([5, 2])
    """
    asked, given = read_arguments(spec, data, labels, settings)
    wanted = Path(run_dir) if run_dir is not None else None
    called = [*hook_objects(hooks), *progress_hooks(progress)]
    with contextlib.ExitStack() as stack:
        if not keep:
            if wanted is not None:
                raise SpecError("keep=False leaves no run directory; leave out run_dir=")
            temporary = Path(tempfile.mkdtemp(prefix="intel-"))
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
            wanted = temporary / "run"
        with (
            tracked(track) as (tracking, ended),
            joined(asked.devices, asked.nodes, asked.device, asked.batch_size) as processes,
        ):
            run = ended(_fit(asked, given, wanted, data_dir, [*called, *tracking.hooks], processes))
        weakref.finalize(run, stack.pop_all().close)  # from here on the directory goes with the run
    return run


def _fit(
    asked: RunSpec,
    given: Dataset | None,
    run_dir: Path | None,
    data_dir: str | Path | None,
    hooks: Iterable[object],
    processes: ProcessGroup,
) -> Run:
    """As `fit`, together with the processes that share each batch."""
    with processes.agreeing():
        spec, dataset = prepare(asked, data_dir, given)
        manager = hooks_of_run(hooks, processes)
    spec = _agreed(spec, dataset, processes)
    trials: list[dict[str, Any]] = []
    if spec.restarts > 1:
        with interrupt_on_signals():
            spec, trials = choose_start(spec, dataset, lambda record: manager.hook.tried(record=record), processes)
    with contextlib.ExitStack() as locks:
        folder: RunFolder | None = None
        with processes.agreeing():
            trainer = make_trainer(spec, dataset, manager, processes)
            threads = threads_for(trainer.model)
            description = RunFolder.description(asked, spec, dataset, trainer.model, trials)
            # Nothing is written before this point, where no mistake of the user is left to be found.
            if processes.is_first:
                folder = RunFolder.create(run_dir, spec.name or spec.label)
                locks.enter_context(folder.locked())
                description |= {"processes": processes.size} if processes.size > 1 else {}
                description |= {"threads": threads} if trainer.device.type == "cpu" else {}
                folder.describe(description)
        processes.share(trainer.model)
        with on_threads(threads):
            return train_and_keep(trainer, spec, folder, description)


def _agreed(spec: RunSpec, dataset: Dataset, processes: ProcessGroup) -> RunSpec:
    """Make the spec the same in all processes; the machine of the first one decides the precision.

    Raises:
        RunError: in all of them, if one has other settings or other data.
    """
    if processes.size == 1:
        return spec
    spec = spec.model_copy(update={"precision": processes.exchange(spec.precision)[0]})
    own = (spec.model_dump_json(exclude={"name"}), dataset.train.fingerprint())
    first = processes.exchange(own)[0]
    with processes.agreeing():
        for what, of_first, here in zip(("settings", "data"), first, own, strict=True):
            if of_first != here:
                raise RunError(f"the {what} of process {processes.rank} are not those of process 0")
    return spec
