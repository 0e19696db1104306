"""Where are the weights of a run, and are they whole? In its own file, or in its newest checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor

from intel_core.errors import RunError
from intel_core.runs import checkpoint, opening
from intel_core.runs.folder import RunFolder

__all__ = ["bytes_of_weights", "stored_weights"]

_WEIGHTS = "model.safetensors"


def bytes_of_weights(folder: RunFolder) -> int:
    """The size of the file that the weights are read from; 0 if there is none."""
    newest: list[Path] = checkpoint.listed(folder.checkpoints)[-1:]
    for path in (folder.path / _WEIGHTS, *(one / _WEIGHTS for one in newest)):
        with contextlib.suppress(OSError):
            return path.lstat().st_size
    return 0


def stored_weights(folder: RunFolder, metrics: dict[str, Any], most: int) -> dict[str, Tensor]:
    """The weights of a run by name; those that were averaged, if it was interrupted and averages them.

    Args:
        folder: its directory.
        metrics: its final numbers, with the checksum; empty for a run that has not ended.
        most: bytes that they may have.

    Raises:
        RunError: if there are none, or they are damaged.
    """
    path = folder.path / _WEIGHTS
    if opening.has(folder.path, _WEIGHTS):
        try:
            content = opening.read_bytes(folder.path, _WEIGHTS, most)
            weights = checkpoint.read_tensors(content)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        digest = metrics.get("weights_sha256")
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise RunError(f"{path} is damaged: it does not match the checksum in metrics.json")
        return weights
    if metrics.get("status") == "diverged" and not checkpoint.listed(folder.checkpoints):
        raise RunError(f"{folder.path} diverged at step {metrics.get('step')}, before its first checkpoint")
    newest = checkpoint.latest(folder.checkpoints, most)[0]
    tensors = checkpoint.load(newest, most)[1]
    return tensors.get("averaged", tensors["model"])
