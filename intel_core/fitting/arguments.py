"""What do the arguments of `fit` ask for? A spec, and the data where they are arrays."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from intel_core.components.spec import parse_spec
from intel_core.compute.threads import on_threads
from intel_core.data.dataset import Dataset, DatasetSpec
from intel_core.errors import IntelError, SpecError
from intel_core.fitting.estimate import require_memory
from intel_core.helpers.advice import ChecksData, CompletedByData
from intel_core.reading.arrays import MemorySpec, make_dataset
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.reading.data_files import data_spec
from intel_core.reading.given import is_readable, no_data
from intel_core.reading.inputs import all_options
from intel_core.reading.label_conditions import with_labels
from intel_core.recipe.contracts import check_dataset, check_schedules, check_texts, load_dataset
from intel_core.recipe.contradictions import refuse_contradictions, refuse_what_no_data_mends
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import RunSpec, make_run_spec
from intel_core.recipe.words import is_word_of_conditions

__all__ = [
    "prepare",
    "read_arguments",
]


def read_arguments(
    spec: RunSpec | None, data: Any, labels: Any, settings: dict[str, Any]
) -> tuple[RunSpec, Dataset | None]:
    """What the arguments of `fit` ask for: a spec that is not resolved, and the data where they are in memory.

    Raises:
        SpecError: if they contradict each other, or name a setting that no run has.
    """
    settings = dict(settings)
    about_data = _reading(settings)
    if spec is not None and len(settings) > len(about_data):
        raise SpecError("give fit() a whole spec or settings, not both")
    dataset = None
    if isinstance(data, str | os.PathLike):
        data = data_spec(os.fspath(data))
    if isinstance(data, str | DatasetSpec) or data is None:
        _refuse_beside_a_name(data, labels, about_data)
    elif isinstance(data, Dataset):
        _refuse_beside_a_dataset(labels, about_data)
        check_dataset("data", data)
        dataset, data = data, _described(data)
    elif is_readable(data):
        if not is_word_of_conditions(settings.get("conditions", "data")):
            about_data["conditions"] = settings["conditions"]  # names of columns, or values beside an array
        scale = False if _takes_values_as_they_are(settings.get("likelihood")) else "auto"
        reading = {"standardize": scale, **{key: settings.pop(key) for key in about_data}}
        with on_threads(1):
            dataset = make_dataset("data", data, labels, **reading)
        data = _described(dataset)
    else:
        raise SpecError(no_data("data", data))
    if spec is None:
        spec = make_run_spec(**settings, **({} if data is None else {"data": data}))
    elif data is not None:
        spec = spec.model_copy(update={"data": parse_spec("datasets", data) if isinstance(data, str) else data})
    return spec, dataset


_OF_DATA = {"standardize": "true", "missing": "mean"}
"""What `make_dataset` is told beside the object, whatever reads it, and how the text of a data set says it."""


def _reading(settings: dict[str, Any]) -> dict[str, Any]:
    """Which settings are about how an object is read, and none of a run."""
    of_readers = all_options() - {*RunSpec.model_fields}
    return {key: value for key, value in settings.items() if key in _OF_DATA or key in of_readers}


def _takes_values_as_they_are(likelihood: object) -> bool:
    """Whether a likelihood, as a text or a spec, has conditions on the values themselves, as that of counts has."""
    with contextlib.suppress(IntelError):  # which is told when the spec is made
        spec = parse_spec("likelihoods", likelihood) if isinstance(likelihood, str) else likelihood
        return isinstance(spec, ChecksData) and not isinstance(spec, CompletedByData)
    return False


def _refuse_beside_a_name(data: str | DatasetSpec | None, labels: Any, about_data: dict[str, Any]) -> None:
    """Refuse what goes with an object where a data set is named.

    Raises:
        SpecError: with how it is said of one that is named.
    """
    if about_data:
        key, value = next(iter(about_data.items()))
        said = _beside(data, f"{key}={value if isinstance(value, str) else _OF_DATA.get(key, '…')}")
        raise SpecError(f"{key}= goes with data= as an object, such as a frame; a named data set says {said}")
    if labels is not None:
        said = f"says {_beside(data, f'label={labels}')}" if isinstance(labels, str) else "brings its own"
        raise SpecError(f"labels= goes with data= as an object, such as a frame; a named data set {said}")


def _refuse_beside_a_dataset(labels: Any, about_data: dict[str, Any]) -> None:
    """Refuse what is said when a `Dataset` is made.

    Raises:
        SpecError: with how it is said there.
    """
    for word in ["labels"] * (labels is not None) + [*about_data]:
        raise SpecError(
            f"{word}= goes with data= as an object, such as a frame; a Dataset has it from make_dataset(…, {word}=…)"
        )


def _described(dataset: Dataset) -> MemorySpec:
    """What a run records of data that are in memory."""
    return MemorySpec(
        examples=sum(len(split) for split in (dataset.train, dataset.validation, dataset.test)),
        shape=dataset.x_shape,
        fingerprint=dataset.train.fingerprint(),
        standardize=dataset.scaling is not None,
    )


def _beside(data: Any, said: str) -> str:
    """How the text of a data set says something."""
    text = data if isinstance(data, str) and data else "table:path=…"
    return f"{text}{',' if ':' in text else ':'}{said}"


def prepare(
    spec: RunSpec, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> tuple[RunSpec, Dataset]:
    """The resolved spec and its data, without training.

    Raises:
        IntelError: as `fit`.
    """
    if dataset is None:
        refuse_contradictions(spec)
        refuse_what_no_data_mends(spec)
        with on_threads(1):  # means that values are standardised by are sums as well
            dataset = load_dataset(spec.data, data_dir_or_default(data_dir), spec.conditions)
    elif spec.conditions == "labels":
        dataset = with_labels(dataset)
    spec = resolve(spec, dataset)
    check_texts(spec)
    check_schedules(spec)
    require_memory(spec, dataset)
    return spec, dataset
