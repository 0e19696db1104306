"""How are tables read? Numeric columns, perhaps a column of labels, and statistics of the training rows only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import check_examples, support_of
from intel_core.reading.capabilities import Examples
from intel_core.reading.codes import warn_of_codes
from intel_core.reading.columns import warn_of_same_names
from intel_core.reading.conditions import as_column, learned_conditions
from intel_core.reading.labelling import encode_labels, refuse_unlabelled
from intel_core.reading.missing import GivenDataset, Missing, complete_rows, fill_of, filled
from intel_datasets.columns import (
    constant_columns,
    ids_in,
    labels_in,
    moments,
    named,
    numbers_in,
    refuse_all,
    refuse_constant,
    refuse_gaps,
)
from intel_datasets.files import TENTHS, Shares, find_path
from intel_datasets.folders import SPLITS
from intel_datasets.table_file import (
    LONGEST_LINE,
    SUFFIXES,
    USUAL,
    Layout,
    as_written,
    chosen_columns,
    read_table,
    separator_of,
)

__all__ = ["Layout", "columns_of", "examples", "has_separator", "load", "names_of_parts"]

Array = np.ndarray[Any, Any]

_PARTS = ("train", "validation", "test")


def load(
    path: str,
    data_dir: Path | None = None,
    layout: Layout = USUAL,
    *,
    standardize: bool | Sequence[str] = True,
    constant: Literal["refuse", "drop"] = "refuse",
    missing: Missing = "refuse",
    shares: Shares = TENTHS,
) -> Dataset:
    r"""The chosen columns of a table, checked, split and standardised.

    Args:
        path: a .csv, .tsv or .parquet file; or a folder that holds one for each part, such as train.csv and test.csv,
            where a part without a file is drawn from the training rows by its share.
        data_dir: where a relative path is looked for, after the working directory.
        layout: how the file is written, and which columns are used.
        standardize: scale each column to mean 0 and variance 1, measured on the training rows; or the names of those
            that are scaled, while others, such as counts and categories, stay as they are.
        constant: what to do with columns that have one value in all training rows: ``"drop"`` leaves them out, with a
            warning that counts them; ``"refuse"``: they are an error where columns are standardised.
        missing: what to do with rows in which a value is missing: ``"refuse"`` them, ``"drop"`` them, or fill them in
            by the ``"mean"`` or the ``"median"`` of the training rows.
        shares: of the validation and test parts.

    Raises:
        DataError: if the file cannot be read, or a column is missing, not numeric, incomplete or constant.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "t.csv"
    ...     _ = file.write_text("a,b,kind" + "".join(f"\n{i},{i * i},{'xy'[i % 2]}" for i in range(20)))
    ...     data = load("t.csv", Path(folder), Layout(label="kind"))
    >>> data.x_shape, data.class_names, round(float(data.train.x.std(0)[0]), 1)
    ((2,), ('x', 'y'), 1.0)
    """
    name, raw, parts = _read(path, data_dir, layout, missing)
    if layout.label is not None:
        what = f"table: label column {layout.label!r} of {name}"
        if raw.labels is None:
            raise DataError(f"{what}: there is no label in any of its {len(raw.x):,} rows")
        if missing != "drop":
            refuse_unlabelled(what, raw.unlabelled, len(raw.x))
    kept = _kept(name, raw.x, missing, raw.unlabelled)
    raw, parts = _only(raw, kept), parts if parts is None else parts[kept.numpy()]
    rows = _rows(name, parts, shares) if parts is not None else shares.split_rows(name, len(raw.x))
    fill = fill_of(f"table: {name}", raw.x, rows[0], missing, raw.columns) if missing in ("mean", "median") else ()
    values: Array = (filled(raw.x, fill) if fill else raw.x).numpy()
    train, columns = rows[0].numpy(), raw.columns
    still = constant_columns(values, train)
    left_out = [column for column, is_still in zip(columns, still, strict=True) if is_still]
    if constant == "drop" and left_out:
        if len(left_out) == len(columns):
            raise DataError(f"table: all columns of {name} have the same value in all training rows; nothing to model")
        warnings.warn(
            f"table: {len(left_out):,} of {len(columns):,} columns of {name} have the same value in all training rows, "
            f"and are left out: {named(left_out)}",
            stacklevel=3,
        )
        values, fill = values[:, ~still], tuple(np.array(fill)[~still].tolist()) if fill else ()
        columns = tuple(column for column, is_still in zip(columns, still, strict=True) if not is_still)
    scaled = _scaled(name, columns, standardize)
    if constant == "refuse":
        refuse_constant(name, [column for column in left_out if column in scaled], len(columns))
    warn_of_codes(f"table: {name}", torch.from_numpy(values), columns)
    scaling = None
    if scaled:
        scaling = moments(name, values, train, [column in scaled for column in columns])
        values = (values - np.array(scaling[0])) / np.array(scaling[1])
    x = check_examples(name, values)
    learned, seen = learned_conditions(raw.conditions, rows[0])
    everything = Split(x, raw.labels, "", kept, seen)
    first, second, third = (everything.part(part) for part in rows)
    dataset = Dataset(name, first, second, third, support_of(x), raw.class_names, scaling, columns)
    if missing == "refuse" and learned is None:
        return dataset
    return GivenDataset(**vars(dataset), missing=missing, fill=fill, conditions=learned)


def _scaled(name: str, columns: Sequence[str], standardize: bool | Sequence[str]) -> Sequence[str]:
    """The columns that are standardised.

    Raises:
        DataError: if one that is named is not among those that are modelled.
    """
    if isinstance(standardize, bool):
        return columns if standardize else ()
    for column in standardize:
        if column not in columns:
            hint = did_you_mean(column, list(columns), say="columns")
            raise DataError(f"table: {name} has no column {column!r} to standardise{hint}")
    return standardize


def examples(path: str, data_dir: Path | None = None, layout: Layout = USUAL, missing: Missing = "refuse") -> Examples:
    """The chosen columns in the file's order and units, float64, and the names of the rows.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        layout: as in `load`.
        missing: as in `load`; values that are to be filled in are NaN, since only the training rows tell by what. If
            rows are left out and have no names, they are called by their numbers in the file, from 0.

    Raises:
        DataError: if the file cannot be read, or a column is missing, not numeric or incomplete.
    """
    name, raw, _ = _read(path, data_dir, layout, missing)
    kept = _kept(name, raw.x, missing)
    if len(kept) < len(raw.x) and not raw.names:
        raw = raw._replace(names=tuple(map(str, range(len(raw.x)))))
    return _only(raw, kept)._replace(left_out=len(raw.x) - len(kept))


def names_of_parts(
    path: str, data_dir: Path | None, layout: Layout, missing: Missing, shares: Shares
) -> dict[str, tuple[str, ...]]:
    """Names of the rows of each part, in its order; nothing without a column of ids.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        layout: as in `load`.
        missing: as in `load`.
        shares: as in `load`.

    Raises:
        DataError: as `load`.
    """
    if layout.id is None:
        return {}
    name, raw, parts = _read(path, data_dir, layout, missing)
    kept = _kept(name, raw.x, missing, raw.unlabelled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `load` has said what is drawn
        rows = _rows(name, parts[kept.numpy()], shares) if parts is not None else shares.split_rows(name, len(kept))
    ids = [raw.names[row] for row in kept.tolist()]
    return {part: tuple(ids[row] for row in of.tolist()) for part, of in zip(_PARTS, rows, strict=True)}


def _kept(name: str, x: torch.Tensor, missing: Missing, unlabelled: Sequence[int] = ()) -> torch.Tensor:
    """Row numbers of those that are not left out."""
    return complete_rows(f"table: {name}", x, unlabelled) if missing == "drop" else torch.arange(len(x))


def _only(raw: Examples, kept: torch.Tensor) -> Examples:
    """Some of the rows."""
    if len(kept) == len(raw.x):
        return raw
    names = tuple(raw.names[row] for row in kept.tolist()) if raw.names else ()
    labels = None if raw.labels is None else raw.labels[kept]
    conditions = {key: values[kept.numpy()] for key, values in raw.conditions.items()}
    is_there = torch.isin(kept, torch.tensor(raw.unlabelled, dtype=kept.dtype))
    unlabelled = tuple(is_there.nonzero().flatten().tolist())
    return raw._replace(x=raw.x[kept], labels=labels, names=names, conditions=conditions, unlabelled=unlabelled)


def columns_of(path: str, data_dir: Path | None, layout: Layout) -> tuple[str, ...]:
    """Names of all columns, whichever are used.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        layout: as in `load`.

    Raises:
        DataError: if the file cannot be read.
    """
    file, _ = _files(find_path("table", path, data_dir, folder=None))[0]
    return tuple(read_table(file, layout).columns)


def has_separator(path: str, data_dir: Path | None, separator: str | None) -> bool:
    """Whether the first line of a text file has such a character, or it is the usual one that is asked for.

    Raises:
        DataError: if there is no such file.
    """
    if separator is None:
        return True
    file, _ = _files(find_path("table", path, data_dir, folder=None))[0]
    with file.open(encoding="utf-8", errors="replace") as stream:
        return separator in stream.readline(LONGEST_LINE)


def _files(place: Path) -> list[tuple[Path, int | None]]:
    """The files of a table, and the part of the data that each is; None for a single one.

    Raises:
        DataError: if a folder holds none that is named so, or two for one part.
    """
    if place.is_file():
        return [(place, None)]
    there = sorted(
        file
        for file in place.iterdir()
        if file.suffix.lower() in SUFFIXES and file.stem.casefold() in SPLITS and file.is_file()
    )
    files: list[tuple[Path, int | None]] = [(file, SPLITS[file.stem.casefold()]) for file in there]
    parts = [part for _, part in files]
    if 0 not in parts or len(set(parts)) < len(parts):
        listed = ", ".join(file.name for file in there) or "none"
        raise DataError(
            f"table: {place} must hold one file for each part of the data, such as train.csv, val.csv and test.csv, "
            f"but holds {listed}; give a file, or keep one for each"
        )
    return sorted(files, key=lambda entry: entry[1] or 0)


def _read(path: str, data_dir: Path | None, layout: Layout, missing: Missing) -> tuple[str, Examples, Array | None]:
    """The file's name, the chosen columns, and which part of the data each row is, where files say so."""
    place = find_path("table", path, data_dir, folder=None)
    columns: list[str] = []
    ids: list[str] = []
    x, parts = [], []
    words: list[Array] = []
    unlabelled: list[int] = []
    conditions: dict[str, list[Array]] = {column: [] for column in layout.conditions}
    for file, part in _files(place):
        frame = read_table(file, layout)
        columns = columns or chosen_columns(file.name, list(frame.columns), layout)
        for column in columns:
            if column not in frame.columns:
                hint = did_you_mean(column, list(frame.columns), say="columns")
                raise DataError(f"table: {file.name} has no column {column!r}, as the training part has{hint}")
        if layout.label is not None:
            if layout.label not in frame.columns:
                raise DataError(f"table: {file.name} has no column {layout.label!r} (label)")
            of, absent = labels_in(file.name, layout.label, as_written(file, layout, layout.label, frame))
            unlabelled += (absent + sum(map(len, words))).tolist()
            words.append(of)
        text = "" if file.suffix.lower() == ".parquet" else layout.separator or separator_of(file)
        named_by = layout.header is not False
        if layout.id is not None:
            if layout.id not in frame.columns:
                raise DataError(f"table: {file.name} has no column {layout.id!r} (id)")
            ids += ids_in(file.name, layout.id, as_written(file, layout, layout.id, frame))
        for column, found_in in conditions.items():
            if column not in frame.columns:
                raise DataError(f"table: {file.name} has no column {column!r} (conditions)")
            found_in.append(as_column(column, as_written(file, layout, column, frame).to_numpy()))
        values, errors = [], dict[str, DataError]()
        for column in columns:
            try:
                values.append(numbers_in(file.name, column, frame[column], separator=text, header=named_by))
            except DataError as error:
                errors[column] = error
        refuse_all(file.name, errors)
        x.append(np.column_stack(values))
        if missing == "refuse":
            refuse_gaps(file.name, x[-1], columns)
        parts.append(np.full(len(frame), -1 if part is None else part))
    labels: torch.Tensor | None = None
    names: tuple[str, ...] = ()
    if layout.label is not None:
        every = np.concatenate(words)
        if len(unlabelled) < len(every):
            what = f"table: column {layout.label!r} of {place.name}"
            numbers, names = encode_labels(what, every, len(every), unlabelled)
            labels = torch.from_numpy(numbers)
    if layout.id is not None:
        warn_of_same_names(f"table: {place.name}", layout.id, ids)
    beside = {column: np.concatenate(found_in) for column, found_in in conditions.items()}
    known = tuple(unlabelled) if labels is not None else ()
    every_x = torch.from_numpy(np.concatenate(x))
    found = Examples(every_x, labels, names, tuple(columns), tuple(ids), beside, unlabelled=known)
    return place.name, found, np.concatenate(parts) if place.is_dir() else None


def _rows(name: str, parts: Array, shares: Shares) -> Sequence[torch.Tensor]:
    """Row numbers of the parts; those without a file are drawn from the training rows, which a warning says."""
    rows, drawn = shares.completed(name, [np.flatnonzero(parts == part) for part in range(3)], "rows")
    if drawn:
        warnings.warn(f"table: of {name}, {drawn}, which has no file", stacklevel=4)
    return [torch.from_numpy(part) for part in rows]
