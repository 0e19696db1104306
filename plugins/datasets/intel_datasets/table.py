"""How are tables read? Numeric columns, a label column, and statistics that see training rows only."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from intel_core.data.dataset import Dataset, Examples, Split
from intel_core.errors import DataError, did_you_mean
from intel_core.reading.arrays import check_examples, support_of
from intel_datasets.files import check_suffix, encode_labels, find_path, split_rows

if TYPE_CHECKING:
    from intel_datasets.spec import TableSpec

__all__ = ["examples", "load", "moments", "read_table"]

Array = np.ndarray[Any, Any]

_SEPARATORS = (";", "\t", "|", ",")
_LONGEST_LINE = 1 << 20


def load(spec: TableSpec, data_dir: Path | None) -> Dataset:
    r"""The columns that the spec names, checked, split and standardised.

    Raises:
        DataError: if the file cannot be read, or a column is missing, not numeric, incomplete or constant.

    >>> import os, tempfile
    >>> from intel_core.components.spec import parse_spec
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "t.csv"
    ...     _ = file.write_text("a,b,kind" + "".join(f"\n{i},{i * i},{'xy'[i % 2]}" for i in range(20)))
    ...     data = load(parse_spec("datasets", "table:path=t.csv,label=kind"), Path(folder))
    >>> data.x_shape, data.class_names, round(float(data.train.x.std(0)[0]), 1)
    ((2,), ('x', 'y'), 1.0)
    """
    name, raw = _read(spec, data_dir)
    values: Array = raw.x.numpy()
    rows = split_rows(name, len(values), spec)
    scaling = None
    if spec.standardize:
        scaling = moments(name, values, rows[0].numpy(), raw.columns)
        values = (values - np.array(scaling[0])) / np.array(scaling[1])
    x = check_examples(name, values)
    train, validation, test = (Split(x[r], None if raw.labels is None else raw.labels[r]) for r in rows)
    return Dataset(name, train, validation, test, support_of(x), raw.class_names, scaling, raw.columns)


def examples(spec: TableSpec, data_dir: Path | None) -> Examples:
    """The columns that the spec names as they lie in the file, float64.

    Raises:
        DataError: as `load`, but for columns that are constant and for few rows.
    """
    return _read(spec, data_dir)[1]


def _read(spec: TableSpec, data_dir: Path | None) -> tuple[str, Examples]:
    """The file's name, and what the spec chooses of it."""
    path = find_path("table", spec.path, data_dir)
    frame = read_table(path, header=spec.header, separator=spec.separator, decimal=spec.decimal)
    columns = _choose(path.name, list(frame.columns), spec)
    labels: torch.Tensor | None = None
    names: tuple[str, ...] = ()
    if spec.label is not None:
        numbers, names = _labels(path.name, spec.label, frame[spec.label])
        labels = torch.from_numpy(numbers)
    x = np.column_stack([_numbers(path.name, column, frame[column]) for column in columns])
    return path.name, Examples(torch.from_numpy(x), labels, names, tuple(columns))


def read_table(path: Path, *, header: bool = True, separator: str | None = None, decimal: str = ".") -> pd.DataFrame:
    """A .csv, .tsv or .parquet file, its column names as texts.

    Args:
        path: the file.
        header: whether the first line of a text file names the columns.
        separator: between the columns of a text file; by default a comma, a tab in .tsv.
        decimal: between whole and broken parts of the numbers of a text file.

    Raises:
        DataError: if it cannot be read, is empty, or plainly has no line of names or another separator.
    """
    suffix = check_suffix("table", path, [".csv", ".tsv", ".parquet"])
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        else:
            between = separator or _separator(path, suffix)
            first = 0 if header else None
            with warnings.catch_warnings():
                # Rows longer than the line of names would lose their last values with no more than a warning.
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
    """The usual one of a suffix; a first line that plainly has another is refused, since all of it would be one column.

    Raises:
        DataError: naming what stands there.
    """
    usual = "\t" if suffix == ".tsv" else ","
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline(_LONGEST_LINE)
    found = max(_SEPARATORS, key=line.count)
    if usual not in line and found in line:
        said = json.dumps(found) if found in "\t," else found
        raise DataError(
            f"table: {path.name} seems to have {found!r} between columns, expected {usual!r}; say separator={said}"
        )
    return usual


def _check_header(name: str, columns: list[str]) -> None:
    """Without names the first example would silently become the header."""
    numbered = [str(i) for i in range(len(columns))]
    try:
        [float(column) for column in columns]
    except ValueError:
        return
    if columns != numbered:
        raise DataError(
            f"table: the first line of {name} holds numbers, not column names; if it is data say header=false"
        )


def _choose(name: str, present: Sequence[str], spec: TableSpec) -> list[str]:
    for key, wanted in (("label", (spec.label,)), ("columns", spec.columns), ("drop", spec.drop)):
        for column in wanted:
            if column is not None and column not in present:
                hint = did_you_mean(column, present, say="columns")
                raise DataError(f"table: {name} has no column {column!r} ({key}){hint}")
    chosen = list(spec.columns) or [c for c in present if c not in spec.drop and c != spec.label]
    if not chosen:
        raise DataError(f"table: no column of {name} is left to model; it has {', '.join(present)}")
    unnamed = [c for c in chosen if c.startswith("Unnamed: ") and c not in spec.columns]
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
    """Mean and standard deviation of each column, measured on the training rows only, so that nothing leaks.

    Args:
        name: for messages.
        x: numbers ``(n, D)``, float64.
        train: numbers of the training rows.
        columns: names of the D columns.

    Raises:
        DataError: naming the columns that are constant on the training rows.

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
