"""What is a checkpoint? A folder of safetensors and one JSON file with checksums; it is complete or does not exist.

``step-0000004000/`` holds ``model.safetensors``, ``training.safetensors``, with early stopping also
``best.safetensors``, where an optimiser averages weights ``averaged.safetensors``, and ``state.json``. It is written
under another name, synced and renamed, so a reader never sees an incomplete one; nothing in it can run code.
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
from intel_core.files import sync_folder, unwritable, write_synced
from intel_core.runs.contents import CheckpointContent, require
from intel_core.runs.opening import entries, read_bytes, read_json, require_own_folder

__all__ = [
    "FORMAT",
    "NewerFormatError",
    "latest",
    "listed",
    "load",
    "prune",
    "put_aside_after",
    "read_tensors",
    "save",
    "to_bytes",
    "weights_digest",
]

FORMAT = 1
_NAME = re.compile(r"step-(\d{10})")
_OLD = ".old.tmp"
_FILES = {"model.safetensors", "training.safetensors"}
"""What every checkpoint has."""
_ANY_SIZE = 2**48


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


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """Tensors in the safetensors format, each in memory of its own.

    Raises:
        ValueError: if it is something else.
    """
    try:
        return {name: value.clone() for name, value in safetensors.torch.load(content).items()}
    except MemoryError:
        raise
    except Exception as error:  # of shapes and types that torch has none for, whatever torch makes of them
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error


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
    require_own_folder(folder)
    try:
        _remove(temporary)
        temporary.mkdir()
        sums = {}
        for name, values in tensors.items():
            content = to_bytes(values)
            sums[f"{name}.safetensors"] = hashlib.sha256(content).hexdigest()
            write_synced(temporary / f"{name}.safetensors", content)
        meta = {"format": FORMAT, "step": step, "sha256": sums, "state": state}
        write_synced(temporary / "state.json", json.dumps({**meta, "checksum": _checksum(meta)}, indent=1).encode())
        sync_folder(temporary)
        old = folder / f".{final.name}{_OLD}"
        if os.path.lexists(final):  # put aside rather than removed first, so that there is always one of the two
            _remove(old)
            final.rename(old)
        temporary.rename(final)
        sync_folder(folder)
        _remove(old)
    except OSError as error:
        _remove(temporary)
        raise unwritable(f"checkpoint {final}", error, "; older ones stay") from error
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


def load(path: Path, most: int = _ANY_SIZE) -> tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Step, tensors and state of a checkpoint, whose checksums are verified.

    Whether the tensors are those of a model is for `intel_core.runs.tensors` to say.

    Args:
        path: its folder.
        most: bytes that a file of tensors may have.

    Raises:
        RunError: if it is missing or damaged.
        NewerFormatError: if it is of a later format.
    """
    root, name = path.parent.parent, "/".join(part for part in (path.parent.name, path.name) if part)
    try:
        meta = read_json(root, f"{name}/state.json")
        version = meta.get("format") if isinstance(meta, dict) else None
        if type(version) is int and version > FORMAT:
            raise NewerFormatError(
                f"checkpoint {path} has format {version}, this core reads up to {FORMAT}: upgrade it"
            )
        require(path / "state.json", CheckpointContent, meta)
        if _checksum({key: value for key, value in meta.items() if key != "checksum"}) != meta["checksum"]:
            raise RunError(f"checkpoint {path} is damaged: state.json does not match its checksum")
        if (step := _step_of(path)) not in (None, meta["step"]):
            raise RunError(f"checkpoint {path} is damaged: state.json is that of step {meta['step']}, not {step}")
        if missing := _FILES - set(meta["sha256"]):
            raise RunError(f"checkpoint {path} is damaged: it has no {min(missing)}")
        tensors = {}
        for file, expected in meta["sha256"].items():
            content = read_bytes(root, f"{name}/{file}", most)
            if hashlib.sha256(content).hexdigest() != expected:
                raise RunError(f"checkpoint {path} is damaged: {file} does not match its checksum")
            tensors[file.removesuffix(".safetensors")] = read_tensors(content)
        return meta["step"], tensors, meta["state"]
    except (OSError, ValueError) as error:
        said = f"it has no {Path(str(error.filename)).name}" if isinstance(error, FileNotFoundError) else error
        raise RunError(f"checkpoint {path} cannot be read: {said}") from None


def _step_of(path: Path) -> int | None:
    """The step that the name of a checkpoint's folder says."""
    found = _NAME.fullmatch(path.name.removeprefix(".").removesuffix(_OLD))
    return int(found[1]) if found else None


def listed(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first, including damaged ones but not unfinished ones.

    Raises:
        RunError: if it is a link or something else than a folder, or cannot be read.
    """
    names = {path.name: path for path in entries(folder)}
    found = {name: path for name, path in names.items() if _NAME.fullmatch(name)}
    for name, path in names.items():  # of a process that died as it put a new one in the place of an old one
        step = name.removeprefix(".").removesuffix(_OLD)
        if name == f".{step}{_OLD}" and _NAME.fullmatch(step):
            found.setdefault(step, path)
    return [path for _, path in sorted(found.items())]


def latest(folder: Path, most: int = _ANY_SIZE) -> tuple[Path, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with newer ones; `most` as for `load`.

    Raises:
        RunError: if there is none.
        NewerFormatError: if a later version of this core wrote it.
    """
    problems = []
    for path in reversed(listed(folder)):
        try:
            load(path, most)
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
