"""How does a run become one safetensors file, and such a file a run directory?

The tensors are the trained weights. The JSON files of the run directory, and the lines of its log, are one JSON text in
the file's metadata, under the key ``intelvae``. A file may come from a stranger: everything in it is held to what a run
directory holds before anything is written, and nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

import safetensors.torch
import torch
from pydantic import Field, JsonValue
from torch import Tensor

from intel_core import files
from intel_core.components.spec import ComponentSpec, format_spec, parse_spec
from intel_core.errors import IntelError, RunError
from intel_core.evaluation.run import Run
from intel_core.runs import checkpoint, opening
from intel_core.runs.contents import Content, MetricsContent, RunContent, require
from intel_core.runs.opening import MOST_JSON
from intel_hub.places import FILE

__all__ = ["KEY", "pack", "read_packed", "unpack", "write"]

KEY = "intelvae"
_PATHS = {"data": "datasets", "start": "starts"}
"""Settings that may name a file of the machine that a run was trained on, and their kinds of component."""
_MOST_LINES = 20_000
"""Of a log, in the file."""
_SHA256 = r"^[0-9a-f]{64}$"


class PackedContent(Content):
    """What the metadata of a file hold; the parts are held to models of their own."""

    FORMAT: ClassVar[int] = 1

    format: Annotated[int, Field(ge=1, lt=2**31)]
    sha256: Annotated[str, Field(pattern=_SHA256)]
    run: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    log: list[dict[str, JsonValue]]


def pack(run: Run) -> bytes:
    """The one file of a finished run.

    Paths of data and of a start's file are cut down to the name of the file, so that nothing is told of folders.

    Raises:
        RunError: if the run has not ended.
    """
    if run.status != "finished":
        raise RunError(
            f"{run.path} is {run.status}; what is handed on is a finished run: intel train --resume {run.path}"
        )
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in run.model.state_dict().items()}
    info = dict(run.info)
    for part in ("spec", "asked"):
        if isinstance(info.get(part), dict):
            info[part] = {key: _without_folder(key, value) for key, value in info[part].items()}
    held = {
        "format": PackedContent.FORMAT,
        "sha256": _digest(tensors),
        "run": info,
        "metrics": run.metrics,
        "log": _thinned(run.records()),
    }
    return safetensors.torch.save(tensors, metadata={"format": "pt", KEY: json.dumps(held, ensure_ascii=False)})


def _thinned(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most so many lines of a log, evenly, and the last of each kind: curves look the same."""
    if len(records) <= _MOST_LINES:
        return records
    every = -(-len(records) // _MOST_LINES)
    kinds = {record.get("kind", ""): position for position, record in enumerate(records)}
    return [one for position, one in enumerate(records) if position % every == 0 or position in kinds.values()]


def _without_folder(key: str, value: Any) -> Any:
    if key not in _PATHS or not isinstance(value, str):
        return value
    with contextlib.suppress(IntelError, ValueError):
        spec = parse_spec(_PATHS[key], value)
        if (path := getattr(spec, "path", None)) is not None and Path(str(path)).is_absolute():
            given = {name: getattr(spec, name) for name in type(spec).model_fields}
            shortened: ComponentSpec = type(spec).model_validate({**given, "path": Path(str(path)).name})
            return format_spec(shortened, explicit=key == "data")
    return value


def read_packed(content: bytes) -> dict[str, Any]:
    """What the metadata of a file that `pack` made hold."""
    found: dict[str, Any] = _metadata(content)
    return found


def unpack(content: bytes, what: str) -> tuple[str, dict[str, bytes]]:
    """The name of a run and the files of its directory.

    Args:
        content: of a file that `pack` made, or that a stranger says is one.
        what: where it is from, for messages.

    Raises:
        RunError: if it is anything else; the message names the first thing that is wrong.
    """
    try:
        held = _metadata(content)
        require(Path(what), PackedContent, held)
        tensors = checkpoint.read_tensors(content)
    except ValueError as error:
        raise RunError(f"{what} is no run that was handed on: {error}") from None
    if _digest(tensors) != held["sha256"]:
        raise RunError(f"{what} is damaged: its weights do not match their checksum")
    info = require(Path(what) / "run.json", RunContent, held["run"])
    metrics = require(Path(what) / "metrics.json", MetricsContent, held["metrics"])
    if metrics["status"] != "finished":
        raise RunError(f"{what} is damaged: metrics.json says that the run is {metrics['status']}")
    weights = checkpoint.to_bytes(tensors)
    metrics = {**metrics, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    lines = "".join(json.dumps(line) + "\n" for line in held["log"])
    return str(info["name"]), {
        FILE: weights,
        "metrics.json": _json(metrics),
        "metrics.jsonl": lines.encode(),
        "run.json": _json(info),
    }


def write(folder: Path, found: dict[str, bytes]) -> None:
    """Write the files of a run directory into an empty folder."""
    for name, content in found.items():
        files.write_bytes(folder / name, content)


def _metadata(content: bytes) -> Any:
    """The run in the metadata of a safetensors file.

    Raises:
        ValueError: if there is none.
    """
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(len(content) - 8, 2 * MOST_JSON):
        raise ValueError("it is no safetensors file")
    header = opening.parse_json(content[8 : 8 + size])
    texts = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(texts, dict) or not isinstance(texts.get(KEY), str):
        raise ValueError(f"its metadata have no {KEY!r}")
    text = texts[KEY].encode(errors="surrogatepass")
    if len(text) > MOST_JSON:
        raise ValueError(f"its metadata are {len(text):,} bytes long, expected at most {MOST_JSON:,}")
    return opening.parse_json(text)


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of all tensors with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
