"""What do the JSON files of a run directory hold? A model of each, to which everything that is read is held.

Whatever of a file is used anywhere is named here with its type; what a later version adds may be there too. The models
only judge: the values themselves are handed on as JSON has them. Nothing here imports torch.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    ValidationError,
    model_validator,
)

from intel_core.data.dataset import Support
from intel_core.errors import RunError
from intel_core.runs.opening import parse_json, read_bytes, read_json, read_tail

__all__ = [
    "GROUP_FILE",
    "LOG_FILE",
    "START_FILE",
    "CheckpointContent",
    "Content",
    "MetricsContent",
    "RunContent",
    "StateContent",
    "last_step",
    "read",
    "records",
    "require",
]

GROUP_FILE = "replicates.json"
"""In a folder that holds the runs of several seeds and is none."""
LOG_FILE = "metrics.jsonl"
START_FILE = "start.json"
_MOST_LOG = 2**30
"""Bytes of the log."""
_LAST_LINES = 2**22


def _is_text(value: object) -> str:
    """Any text; pydantic refuses one with what UTF-8 has no form for, and names of files may hold that."""
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


Text = Annotated[str, PlainValidator(_is_text)]
Time = Annotated[Text, AfterValidator(datetime.datetime.fromisoformat)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Several = Annotated[int, Field(ge=1, lt=2**63)]
Number = int | float
"""NaN and infinity included, for which Python's JSON has words: a run may end with such a number."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Content(BaseModel):
    """Base of all: types are taken at their word, and what is not named here may be there."""

    model_config = ConfigDict(extra="allow", strict=True)


# --- run.json --------------------------------------------------------------------------------------------------


class SettingsContent(Content):
    """The resolved spec, as far as it is looked at before it is read as a `RunSpec`."""

    mapping: list[Text]
    data: Text
    seed: Count
    steps: Several
    likelihood: Text | None = None
    objective: Text | None = None
    encoder: Text | None = None
    decoder: Text | None = None
    schedules: dict[str, Text] = {}
    latent: Several | None = None
    batch_size: Several | None = None
    device: Text = "auto"
    devices: Several = 1
    nodes: Several = 1
    name: Text | None = None


class ComponentContent(Content):
    """Who takes part."""

    kind: Text
    name: Text
    distribution: Text
    version: Text


class ScalingContent(Content):
    """By what columns were standardised."""

    mean: list[Finite]
    std: list[Positive]


class MissingContent(Content):
    """What became of missing values, and what they were filled in with."""

    by: Literal["drop", "mean", "median"]
    values: list[Finite] = []


class DataContent(Content):
    """What is kept of the data."""

    name: Text
    train: Count
    validation: Count
    test: Count
    shape: Annotated[list[Several], Field(min_length=1, max_length=8)]
    support: Support
    classes: list[Text] = []
    scaling: ScalingContent | None = None
    columns: list[Text] = []
    reader: Text = ""
    missing: MissingContent | None = None
    fingerprint: Text
    fingerprints: dict[str, Text] = {}

    @model_validator(mode="after")
    def _check_columns(self) -> DataContent:
        counts = {"columns": len(self.columns)} if self.columns else {}
        if self.scaling is not None:
            counts |= {"scaling.mean": len(self.scaling.mean), "scaling.std": len(self.scaling.std)}
        counts |= {"missing.values": len(self.missing.values)} if self.missing and self.missing.values else {}
        expected = self.shape[0] if len(self.shape) == 1 else 1  # images have one scale for all of their values
        for what, count in counts.items():
            if count != expected:
                raise ValueError(f"{what} has {count} entries, expected {expected} for the shape {self.shape}")
        return self


class TrialContent(Content):
    """A start that was tried."""

    seed: Count


class RunContent(Content):
    """``run.json``."""

    FORMAT: ClassVar[int] = 1

    format: Count = 0
    name: Text
    created: Time
    spec: SettingsContent
    asked: dict[str, JsonValue] | None = None
    device: Text = ""
    components: list[ComponentContent] = []
    versions: dict[str, Text] = {}
    data: DataContent
    trials: list[TrialContent] = []
    parameters: Count
    processes: Several = 1
    threads: Several | None = None


# --- metrics.json, and the lines of metrics.jsonl ------------------------------------------------------------------


class NumbersContent(Content):
    """The terms of an evaluation, nats per example."""

    __pydantic_extra__: dict[str, Number | list[Number] | None]

    loss: Number
    elbo: Number
    log_likelihood: Number
    kl: Number
    active_units: Count
    kl_per_dim: list[Number]


class StartContent(Content):
    """``start.json``: which clusters a training began from; what else the start tells of them is beside it."""

    step: Count
    sizes: list[Count]


class MetricsContent(Content):
    """``metrics.json``."""

    status: Literal["finished", "interrupted", "diverged"]
    stop_reason: Text | None = None
    step: Count
    epoch: Number = 0
    seconds: Number
    best_step: Count = 0
    problem: Text = ""
    weights_sha256: Digest | None = None
    validation: NumbersContent | None = None
    test: NumbersContent | None = None
    mapping: dict[str, JsonValue] | None = None
    start: StartContent | None = None

    @model_validator(mode="after")
    def _check_numbers(self) -> MetricsContent:
        for name in ("validation", "test", "mapping") if self.status == "finished" else ():
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing, and the run is finished")
        return self


