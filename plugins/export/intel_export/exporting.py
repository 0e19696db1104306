"""How is a run exported? Each graph is written, read back and compared with the model before any file is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from intel_core import files
from intel_core.compute.precision import torch_as_usual
from intel_core.errors import IntelError, RunError, SpecError, did_you_mean
from intel_core.evaluation.run import Run, load_run
from intel_core.runs.folder import versions
from intel_core.runs.opening import require_own_folder
from intel_export.formats import FORMATS, Format
from intel_export.graphs import PARTS, Graph, graphs_of, usual_parts

__all__ = ["TOLERANCE", "Exported", "export"]

TOLERANCE = 1e-5
"""By how much a result may differ from the model's, absolutely or relative to its size."""


class Exported(NamedTuple):
    """What was exported.

    Attributes:
        files: by part: ``encoder``, ``mapping``, ``generator``, ``prior``.
        difference: the largest difference from the model, relative to a result's size where that exceeds 1; None where
            nothing could run the files here.
        trained_in: the number format in which the networks were trained; they are exported in float32.
    """

    files: dict[str, Path]
    difference: float | None
    trained_in: str


@torch_as_usual()
def export(
    run: Run | str | Path, format: str = "onnx", folder: str | Path | None = None, *, parts: Sequence[str] = ()
) -> Exported:
    """Write encoder, mapping and generator of a run as files that need no framework.

    Each takes any number of examples, n >= 1: the encoder ``x -> mean, std`` of q(y|x), the mapping ``y -> z``, and the
    generator ``z -> x``, the mean of p(x|z), all in float32, with x in the units of the data (float64 where the run
    standardised them). Where the run has conditions, encoder and generator take ``conditions`` too, the numbers that
    the networks see: a 1 for the word among zeros for the others, (value - mean) / std.

    A prior other than N(0, I) is a fourth, ``noise -> y``. Every file is compared with the model, in float32, before it
    is put in place. Metadata is JSON under the key ``intelvae``; in a ``.pt2`` file ``intelvae.json``.

    Args:
        run: a run, or its directory.
        format: ``onnx``, or ``torch`` for torch.export.
        folder: where the files go; by default ``RUN/export``.
        parts: which of ``encoder``, ``mapping``, ``generator``, ``prior``; all that the run needs by default.

    Raises:
        SpecError: if there is no such format or part, or the run cannot be loaded.
        RunError: if a part cannot be exported or gives other numbers, naming it; nothing is written then.
        EnvironmentProblem: if a package is missing.
    """
    if format not in FORMATS:
        raise SpecError(f"there is no format {format!r}{did_you_mean(format, FORMATS, say='formats')}")
    for part in parts:
        if part not in PARTS:
            raise SpecError(f"there is no part {part!r}{did_you_mean(part, PARTS, say='parts')}")
    how = FORMATS[format]
    how.require()
    run = run if isinstance(run, Run) else load_run(run)
    chosen = tuple(parts) or usual_parts(run)
    folder = run.path / "export" if folder is None else Path(folder)
    contents: dict[Path, bytes] = {}
    found: dict[str, Path] = {}
    differences: list[float | None] = []
    for graph in graphs_of(run, chosen):
        content, difference = _written(graph, how, run, format, [part for part in chosen if part != graph.part])
        found[graph.part] = folder / f"{graph.part}{how.suffix}"
        contents[found[graph.part]] = content
        differences.append(difference)
    _make(folder, of_run=run.path)
    for path, content in contents.items():
        files.write_bytes(path, content)
    compared = [difference for difference in differences if difference is not None]
    return Exported(found, max(compared) if compared else None, str(run.spec.precision))


def _written(graph: Graph, how: Format, run: Run, format: str, others: list[str]) -> tuple[bytes, float | None]:
    """The content of a file, and how far it is from the model.

    Raises:
        RunError: naming what cannot be exported.
    """
    try:
        content = how.write(graph, _about(graph, run))
        difference = _difference(graph, how, content)
    except (IntelError, MemoryError):
        raise
    except Exception as error:  # whatever the exporters and the run times of others make of a plugin's module
        raise RunError(
            f"{graph.made_of} cannot be exported as {format} ({_reason(error)}){_without(graph, others)}"
        ) from error
    if difference is not None and not difference <= TOLERANCE:
        raise RunError(
            f"{graph.made_of}: what is exported as {format} differs from the model by {difference:.2g}, more than "
            f"{TOLERANCE:g}{_without(graph, others)}"
        )
    return content, difference


def _reason(error: BaseException) -> str:
    """What an error goes back to, in one line without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())[:160]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _without(graph: Graph, others: list[str]) -> str:
    return f"; without it: --part {' --part '.join(others)}" if others else ""


@torch.no_grad()
def _difference(graph: Graph, how: Format, content: bytes) -> float | None:
    """The largest difference between a file and the model, for one example, two, seven and many."""
    call = how.read(content)
    if call is None:
        return None
    worst = torch.zeros((), dtype=torch.float64)
    for count in (1, 2, 7, len(graph.rows[0])):
        rows = [argument[:count] for argument in graph.rows]
        expected = graph.module(*rows)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = call(*rows)
        for one, other in zip(found, expected, strict=True):
            if one.shape != other.shape:
                raise ValueError(f"it gives shape {tuple(one.shape)}, the model {tuple(other.shape)}")
            apart = (one.double() - other.double()).abs() / other.double().abs().clamp(min=1)
            worst = torch.maximum(worst, apart.max())  # a NaN stays one
    return float(worst)


def _about(graph: Graph, run: Run) -> dict[str, Any]:
    """The metadata of a file."""
    data = run.info["data"]
    results = graph.module(*(argument[:1] for argument in graph.rows))
    results = results if isinstance(results, tuple) else (results,)
    values = dict(zip((*graph.takes, *graph.gives), (*graph.rows, *results), strict=True))
    return {
        "part": graph.part,
        "run": run.info["name"],
        "spec": run.info["spec"],
        "versions": versions(),
        "trained_with": run.info["versions"],
        "weights_sha256": run.metrics.get("weights_sha256"),
        "values": {
            name: {"shape": ["n", *value.shape[1:]], "type": str(value.dtype).removeprefix("torch.")}
            for name, value in values.items()
        },
        "data": {key: data[key] for key in ("shape", "support", "columns", "classes", "scaling") if data.get(key)}
        | ({"conditions": data["conditions"]["columns"]} if data.get("conditions") else {}),
    }


def _make(folder: Path, of_run: Path) -> None:
    if folder.parent == of_run:
        require_own_folder(folder)  # a run directory may be a stranger's
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RunError(f"folder {folder} cannot be made: {getattr(error, 'strerror', None) or error}") from error
