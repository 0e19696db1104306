"""What is a checkpoint? A folder of safetensors and one JSON file with checksums, complete or not there at all.

``step-0000004000/`` holds ``model.safetensors``, ``training.safetensors``, with early stopping also
``best.safetensors``, and ``state.json``. It is written under another name, synced and renamed, so a reader never sees
half of one; nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from intel_core.errors import RunError

__all__ = ["FORMAT", "latest", "load", "prune", "remove_after", "save", "to_bytes", "write_bytes", "write_text"]

FORMAT = 1
_NAME = re.compile(r"step-(\d{10})")


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        RunError: if the disk does not take it.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`, for bytes.

    Raises:
        RunError: if the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def to_bytes(tensors: Dictionary[str, Tensor]) -> bytes:
    """Tensors in the safetensors format, from any device; those that share memory are written apart."""
    return safetensors.torch.save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})


def save(folder: Path, step: int, tensors: Dictionary[str, Dictionary[str, Tensor]], state: dict[str, Any]) -> Path:
    """Write one checkpoint.

    Args:
        folder: where checkpoints of this run lie.
        step: training step, which names it.
        tensors: tensors by file and name.
        state: whatever JSON holds.

    Raises:
        RunError: if the disk does not take it; what was there before stays.
    """
    final = folder / f"step-{step:010d}"
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        sums = {}
        for name, values in tensors.items():
            content = to_bytes(values)
            sums[f"{name}.safetensors"] = hashlib.sha256(content).hexdigest()
            _write_synced(temporary / f"{name}.safetensors", content)
        meta = {"format": FORMAT, "step": step, "sha256": sums, "state": state}
        _write_synced(temporary / "state.json", json.dumps({**meta, "checksum": _checksum(meta)}, indent=1).encode())
        if final.exists():  # put aside rather than removed first, so that there is always one of the two
            final.rename(folder / f".{final.name}.old.tmp")
        temporary.rename(final)
        _sync_folder(folder)
        shutil.rmtree(folder / f".{final.name}.old.tmp", ignore_errors=True)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(f"checkpoint {final} cannot be written: {error.strerror}") from error
    return final


def _checksum(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path) -> tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Step, tensors and state of a checkpoint, its checksums verified.

    Raises:
        RunError: if it is missing, damaged, or of a later format.
    """
    try:
        meta = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if meta["format"] > FORMAT:
            raise RunError(f"checkpoint {path} has format {meta['format']}, this core reads up to {FORMAT}: upgrade it")
        if _checksum({key: value for key, value in meta.items() if key != "checksum"}) != meta["checksum"]:
            raise RunError(f"checkpoint {path} is damaged: state.json does not match its checksum")
        tensors = {}
        for name, expected in meta["sha256"].items():
            content = (path / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != expected:
                raise RunError(f"checkpoint {path} is damaged: {name} does not match its checksum")
            tensors[name.removesuffix(".safetensors")] = safetensors.torch.load(content)
        return int(meta["step"]), tensors, meta["state"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise RunError(f"checkpoint {path} cannot be read: {type(error).__name__}: {error}") from None


def listed(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first; unfinished ones do not count."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))


def latest(folder: Path) -> tuple[Path, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with newer ones.

    Raises:
        RunError: if there is none.
    """
    problems = []
    for path in reversed(listed(folder)):
        try:
            load(path)
        except RunError as error:
            problems.append(str(error))
            continue
        return path, problems
    raise RunError("; ".join([f"{folder} holds no checkpoint that can be used", *problems]))


def remove_after(folder: Path, step: int) -> None:
    """Remove checkpoints of later steps: damaged ones that a continued run would count among its newest."""
    for path in listed(folder):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path, ignore_errors=True)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what interrupted writers left."""
    for path in listed(folder)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
