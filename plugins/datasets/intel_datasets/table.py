"""How are tables read? Numeric columns, perhaps a column of labels, and statistics of the training rows only."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import check_examples, support_of
from intel_core.reading.capabilities import Examples
from intel_core.reading.codes import warn_of_codes
from intel_core.reading.labelling import encode_labels
from intel_datasets.columns import constant_columns, labels_in, moments, named, numbers_in, refuse_constant
from intel_datasets.files import TENTHS, Shares, check_suffix, find_path
from intel_datasets.folders import SPLITS
from intel_datasets.headers import refuse_line_above, require_names
from intel_datasets.written import refuse_empty_lines, refuse_wrong_groups

__all__ = ["Layout", "columns_of", "examples", "has_separator", "load", "read_table"]

Array = np.ndarray[Any, Any]

_SUFFIXES = (".csv", ".tsv", ".parquet")
_SEPARATORS = (";", "\t", "|", ",")
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Layout:
    """How a table's file is written, and which of its columns are used.

    Attributes:
        label: column of labels, if any; it is not modelled.
        columns: columns to model; all but the label if empty.
        drop: columns to leave out.
        header: whether the first line of a text file names the columns; ``"auto"``: it does, but is refused if it looks
            like data.
        separator: character between the columns of a text file; if None a comma, in .tsv files a tab.
        decimal: character between the whole and the fractional part of numbers in a text file.
        thousands: character between groups of three digits in numbers of a text file, if any.
    """

    label: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    header: bool | Literal["auto"] = "auto"
    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None


def load(
    path: str,
    data_dir: Path | None = None,
    layout: Layout = Layout(),
    *,
    standardize: bool = True,
    constant: Literal["refuse", "drop"] = "refuse",
    shares: Shares = TENTHS,
) -> Dataset:
    r"""The chosen columns of a table, checked, split and standardised.

    Args:
        path: a .csv, .tsv or .parquet file; or a folder that holds one for each part, such as train.csv and test.csv,
            where a part without a file is drawn from the training rows by its share.
        data_dir: where a relative path is looked for, after the working directory.
        layout: how the file is written, and which columns are used.
        standardize: scale each column to mean 0 and variance 1, measured on the training rows.
        constant: what to do with columns that have one value in all training rows: ``"drop"`` leaves them out, with a
            warning that counts them; ``"refuse"``: they are an error where columns are standardised.
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
    name, raw, parts = _read(path, data_dir, layout)
    values: Array = raw.x.numpy()
    rows = _rows(name, parts, shares) if parts is not None else shares.split_rows(name, len(values))
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
        values = values[:, ~still]
        columns = tuple(column for column, is_still in zip(columns, still, strict=True) if not is_still)
    elif standardize:
        refuse_constant(name, left_out, len(columns))
    warn_of_codes(f"table: {name}", torch.from_numpy(values), columns)
    scaling = None
    if standardize:
        scaling = moments(name, values, train)
        values = (values - np.array(scaling[0])) / np.array(scaling[1])
    x = check_examples(name, values)
    first, second, third = (Split(x[r], None if raw.labels is None else raw.labels[r], numbers=r) for r in rows)
    return Dataset(name, first, second, third, support_of(x), raw.class_names, scaling, columns)


def examples(path: str, data_dir: Path | None = None, layout: Layout = Layout()) -> Examples:
    """The chosen columns in the file's order and units, float64.

    Args:
        path: as in `load`.
        data_dir: as in `load`.
        layout: as in `load`.

    Raises:
        DataError: if the file cannot be read, or a column is missing, not numeric or incomplete.
    """
    return _read(path, data_dir, layout)[1]


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
        return separator in stream.readline(_LONGEST_LINE)


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
        if file.suffix.lower() in _SUFFIXES and file.stem.casefold() in SPLITS and file.is_file()
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


def _read(path: str, data_dir: Path | None, layout: Layout) -> tuple[str, Examples, Array | None]:
    """The file's name, the chosen columns, and which part of the data each row is, where files say so."""
    place = find_path("table", path, data_dir, folder=None)
    columns: list[str] = []
    x, words, parts = [], [], []
    for file, part in _files(place):
        frame = read_table(file, layout)
        columns = columns or _choose(file.name, list(frame.columns), layout)
        for column in columns:
            if column not in frame.columns:
                hint = did_you_mean(column, list(frame.columns), say="columns")
                raise DataError(f"table: {file.name} has no column {column!r}, as the training part has{hint}")
        if layout.label is not None:
            if layout.label not in frame.columns:
                raise DataError(f"table: {file.name} has no column {layout.label!r} (label)")
            words.append(labels_in(file.name, layout.label, _codes(file, layout, frame)))
        text = "" if file.suffix.lower() == ".parquet" else layout.separator or _separator(file)
        named_by = layout.header is not False
        values = [numbers_in(file.name, c, frame[c], separator=text, header=named_by) for c in columns]
        x.append(np.column_stack(values))
        parts.append(np.full(len(frame), -1 if part is None else part))
    labels: torch.Tensor | None = None
    names: tuple[str, ...] = ()
    if layout.label is not None:
        every = np.concatenate(words)
        numbers, names = encode_labels(f"table: column {layout.label!r} of {place.name}", every, len(every))
        labels = torch.from_numpy(numbers)
    found = Examples(torch.from_numpy(np.concatenate(x)), labels, names, tuple(columns))
    return place.name, found, np.concatenate(parts) if place.is_dir() else None


