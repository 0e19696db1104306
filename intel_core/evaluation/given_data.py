"""How do data that a user holds become the data set that a run was trained on?"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intel_core.components.spec import parse_spec
from intel_core.data.dataset import Dataset, DatasetSpec, Split
from intel_core.errors import DataError, RunError
from intel_core.reading.arrays import make_dataset
from intel_core.reading.data_dir import data_dir_or_default
from intel_core.reading.data_files import data_spec
from intel_core.reading.inputs import options_like
from intel_core.reading.label_conditions import with_labels
from intel_core.reading.scale import scaled_columns
from intel_core.recipe.contracts import load_dataset
from intel_core.runs.same_data import fingerprints

if TYPE_CHECKING:
    from pathlib import Path

    from intel_core.runs.stored_run import StoredRun

__all__ = ["as_its_data", "data_to_compare"]


def data_to_compare(run: StoredRun, given: Any, labels: Any = None, data_dir: Path | None = None) -> Dataset:
    """As `as_its_data`, for what compares with labels: a warning tells if the run had some and these have none."""
    found = as_its_data(run, given, labels, data_dir)
    kept = run.info.get("data", {}).get("fingerprints", {}).get("labels")
    if found.train.labels is None and kept is not None and kept != fingerprints(found)["labels"]:
        warnings.warn(
            f"{run.path} was trained with labels, and these data have none: nothing is compared with labels; give them "
            "beside the data, labels=…",
            stacklevel=5,
        )
    return found


def as_its_data(run: StoredRun, given: Any, labels: Any = None, data_dir: Path | None = None) -> Dataset:
    """Arrays, split and scaled as `fit` did for a run; or a data set, on the scale of the run's own.

    Args:
        run: a run that was trained on these data.
        given: what `fit` takes as data, read as it was then, a text too; or a `Dataset`, with values as they were given
            to `fit` or standardised.
        labels: as `fit` takes them.
        data_dir: where the files of a text lie; by default ``INTEL_DATA_DIR``.

    Raises:
        DataError: if these are no data.
        RunError: if the data set is on another scale than the run's, and cannot be brought onto it bit for bit.
    """
    found = _as_its_data(run, given, labels, data_dir)
    return with_labels(found) if run.spec.conditions == "labels" and found.train.conditions is None else found


def _as_its_data(run: StoredRun, given: Any, labels: Any, data_dir: Path | None) -> Dataset:
    scaling = run.units.scaling
    if isinstance(given, str | os.PathLike):
        spec = parse_spec("datasets", data_spec(os.fspath(given)))
        assert isinstance(spec, DatasetSpec)
        given = load_dataset(spec, data_dir_or_default(data_dir), run.spec.conditions)
    if not isinstance(given, Dataset):
        return make_dataset(
            "data",
            given,
            labels,
            standardize=scaled_columns(None if scaling is None else (tuple(scaling["mean"]), tuple(scaling["std"]))),
            missing=run.units.missing,
            **options_like(given[0] if isinstance(given, tuple) and given else given, run.units.reader),
        )
    if labels is not None:
        raise DataError("labels= goes with an array; a Dataset has its own: make_dataset(name, x, labels)")
    if scaling is None and given.scaling is not None:
        raise RunError(
            f"{run.path} was trained on values as they were given, and these are standardised; "
            "make_dataset(…, standardize=False) leaves them as they are"
        )
    if scaling is None or given.scaling is not None:
        return given
    if given.x_shape == run.units.shape and all(type(part) is Split for part in _parts(given)):
        scaled = [replace(part, x=run.units.standardise(part.x), digest="") for part in _parts(given)]
        if scaled[0].fingerprint() == run.fingerprint:
            train, validation, test = scaled
            moments = (tuple(scaling["mean"]), tuple(scaling["std"]))
            return replace(given, train=train, validation=validation, test=test, scaling=moments)
    raise RunError(
        f"{run.path} was trained on standardised values, and these are not the same ones as they were given; if they "
        "should be, give the array itself, or make_dataset(…, standardize=True)"
    )


def _parts(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test
