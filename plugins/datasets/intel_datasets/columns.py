"""Which numbers does a column of a table hold, and how are they scaled?"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from intel_core.errors import DataError
from intel_core.reading.labelling import encode_labels

__all__ = [
    "constant_columns",
    "ids_in",
    "labels_in",
    "moments",
    "named",
    "numbers_in",
    "refuse_all",
    "refuse_constant",
    "refuse_gaps",
]

Array = np.ndarray[Any, Any]

_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:([,.' _])\d{3})(?:\1\d{3})*(?:[.,]\d+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")
_MOST_NAMED = 5
_FEW_WORDS, _FEWEST_ROWS = 0.1, 4
"""In a column of numbers, words are a slip if no more than this share of the rows has them, or one of a few rows."""


def named(columns: Sequence[str]) -> str:
    """The first few names.

    >>> named(list("abcdefg"))
    "'a', 'b', 'c', 'd', 'e', …"
    """
    return ", ".join(repr(column) for column in columns[:_MOST_NAMED]) + (", …" if len(columns) > _MOST_NAMED else "")


def as_list(columns: Sequence[str]) -> str:
    """Columns as the text of a setting.

    >>> as_list(["id"]), as_list(["id", "age, years"])
    ('id', '["id","age, years"]')
    """
    return columns[0] if len(columns) == 1 else json.dumps(list(columns), ensure_ascii=False, separators=(",", ":"))


def numbers_in(name: str, column: str, values: pd.Series[Any], *, separator: str = "", header: bool = True) -> Array:
    """The values of a column, float64, NaN where one is missing.

    Args:
        name: of the file, for messages.
        column: its name.
        values: what it holds.
        separator: between the columns of a text file; empty for others.
        header: whether the first line was taken as names.

    Raises:
        DataError: if there is anything but numbers, one is infinite, or they differ by less than float64 can tell.

    >>> numbers_in("t.csv", "a", pd.Series([1, 2])).tolist()
    [1.0, 2.0]
    """
    numeric = values
    if not pd.api.types.is_numeric_dtype(values):
        numeric = _numbers_of_words(name, column, values, separator, header)
    array: Array = numeric.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isinf(array))
    if len(bad):
        raise DataError(
            f"table: column {column!r} of {name} has {len(bad)} infinite values, the first in row {bad[0]}; remove "
            f"these rows, or drop={column}"
        )
    whole, array = array, array[~np.isnan(array)]
    if len(array) and np.abs(array).max() > np.finfo(np.float32).max:
        raise DataError(
            f"table: column {column!r} of {name} has values beyond ±3.4e38, the largest that float32 holds, such as "
            f"{array[np.abs(array).argmax()]:.3g}; divide them first, or drop={column}"
        )
    # Whole numbers of more than 16 digits lose those beyond, be they of 64 bits or Python's.
    if len(array) and array.min() == array.max() and not pd.api.types.is_float_dtype(values) and values.nunique() > 1:
        raise DataError(
            f"table: the values of column {column!r} of {name} differ, but not in their first 16 digits "
            f"({values.iloc[0]}, …), which is all that numbers are read to; subtract the smallest, or drop={column}"
        )
    return whole


def refuse_all(name: str, errors: dict[str, DataError]) -> None:
    """Refuse columns that hold something else than numbers, all of them in one line.

    Args:
        name: of the file.
        errors: what is said of each such column.

    Raises:
        DataError: if there are some.
    """
    if not errors:
        return
    columns, first = list(errors), next(iter(errors.values()))
    if len(columns) == 1:
        raise first
    raise DataError(
        f"table: {len(columns):,} columns of {name} ({named(columns)}) cannot be modelled; drop={as_list(columns)} "
        f"leaves them out; the first: {str(first).removeprefix('table: ')}"
    )


def refuse_gaps(name: str, x: Array, columns: Sequence[str]) -> None:
    """Refuse missing values, in all columns at once.

    Args:
        name: of the file.
        x: the numbers ``(n, D)``, NaN where one is missing.
        columns: their names.

    Raises:
        DataError: with what can be done about them.
    """
    gaps = np.isnan(x)
    counts = gaps.sum(0)
    if not counts.any():
        return
    rows = np.flatnonzero(gaps.any(1))
    bad = [(column, int(count)) for column, count in zip(columns, counts, strict=True) if count]
    said = ", ".join(f"{column!r} ({count:,})" for column, count in bad[:_MOST_NAMED])
    said += f" and {len(bad) - _MOST_NAMED:,} more" if len(bad) > _MOST_NAMED else ""
    only = f"column {bad[0][0]!r} of {name} has {bad[0][1]:,} missing values"
    what = only if len(bad) == 1 else f"{len(bad):,} columns of {name} have missing values: {said}"
    raise DataError(
        f"table: {what}, the first in row {rows[0]}; missing=drop leaves out the {len(rows):,} rows, missing=mean "
        f"or median fills them in, drop={as_list([column for column, _ in bad])} leaves out the columns"
    )


def ids_in(name: str, column: str, values: pd.Series[Any]) -> tuple[str, ...]:
    """Names of the rows, as they are written.

    Raises:
        DataError: if some are missing.

    >>> ids_in("t.csv", "id", pd.Series([7, 8]))
    ('7', '8')
    """
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"table: the column of ids {column!r} of {name} has {len(missing)} missing values, the first in row "
            f"{missing[0]}"
        )
    return tuple(str(value) for value in values.tolist())


def _numbers_of_words(name: str, column: str, values: pd.Series[Any], separator: str, header: bool) -> pd.Series[Any]:
    """The numbers of a column that pandas keeps as words or as Python's objects.

    Raises:
        DataError: with the first of it that is no number.
    """
    is_word = values.map(lambda value: isinstance(value, str))
    numeric = pd.to_numeric(values, errors="coerce")
    if not is_word.any() and not (numeric.isna() & values.notna()).any() and values.dtype == object:
        return numeric
    strange = values[pd.to_numeric(values.astype(str), errors="coerce").isna() & values.notna()]
    words = strange if len(strange) else values[is_word]
    example = f"row {words.index[0]} holds {str(words.iloc[0])[:40]!r}" if len(words) else f"{values.dtype}"
    few = 0 < len(strange) <= max(_FEW_WORDS * len(values), len(values) >= _FEWEST_ROWS)
    if not header and list(strange.index) == [0]:
        advice = "; the first line seems to name the columns: leave header=false out"
    else:
        advice = _how_written([str(value) for value in strange], separator)
        if few and not advice:  # a column of numbers with a few slips
            rows = f"the {len(strange):,} rows that hold" if len(strange) > 1 else "the row that holds"
            advice = f"; mend or remove {rows} no number, or leave the column out with drop={column}"
        else:
            names_rows = len(values) > 1 and values.is_unique
            advice += f"; leave it out with drop={column}, or use it as {'id' if names_rows else 'label'}={column}"
    raise DataError(f"table: column {column!r} of {name} is not numeric ({example}){advice}")


def _how_written(strange: Sequence[str], separator: str) -> str:
    """What to say if these are numbers that are written in another way."""
    groups = [_THOUSANDS.fullmatch(text) for text in strange]
    marks = {match[1] for match in groups if match}
    decimal = 'if that is a decimal comma say decimal=","'
    if separator == ",":
        decimal = "if that is a decimal comma write a point"
    if strange and all(groups) and len(marks) == 1:
        mark = marks.pop()
        written = json.dumps(mark) if mark in ", " else mark
        has_comma = mark == "." or (mark != "," and any("," in text for text in strange))
        thousands = f"thousands={written}{',decimal=' + json.dumps(',') if has_comma else ''}"
        unclear = mark == "," and separator != "," and not any("." in text or text.count(",") > 1 for text in strange)
        return f"; if {mark!r} stands between thousands say {thousands}" + (f", {decimal}" if unclear else "")
    return f"; {decimal}" if strange and _DECIMAL_COMMA.fullmatch(strange[0]) else ""


def labels_in(name: str, column: str, values: pd.Series[Any]) -> tuple[Array, Array]:
    """The labels as they are written, numbers or words, and the rows that have none.

    Raises:
        DataError: if some are fractions.

    >>> labels_in("t.csv", "kind", pd.Series(["cat", None, "dog"]))
    (array(['cat', '', 'dog'], dtype='<U3'), array([1]))
    """
    absent = values.isna().to_numpy()
    missing = np.flatnonzero(absent)
    array: Array = values.to_numpy()
    if not pd.api.types.is_numeric_dtype(values):
        array = np.full(len(values), "", dtype=object)
        array[~absent] = values[~absent].astype(str).to_numpy(dtype=np.str_)
        array = array.astype(np.str_)
    if len(missing) < len(array):
        encode_labels(f"table: column {column!r} of {name}", array, len(values), missing.tolist())
    return array, missing


def constant_columns(x: Array, train: Array) -> Array:
    """Which columns have one value in all training rows, ``(D,)``.

    >>> constant_columns(np.array([[0.0, 1.0], [0.0, 2.0], [5.0, 3.0]]), np.array([0, 1])).tolist()
    [True, False]
    """
    seen = x[train]
    still: Array = seen.min(0) == seen.max(0)
    return still


def refuse_constant(name: str, constant: Sequence[str], n: int) -> None:
    """Refuse columns that cannot be standardised.

    Raises:
        DataError: if there are some of `n`, in one line however many.
    """
    if not constant:
        return
    if len(constant) <= _MOST_NAMED:
        what = f"{named(constant)} of {name} has"
        advice = f"leave it out with drop={as_list(constant)}, or with constant=drop"
    else:
        what = f"{len(constant):,} of {n:,} columns of {name} ({named(constant)}) each have"
        advice = "constant=drop leaves them out"
    raise DataError(f"table: {what} the same value in all training rows, so it cannot be standardised; {advice}")


def moments(
    name: str, x: Array, train: Array, scaled: Sequence[bool] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column, measured on the training rows only: nothing leaks from the others.

    Args:
        name: of the file, for messages.
        x: numbers ``(n, D)``, float64, no column constant on the training rows.
        train: row numbers of the training part.
        scaled: which columns are scaled; the others have mean 0 and deviation 1. All by default.

    Raises:
        DataError: if they differ by too little for a standard deviation.

    >>> moments("t", np.array([[0.0], [2.0], [9.0]]), np.array([0, 1]))
    ((1.0,), (1.0,))
    """
    mean, std = x[train].mean(0), x[train].std(0)
    if scaled is not None:
        mean, std = np.where(scaled, mean, 0.0), np.where(scaled, std, 1.0)
    if not (std > 0).all():
        raise DataError(f"table: values of {name} differ by too little for a standard deviation; rescale them")
    return tuple(mean.tolist()), tuple(std.tolist())
