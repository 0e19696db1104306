"""What is a checkpoint? A folder of safetensors and one JSON file with checksums; it is complete or does not exist.

``step-0000004000/`` holds ``model.safetensors``, ``training.safetensors``, with early stopping also
``best.safetensors``, and ``state.json``. It is written under another name, synced and renamed, so a reader never sees
an incomplete one; nothing in it can run code.
"""

from __future__ import annotations

import contextlib
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
import torch
from torch import Tensor, nn

from intel_core.errors import RunError
from intel_core.files import reason_of, sync_folder, write_synced

__all__ = [
    "FORMAT",
    "NewerFormatError",
    "latest",
    "listed",
    "load",
    "prune",
    "put_aside_after",
    "save",
    "to_bytes",
    "weights_digest",
]

FORMAT = 1
_NAME = re.compile(r"step-(\d{10})")
_OLD = ".old.tmp"


class NewerFormatError(RunError):
    """A checkpoint written by a later version of this core: it is not damaged, so no older one is used instead."""


def weights_digest(module: nn.Module) -> str:
    """First 16 hexadecimal digits of a SHA-256 of a module's weights and buffers, with their names.

    >>> weights_digest(nn.Identity())
    'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def to_bytes(tensors: Dictionary[str, Tensor]) -> bytes:
    """Tensors in the safetensors format, from any device; tensors that share memory are written separately."""
    return safetensors.torch.save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})


def save(folder: Path, step: int, tensors: Dictionary[str, Dictionary[str, Tensor]], state: dict[str, Any]) -> Path:
    """Write one checkpoint.

    Args:
        folder: the folder with the checkpoints of this run.
        step: training step, which names the checkpoint.
        tensors: tensors by file and name.
        state: any values that JSON can hold.

    Raises:
        RunError: if it cannot be written; what was there before stays.
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
            write_synced(temporary / f"{name}.safetensors", content)
        meta = {"format": FORMAT, "step": step, "sha256": sums, "state": state}
        write_synced(temporary / "state.json", json.dumps({**meta, "checksum": _checksum(meta)}, indent=1).encode())
        sync_folder(temporary)
        old = folder / f".{final.name}{_OLD}"
        if final.exists():  # renamed rather than removed first, so that one of the two always exists
            _remove(old)
            final.rename(old)
        temporary.rename(final)
        sync_folder(folder)
        _remove(old)
    except OSError as error:
        _remove(temporary)
        raise RunError(f"checkpoint {final} cannot be written: {reason_of(error)}; older ones stay") from error
    return final


def _remove(path: Path) -> None:
    """Remove a folder or a file as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _checksum(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def load(path: Path) -> tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Step, tensors and state of a checkpoint, whose checksums are verified.

    Raises:
        RunError: if it is missing or damaged.
        NewerFormatError: if it is of a later format.
    """
    try:
        meta = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if meta["format"] > FORMAT:
            raise NewerFormatError(
                f"checkpoint {path} has format {meta['format']}, this core reads up to {FORMAT}: upgrade it"
            )
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
    """Checkpoints in a folder, oldest first, including damaged ones but not unfinished ones.

    Raises:
        RunError: if it is something else than a folder, or cannot be read.
    """
    try:
        entries = {path.name: path for path in folder.iterdir()}
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder} cannot be read as a folder of checkpoints: {reason_of(error)}") from error
    found = {name: path for name, path in entries.items() if _NAME.fullmatch(name)}
    for name, path in entries.items():  # left by a process that died while it replaced an old one by a new one
        step = name.removeprefix(".").removesuffix(_OLD)
        if name == f".{step}{_OLD}" and _NAME.fullmatch(step):
            found.setdefault(step, path)
    return [path for _, path in sorted(found.items())]


def latest(folder: Path) -> tuple[Path, list[str]]:
    """The newest undamaged checkpoint, and what is wrong with newer ones.

    Raises:
        RunError: if there is none.
        NewerFormatError: if a later version of this core wrote it.
    """
    problems = []
    for path in reversed(listed(folder)):
        try:
            load(path)
        except NewerFormatError:
            raise
        except RunError as error:
            problems.append(str(error))
            continue
        return path, problems
    raise RunError("; ".join([f"{folder} holds no checkpoint that can be used", *problems]))


def put_aside_after(folder: Path, step: int) -> None:
    """Rename checkpoints of later steps, which are damaged, so that a continued run does not count them.

    The damaged ones are kept as ``step-….damaged``, so that one can find out what happened. An earlier one that was
    being replaced gets its name back.
    """
    for path in listed(folder):
        name = path.name.removeprefix(".").removesuffix(_OLD)
        if int(name.removeprefix("step-")) > step:
            aside = folder / f"{name}.damaged"
            _remove(aside)
            with contextlib.suppress(OSError):
                path.rename(aside)
        elif path.name != name:
            with contextlib.suppress(OSError):
                path.rename(folder / name)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what interrupted writers left."""
    for path in [*listed(folder)[:-keep], *folder.glob(".step-*.tmp")]:
        _remove(path)