class LineContent(Content):
    """A line of ``metrics.jsonl``: terms, and the weights that they had."""

    __pydantic_extra__: dict[str, Number | list[Number] | None]

    kind: Text = ""
    step: Count
    weights: dict[str, Number] = {}


# --- replicates.json -------------------------------------------------------------------------------------------


class EntryContent(Content):
    """What a group says of one seed."""

    seed: Count
    folder: Text
    status: Text
    step: Count = 0
    test_elbo: Number | None = None
    problem: Text = ""

    @model_validator(mode="after")
    def _check_folder(self) -> EntryContent:
        if self.folder != f"seed-{self.seed}":
            raise ValueError(f"folder {self.folder!r} is not that of seed {self.seed}")
        return self


class GroupContent(Content):
    """``replicates.json``."""

    FORMAT: ClassVar[int] = 1

    format: Count = 0
    name: Text
    seeds: list[Count] = []
    status: Text = ""
    stacked: bool = False
    why_not: Text = ""
    runs: list[EntryContent]


# --- state.json of a checkpoint ----------------------------------------------------------------------------------


class ReasonContent(Content):
    """Why a training stops again at once."""

    text: Text
    kind: Literal["signal", "early stopping", "request"]


class StateContent(Content):
    """What the parts of a trainer remember beside tensors."""

    window: list[Text]
    seconds: Annotated[Finite, Field(ge=0)]
    best: Finite | None
    best_step: Count
    evaluations_without_gain: Count
    stop_reason: Text | ReasonContent | None
    losses: list[Finite] = []
    run: Text | None = None


class CheckpointContent(Content):
    """``state.json``; `state` is held to `StateContent` by whoever goes on from it."""

    FORMAT: ClassVar[int] = 1

    format: Count
    step: Count
    sha256: dict[
        Literal["model.safetensors", "training.safetensors", "best.safetensors", "averaged.safetensors"], Digest
    ]
    state: dict[str, JsonValue]
    checksum: str


# --- reading ---------------------------------------------------------------------------------------------------


CONTENTS: dict[str, type[Content]] = {
    "run.json": RunContent,
    "metrics.json": MetricsContent,
    START_FILE: StartContent,
    GROUP_FILE: GroupContent,
}


def read(folder: Path, name: str) -> dict[str, Any]:
    """The content of ``run.json``, ``metrics.json``, ``start.json`` or ``replicates.json``.

    Raises:
        FileNotFoundError: if it is not there.
        RunError: if it is damaged or of a later format.
    """
    return require(folder / name, CONTENTS[name], read_json(folder, name))


def require(path: Path, content: type[Content], value: Any) -> dict[str, Any]:
    """The value of a JSON file, if it is what such a file holds.

    Raises:
        RunError: naming the file, the first field that is not what was written there, and what was expected.

    >>> require(Path("r/metrics.json"), MetricsContent, {"status": "interrupted", "step": "x", "seconds": 1})
    Traceback (most recent call last):
    intel_core.errors.RunError: r/metrics.json is damaged: step is not what was written there (...a valid integer)
    """
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it does not hold an object")
    newest = getattr(content, "FORMAT", None)
    if newest is not None and type(value.get("format")) is int and value["format"] > newest:
        raise RunError(f"{path.parent} has format {value['format']}, this core reads up to {newest}: upgrade it")
    if problem := _problem(content, value):
        raise RunError(f"{path} is damaged: {problem}")
    return value


def records(folder: Path) -> list[dict[str, Any]]:
    """All lines of the log that are whole and hold what a line does; none if there is no log.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        return _lines(read_bytes(folder, LOG_FILE, _MOST_LOG))
    except FileNotFoundError:
        return []


def last_step(folder: Path) -> int:
    """The step of the last line of the log; 0 if there is none.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        found = _lines(read_tail(folder, LOG_FILE, _LAST_LINES))
    except FileNotFoundError:
        return 0
    return int(found[-1]["step"]) if found else 0


def _lines(log: bytes) -> list[dict[str, Any]]:
    found = []
    for line in log.split(b"\n"):
        try:
            record = parse_json(line)
        except ValueError:
            continue  # the last line of a process that was killed
        if isinstance(record, dict) and not _problem(LineContent, record):
            found.append(record)
    return found


def _problem(content: type[Content], value: dict[str, Any]) -> str:
    """The first thing that is wrong with a value, in words; empty if nothing is."""
    try:
        content.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Members of a union follow the field in the location; the field says it better.
        where = ".".join(str(part)[:60] for part in first["loc"][:4] if str(part) not in ("int", "float"))
        cause = (first.get("ctx") or {}).get("error")
        said = str(cause) if cause is not None else first["msg"][:1].lower() + first["msg"][1:]
        if first["type"] == "missing":
            return f"{where} is missing"
        return f"{where} is not what was written there ({said[:200]})" if where else said[:200]
    return ""
