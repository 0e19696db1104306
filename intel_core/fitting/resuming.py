"""From where is an interrupted run continued? From its newest undamaged checkpoint."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from intel_core.errors import RunError
from intel_core.fitting.starting import go_on_from_start
from intel_core.runs import checkpoint
from intel_core.runs.folder import RunFolder
from intel_core.runs.tensors import most_bytes, require_state
from intel_core.training.trainer import Trainer

__all__ = ["go_on", "identity", "load_checkpoint"]

_DECIDING = ("mapping", "likelihood", "objective", "encoder", "decoder", "latent", "batch_size", "seed")


def identity(info: dict[str, Any]) -> str:
    """A digest that says to which run a checkpoint belongs, made from what decides the run, as ``run.json`` holds it.

    >>> identity({"spec": {"seed": 1}, "data": {}}) == identity({"spec": {"seed": 2}, "data": {}})
    False
    """
    decides = {key: info["spec"].get(key) for key in _DECIDING} | {"data": info["data"].get("fingerprint")}
    if info["spec"].get("kl") == "z":  # runs of earlier versions say nothing, and have it in y
        decides["kl"] = "z"
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def go_on(trainer: Trainer, folder: RunFolder, info: dict[str, Any], keep_checkpoints: int) -> None:
    """Load the last saved state of a run into a new trainer, and bring the folder into that state.

    A checkpoint that cannot be used is put aside with a warning, and the one before it is used. A run that was killed
    before its first checkpoint begins again, which gives the same run.

    Args:
        trainer: a trainer at its first step.
        folder: the run directory, locked.
        info: the content of its ``run.json``.
        keep_checkpoints: how many are kept.

    Raises:
        RunError: if there is no usable checkpoint, or one of a later format; then nothing is changed.
    """
    found = checkpoint.listed(folder.checkpoints)
    chosen, problems = _first_usable(trainer, found, identity(info))
    if chosen is None:
        due = trainer.settings.save_every or trainer.steps
        if found or any(record["step"] > due for record in folder.records()):
            raise RunError("; ".join([f"{folder.checkpoints} holds no checkpoint that can be used", *problems]))
        warnings.warn(f"{folder.path} was not saved yet; it begins again with its first step", stacklevel=3)
    for problem in problems:
        assert chosen is not None
        warnings.warn(f"{problem}; going on from {chosen.name}", stacklevel=3)
    go_on_from_start(trainer, folder.path)
    checkpoint.put_aside_after(folder.checkpoints, trainer.step)
    checkpoint.prune(folder.checkpoints, keep_checkpoints)
    folder.clear_leftovers()
    folder.forget_after(trainer.step)


def load_checkpoint(trainer: Trainer, path: Path, run: str) -> dict[str, Any]:
    """Load one checkpoint into a trainer, and return the numbers in it.

    Args:
        trainer: of the run that it is expected to belong to.
        path: the checkpoint.
        run: the `identity` of that run.

    Raises:
        RunError: if it is damaged, or of another run; then nothing is changed.
        NewerFormatError: if it is of a later format.
    """
    step, tensors, state = checkpoint.load(path, most_bytes(trainer.model))
    if state.get("run", run) != run:
        raise RunError(f"checkpoint {path} belongs to another run, or run.json has been changed")
    try:
        require_state(trainer, step, tensors, state)
    except RunError as error:
        raise RunError(f"{path}: the checkpoint does not fit this run: {error}") from error
    trainer.load_state(step, tensors, state)
    return state


def _first_usable(trainer: Trainer, found: list[Path], run: str) -> tuple[Path | None, list[str]]:
    problems: list[str] = []
    for path in reversed(found):
        try:
            load_checkpoint(trainer, path, run)
            return path, problems
        except checkpoint.NewerFormatError:
            raise
        except RunError as error:
            problems.append(str(error))
    return None, problems