def _rows(name: str, parts: Array, shares: Shares) -> Sequence[torch.Tensor]:
    """Row numbers of the parts; those without a file are drawn from the training rows, which a warning says."""
    rows, drawn = shares.completed(name, [np.flatnonzero(parts == part) for part in range(3)], "rows")
    if drawn:
        warnings.warn(f"table: of {name}, {drawn}, which has no file", stacklevel=4)
    return [torch.from_numpy(part) for part in rows]


def read_table(path: Path, layout: Layout = Layout()) -> pd.DataFrame:
    """A .csv, .tsv or .parquet file; names of columns become texts.

    Args:
        path: the file.
        layout: how it is written.

    Raises:
        DataError: if it cannot be read, is empty, or evidently has no line of names or another separator.
    """
    suffix = check_suffix("table", path, _SUFFIXES)
    first: list[str] = []
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        else:
            refuse_line_above(path, layout.separator or "")
            between = layout.separator or _separator(path)
            with warnings.catch_warnings():
                # Pandas drops the last values of rows that are longer than the line of names, and only warns.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    path,
                    sep=between,
                    decimal=layout.decimal,
                    thousands=layout.thousands,
                    header=None if layout.header is False else 0,
                    index_col=False,
                    low_memory=False,
                )
                refuse_empty_lines(path, frame)
                if layout.thousands is not None:
                    refuse_wrong_groups(path.name, _texts(path, layout), layout.thousands, layout.decimal)
                if layout.header is not False:
                    line = pd.read_csv(path, sep=between, header=None, nrows=1, dtype=str, keep_default_na=False)
                    first = [str(text) for text in line.iloc[0]]
    except DataError:
        raise
    except (OSError, ValueError, MemoryError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        advice = "; save it in UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        if reason.startswith("Length of header"):
            reason = "its first line has fewer cells than the others"
            advice = "; remove it if it is a title, and give every column a name, that of an index as well"
        elif reason.startswith("Error tokenizing data. C error: Expected"):
            advice = "; all lines must have as many cells as the first one, and what stands above it has to be removed"
        raise DataError(f"table: {path.name} cannot be read as {suffix}: {reason}{advice}") from None
    frame = frame.reset_index(drop=True)
    frame.columns = [str(column) for column in frame.columns]
    if first and layout.header == "auto":
        require_names(path.name, first, frame)
    names = pd.Index([text for text in first if text.strip()] or frame.columns)  # pandas numbers those that come twice
    if names.has_duplicates:
        twice = names[names.duplicated()][0]
        raise DataError(f"table: {path.name} has two columns called {twice!r}; rename one")
    if frame.empty:
        raise DataError(f"table: {path.name} has {len(frame)} rows and {len(frame.columns)} columns; nothing to model")
    return frame


def _texts(path: Path, layout: Layout) -> pd.DataFrame:
    """The cells of a text file as they are written."""
    header = None if layout.header is False else 0
    between = layout.separator or _separator(path)
    frame = pd.read_csv(path, sep=between, header=header, index_col=False, dtype=str, keep_default_na=False)
    frame.columns = [str(column) for column in frame.columns]
    return frame


def _codes(file: Path, layout: Layout, frame: pd.DataFrame) -> pd.Series[Any]:
    """The label column; codes with leading zeros stay as they are written, or 01 and 1 would be one class."""
    assert layout.label is not None
    labels = frame[layout.label]
    if file.suffix.lower() != ".parquet" and pd.api.types.is_integer_dtype(labels.dtype):
        texts = _texts(file, layout)[layout.label].str.strip()
        if texts.str.match(r"0\d").any():
            return texts
    return labels


def _separator(path: Path) -> str:
    """The usual separator for a file's suffix.

    Raises:
        DataError: if the first line evidently has another one, since the whole table would become a single column.
    """
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8", errors="replace") as file:
        line, below = file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)
    likely = max(_SEPARATORS, key=line.count)
    if usual not in line and likely in line:
        written = json.dumps(likely) if likely in "\t," else likely
        commas = likely != "," and re.search(r"\d,\d", below)
        raise DataError(
            f"table: {path.name} seems to have {likely!r} between columns, expected {usual!r}; say separator={written}"
            + (' and, for numbers like 1,5, decimal=","' if commas else "")
        )
    return usual


def _choose(name: str, present: Sequence[str], layout: Layout) -> list[str]:
    """The columns to model, of those that are present."""
    for key, wanted in (("label", (layout.label,)), ("columns", layout.columns), ("drop", layout.drop)):
        for column in wanted:
            if column is not None and column not in present:
                hint = did_you_mean(column, present, say="columns")
                raise DataError(f"table: {name} has no column {column!r} ({key}){hint}")
    chosen = list(layout.columns) or [c for c in present if c not in layout.drop and c != layout.label]
    if not chosen:
        raise DataError(f"table: no column of {name} is left to model; it has {', '.join(present)}")
    unnamed = [c for c in chosen if c.startswith("Unnamed: ") and c not in layout.columns]
    if unnamed:
        raise DataError(
            f"table: a column of {name} has no name (a row index?); leave it out with drop={unnamed[0]}, "
            "or name it in columns=[…]"
        )
    return chosen
