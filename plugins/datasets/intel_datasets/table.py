"""How are tables read? Numeric columns, perhaps a column of labels, and statistics of the training rows only."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from intel_core.data.dataset import Dataset, Examples, Split
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import check_examples, support_of
from intel_datasets.files import TENTHS, Shares, check_suffix, encode_labels, find_path

__all__ = ["Layout", "examples", "load", "moments", "read_table"]

Array = np.ndarray[Any, Any]

_SEPARATORS = (";", "\t", "|", ",")
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Layout:
    """How a table's file is written, and which of its columns are used.

    Attributes:
        label: column of labels, if any; it is not modelled.
        columns: columns to model; all but the label if empty.
        drop: columns to leave out.
        header: whether the first line of a text file names the columns.
        separator: character between the columns of a text file; if None a comma, in .tsv files a tab.
        decimal: character between the whole and the fractional part of numbers in a text file.
    """

    label: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    header: bool = True
    separator: str | None = None
    decimal: str = "."


def load(
    path: str,
    data_dir: Path | None = None,
    layout: Layout = Layout(),
    *,
    standardize: bool = True,
    shares: Shares = TENTHS,
) -> Dataset:
    r"""The chosen columns of a table, checked, split and standardised.

    Args:
        path: a .csv, .tsv or .parquet file.
        data_dir: where a relative path is looked for, after the working directory.
        layout: how the file is written, and which columns are used.
        standardize: scale each column to mean 0 and variance 1, measured on the training rows.
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
    name, raw = _read(path, data_dir, layout)
    values: Array = raw.x.numpy()
    rows = shares.split_rows(name, len(values))
    scaling = None
    if standardize:
        scaling = moments(name, values, rows[0].numpy(), raw.columns)
        values = (values - np.array(scaling[0])) / np.array(scaling[1])
    x = check_examples(name, values)
    train, validation, test = (Split(x[r], None if raw.labels is None else raw.labels[r]) for r in rows)
    return Dataset(name, train, validation, test, support_of(x), raw.class_names, scaling, raw.columns)


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


def _read(path: str, data_dir: Path | None, layout: Layout) -> tuple[str, Examples]:
    """The file's name, and the chosen columns."""
    file = find_path("table", path, data_dir)
    frame = read_table(file, header=layout.header, separator=layout.separator, decimal=layout.decimal)
    columns = _choose(file.name, list(frame.columns), layout)
    labels: torch.Tensor | None = None
    names: tuple[str, ...] = ()
    if layout.label is not None:
        numbers, names = _labels(file.name, layout.label, frame[layout.label])
        labels = torch.from_numpy(numbers)
    x = np.column_stack([_numbers(file.name, column, frame[column]) for column in columns])
    return file.name, Examples(torch.from_numpy(x), labels, names, tuple(columns))


def read_table(path: Path, *, header: bool = True, separator: str | None = None, decimal: str = ".") -> pd.DataFrame:
    """A .csv, .tsv or .parquet file; names of columns become texts.

    Args:
        path: the file.
        header: as in `Layout`.
        separator: as in `Layout`.
        decimal: as in `Layout`.

    Raises:
        DataError: if it cannot be read, is empty, or evidently has no line of names or another separator.
    """
    suffix = check_suffix("table", path, [".csv", ".tsv", ".parquet"])
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        else:
            between = separator or _separator(path, suffix)
            first = 0 if header else None
            with warnings.catch_warnings():
                # Pandas drops the last values of rows that are longer than the line of names, and only warns.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(path, sep=between, decimal=decimal, header=first, index_col=False, low_memory=False)
    except DataError:
        raise
    except (OSError, ValueError, MemoryError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"table: {path.name} cannot be read as {suffix}: {reason}") from None
    frame = frame.reset_index(drop=True)
    frame.columns = [str(column) for column in frame.columns]
    if suffix != ".parquet" and header:
        _check_header(path.name, list(frame.columns))
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"table: {path.name} has two columns called {twice!r}; rename one")
    if frame.empty:
        raise DataError(f"table: {path.name} has {len(frame)} rows and {len(frame.columns)} columns; nothing to model")
    return frame


def _separator(path: Path, suffix: str) -> str:
    """The usual separator for a suffix.

    Raises:
        DataError: if the first line evidently has another one, since the whole table would become a single column.
    """
    usual = "\t" if suffix == ".tsv" else ","
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline(_LONGEST_LINE)
    likely = max(_SEPARATORS, key=line.count)
    if usual not in line and likely in line:
        written = json.dumps(likely) if likely in "\t," else likely
        raise DataError(
            f"table: {path.name} seems to have {likely!r} between columns, expected {usual!r}; say separator={written}"
        )
    return usual


def _check_header(name: str, columns: list[str]) -> None:
    """Refuse a header of numbers: without a line of names, the first example would silently become the header."""
    numbered = [str(i) for i in range(len(columns))]
    try:
        [float(column) for column in columns]
    except ValueError:
        return
    if columns != numbered:
        raise DataError(
            f"table: the first line of {name} holds numbers, not column names; if it is data say header=false"
        )


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


def _numbers(name: str, column: str, values: pd.Series[Any]) -> Array:
    if not pd.api.types.is_numeric_dtype(values):
        strange = values[pd.to_numeric(values.astype(str), errors="coerce").isna() & values.notna()]
        example = (
            f"row {strange.index[0] + 1} holds {str(strange.iloc[0])[:40]!r}" if len(strange) else f"{values.dtype}"
        )
        comma = len(strange) and re.fullmatch(r"\s*[-+]?\d+,\d+\s*", str(strange.iloc[0]))
        advice = '; if that is a decimal comma say decimal=","' if comma else ""
        raise DataError(
            f"table: column {column!r} of {name} is not numeric ({example}){advice}; leave it out with "
            f"drop={column}, or use it as label={column}"
        )
    array: Array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise DataError(
            f"table: column {column!r} of {name} has {len(bad)} missing or infinite values, the first in row "
            f"{bad[0] + 1}; fill them in, remove these rows, or drop={column}"
        )
    return array


def _labels(name: str, column: str, values: pd.Series[Any]) -> tuple[Array, tuple[str, ...]]:
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"table: the label column {column!r} of {name} has {len(missing)} missing values, "
            f"the first in row {missing[0] + 1}"
        )
    array = values.to_numpy() if pd.api.types.is_numeric_dtype(values) else values.astype(str).to_numpy(dtype=np.str_)
    return encode_labels(f"table: column {column!r} of {name}", array, len(values))


def moments(name: str, x: Array, train: Array, columns: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column, measured on the training rows only: nothing leaks from the others.

    Args:
        name: for messages.
        x: numbers ``(n, D)``, float64.
        train: row numbers of the training part.
        columns: names of the D columns.

    Raises:
        DataError: with the names of columns that are constant on the training rows.

    >>> moments("t", np.array([[0.0], [2.0], [9.0]]), np.array([0, 1]), ["a"])
    ((1.0,), (1.0,))
    """
    seen = x[train]
    constant = [column for column, still in zip(columns, seen.min(0) == seen.max(0), strict=True) if still]
    if constant:
        words = ", ".join(repr(column) for column in constant[:5]) + (", …" if len(constant) > 5 else "")
        drop = constant[0] if len(constant) == 1 else "[" + ",".join(f'"{column}"' for column in constant) + "]"
        raise DataError(
            f"table: {words} of {name} has the same value in all training rows, so it cannot be "
            f"standardised; leave it out with drop={drop}"
        )
    return tuple(seen.mean(0).tolist()), tuple(seen.std(0).tolist())
