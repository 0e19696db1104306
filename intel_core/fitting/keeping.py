"""What does a run write as it goes, and at its end? Lines, checkpoints, final weights and numbers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from intel_core import files
from intel_core.data.values import to_float
from intel_core.errors import DivergenceError
from intel_core.evaluation.run import Run
from intel_core.fitting.resuming import identity
from intel_core.fitting.signals import is_signal
from intel_core.mappings.compose import diagnose
from intel_core.model.vae import InteLVAE
from intel_core.runs import checkpoint
from intel_core.runs.folder import RunFolder
from intel_core.training.hooks import hookimpl
from intel_core.training.scoring import evaluate
from intel_core.training.trainer import Trainer

__all__ = [
    "finish",
    "keep",
    "load_best",
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


def keep(trainer: Trainer, folder: RunFolder, info: dict[str, Any]) -> None:
    """Let a trainer write its lines and checkpoints into a folder that `info` describes."""
    spec, belongs = trainer.spec, {"run": identity(info)}

    def save(trainer: Trainer) -> Path:
        files.sync(folder.log)  # a run that goes on from here finds every line up to here
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
        files.write_bytes(folder.path / "model.safetensors", checkpoint.to_bytes(trainer.model.state_dict()))
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
