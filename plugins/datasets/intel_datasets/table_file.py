"""How is one file of a table read? Its lines of names and numbers, and which of its columns are used."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from intel_core.errors import DataError, did_you_mean
from intel_datasets.files import check_suffix
from intel_datasets.headers import refuse_line_above, require_names
from intel_datasets.written import refuse_empty_lines, refuse_wrong_groups

__all__ = ["LONGEST_LINE", "SUFFIXES", "USUAL", "Layout", "as_written", "chosen_columns", "read_table", "separator_of"]

SUFFIXES = (".csv", ".tsv", ".parquet")
LONGEST_LINE = 1 << 20
_SEPARATORS = (";", "\t", "|", ",")


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
        id: column that names the rows, if any; it is not modelled.
        conditions: columns that encoder and decoder see beside x and z; they are not modelled.
    """

    label: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    header: bool | Literal["auto"] = "auto"
    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    id: str | None = None
    conditions: tuple[str, ...] = ()


USUAL = Layout()
"""A file with a line of names, all of whose columns are used."""


def read_table(path: Path, layout: Layout = USUAL) -> pd.DataFrame:
    """A .csv, .tsv or .parquet file; names of columns become texts.

    Args:
        path: the file.
        layout: how it is written.

    Raises:
        DataError: if it cannot be read, is empty, or evidently has no line of names or another separator.
    """
    suffix = check_suffix("table", path, SUFFIXES)
    first: list[str] = []
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        else:
            refuse_line_above(path, layout.separator or "")
            between = layout.separator or separator_of(path)
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
    between = layout.separator or separator_of(path)
    frame = pd.read_csv(path, sep=between, header=header, index_col=False, dtype=str, keep_default_na=False)
    frame.columns = [str(column) for column in frame.columns]
    return frame


def as_written(file: Path, layout: Layout, column: str, frame: pd.DataFrame) -> pd.Series[Any]:
    """A column of labels or ids; codes with leading zeros stay as they are written, or 01 and 1 would be one."""
    labels = frame[column]
    if file.suffix.lower() != ".parquet" and pd.api.types.is_integer_dtype(labels.dtype):
        texts = _texts(file, layout)[column].str.strip()
        if texts.str.match(r"0\d").any():
            return texts
    return labels


def separator_of(path: Path) -> str:
    """The usual separator for a file's suffix.

    Raises:
        DataError: if the first line evidently has another one, since the whole table would become a single column.
    """
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8", errors="replace") as file:
        line, below = file.readline(LONGEST_LINE), file.readline(LONGEST_LINE)
    likely = max(_SEPARATORS, key=line.count)
    if usual not in line and likely in line:
        written = json.dumps(likely) if likely in "\t," else likely
        commas = likely != "," and re.search(r"\d,\d", below)
        raise DataError(
            f"table: {path.name} seems to have {likely!r} between columns, expected {usual!r}; say separator={written}"
            + (' and, for numbers like 1,5, decimal=","' if commas else "")
        )
    return usual


def chosen_columns(name: str, present: Sequence[str], layout: Layout) -> list[str]:
    """The columns to model, of those that are present."""
    said = (("label", (layout.label,)), ("id", (layout.id,)), ("columns", layout.columns), ("drop", layout.drop))
    for key, wanted in (*said, ("conditions", layout.conditions)):
        for column in wanted:
            if column is not None and column not in present:
                hint = did_you_mean(column, present, say="columns")
                raise DataError(f"table: {name} has no column {column!r} ({key}){hint}")
    left_out = (*layout.drop, *layout.conditions, layout.label, layout.id)
    chosen = list(layout.columns) or [column for column in present if column not in left_out]
    if not chosen:
        raise DataError(f"table: no column of {name} is left to model; it has {', '.join(present)}")
    unnamed = [c for c in chosen if c.startswith("Unnamed: ") and c not in layout.columns]
    if unnamed:
        raise DataError(
            f"table: a column of {name} has no name (a row index?); leave it out with drop={unnamed[0]}, "
            "or name it in columns=[…]"
        )
    return chosen
