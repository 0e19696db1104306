"""What does a run write as it goes, and at its end? Lines, checkpoints, final weights and numbers."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intel_core import files
from intel_core.errors import DivergenceError, RunError
from intel_core.evaluation.run import Run
from intel_core.fitting.encoding import posterior_means
from intel_core.fitting.resuming import identity
from intel_core.fitting.signals import stop_on_signals
from intel_core.fitting.starting import start_of
from intel_core.helpers.parts_of_mapping import diagnose
from intel_core.model.vae import InteLVAE
from intel_core.recipe.runspec import RunSpec
from intel_core.runs import checkpoint, contents
from intel_core.runs.folder import RunFolder
from intel_core.training.hooks import hookimpl
from intel_core.training.scoring import evaluate
from intel_core.training.trainer import Trainer

__all__ = [
    "finish",
    "keep",
    "load_best",
    "train_and_keep",
]


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


def keep(trainer: Trainer, folder: RunFolder, info: dict[str, Any], keep_checkpoints: int) -> None:
    """Let a trainer write its lines and checkpoints into a folder that `info` describes."""
    belongs = {"run": identity(info)}

    def save(trainer: Trainer) -> Path:
        folder.sync_log()  # a run that goes on from here finds every line up to here
        tensors, state = trainer.state()
        if (judged := _averages(trainer)) is not None:
            tensors["averaged"] = judged
        written = checkpoint.save(folder.checkpoints, trainer.step, tensors, state | belongs)
        checkpoint.prune(folder.checkpoints, keep_checkpoints)
        return written

    trainer.folder, trainer.save = folder.path, save
    trainer.hooks.register(_Recorder(folder), name="recorder")


def finish(trainer: Trainer, folder: RunFolder, failure: DivergenceError | None = None) -> Run:
    """Write the result of a run that has ended: final weights and numbers, or that it was interrupted or diverged."""
    reason = trainer.stop_reason
    interrupted = reason is not None and reason.kind == "signal"
    status = "diverged" if failure is not None else "interrupted" if interrupted else "finished"
    outcome = {
        "status": status,
        "stop_reason": None if reason is None else reason.text,
        "step": trainer.step,
        "epoch": round(trainer.epoch, 4),
        "seconds": round(trainer.seconds, 3),
    }
    outcome |= _found_at_start(trainer, folder)
    if failure is not None:
        outcome["problem"] = str(failure)
    if status == "finished":
        load_best(trainer)
        if trainer.stopping.best_model is not None:
            outcome["best_step"] = trainer.stopping.best_step
        weights = checkpoint.to_bytes(trainer.model.state_dict())
        files.write_bytes(folder.path / "model.safetensors", weights)
        outcome |= {"weights_sha256": hashlib.sha256(weights).hexdigest(), **final_numbers(trainer)}
    folder.write("metrics.json", outcome)
    return Run(folder, trainer.model.eval() if status == "finished" else None)


def _found_at_start(trainer: Trainer, folder: RunFolder) -> dict[str, Any]:
    """Which clusters the training began from, as they were kept when they were found; empty if there are none."""
    start = start_of(trainer)
    if start is None or start.clusters is None:
        return {}
    try:
        kept = contents.read(folder.path, contents.START_FILE)
    except (FileNotFoundError, RunError) as error:  # which must not lose the numbers of a whole run
        warnings.warn(f"what the start found is not in metrics.json: {error}", stacklevel=2)
        return {}
    shares = [size / max(1, sum(kept["sizes"])) for size in kept["sizes"]]
    return {"start": {**kept, "spec": str(start.start), "shares": [round(share, 6) for share in shares]}}


def load_best(trainer: Trainer) -> InteLVAE:
    """The model that training ends with: after early stopping, that of the best evaluation.

    Without early stopping it has the weights that were averaged, where the optimiser averages them.
    """
    if trainer.stopping.best_model is None and (judged := _averages(trainer)) is not None:
        trainer.model.load_state_dict(judged)
    trainer.stopping.load_best(trainer.model)
    return trainer.model.eval()


def _averages(trainer: Trainer) -> dict[str, Tensor] | None:
    """The weights and buffers that are judged; None where they are those of training."""
    if not hasattr(trainer.optimizer, "averaged"):
        return None
    with trainer.averaged():
        return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


@torch.no_grad()
def final_numbers(trainer: Trainer) -> dict[str, Any]:
    """The terms of the objective on validation and test data, and the mapping's diagnosis of the test data."""
    model, dataset, seed = trainer.model.eval(), trainer.dataset, trainer.settings.seed
    # The last evaluation was of this model, unless training stopped early with another one.
    step, validation = trainer.newest_evaluation
    if step != trainer.step or trainer.stopping.best_model is not None:
        validation = evaluate(model, trainer.objective, dataset.validation, seed)
    numbers: dict[str, Any] = {
        "validation": validation,
        "test": evaluate(model, trainer.objective, dataset.test, seed),
    }
    means, labels = posterior_means(model, dataset.test), dataset.test.labels
    try:
        mapping = diagnose(model.mapping, means, None if labels is None else labels.to(trainer.device))
        json.dumps(mapping)
    except Exception as error:  # an error of a plugin must not lose the numbers of a whole run
        warnings.warn(f"the mapping's diagnosis failed with {type(error).__name__}: {error}", stacklevel=2)
        mapping = {}
    return {**numbers, "mapping": mapping}


def train_and_keep(trainer: Trainer, spec: RunSpec, folder: RunFolder | None, info: dict[str, Any]) -> Run:
    """Run a trainer to its end and keep everything in a folder that `info` describes.

    The folder is that of the first process; the others write nothing, and wait until it is complete.

    Raises:
        DivergenceError: if it diverges, after that has been recorded.
    """
    processes = trainer.processes
    with processes.agreeing():
        if folder is not None:
            keep(trainer, folder, info, spec.keep_checkpoints)
    with stop_on_signals(trainer):
        try:
            trainer.train()
        except DivergenceError as error:
            if folder is not None:
                finish(trainer, folder, error)
            raise
    run = None
    with processes.agreeing():
        if folder is not None:
            run = finish(trainer, folder)
    path = processes.from_first(lambda: str(folder.path) if folder is not None else "")
    return Run(RunFolder(Path(path)), load_best(trainer), info=info) if run is None else run
