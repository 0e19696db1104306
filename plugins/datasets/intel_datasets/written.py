"""Which cells of a text file would be read as something else than what is written?"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from intel_core.errors import DataError

__all__ = ["refuse_empty_lines", "refuse_wrong_groups"]


def refuse_empty_lines(path: Path, frame: pd.DataFrame) -> None:
    """Refuse an empty line between the rows of a single column: it is a missing value, which pandas leaves out.

    Args:
        path: the file.
        frame: what was read of it.

    Raises:
        DataError: with the number of the line.
    """
    if len(frame.columns) != 1:
        return
    lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    begun = False
    for number, line in enumerate(lines, 1):
        if begun and not line.strip():
            raise DataError(
                f"table: line {number} of {path.name} is empty, which in a table of one column is a missing value; "
                "fill it in, or remove the line"
            )
        begun = begun or bool(line.strip())


def refuse_wrong_groups(name: str, cells: pd.DataFrame, thousands: str, decimal: str) -> None:
    """Refuse numbers whose groups have not three digits: the character stands for something else there.

    Args:
        name: of the file.
        cells: all cells, as they are written.
        thousands: the character between groups of three digits.
        decimal: the character before decimals.

    Raises:
        DataError: for the first such number; 1.5 would become 15 where points are said to stand between thousands.

    >>> refuse_wrong_groups("t.csv", pd.DataFrame({"a": ["1,234", "1,5"]}), ",", ".")
    Traceback (most recent call last):
    intel_core.errors.DataError: table: column 'a' of t.csv holds '1,5' in row 1, where ',' does not stand between ...
    """
    between, point = re.escape(thousands), re.escape(decimal)
    digits = rf"[\s+-]*[\d{between}]*\d[\d{between}]*(?:{point}\d*)?(?:[eE][+-]?\d+)?\s*"
    grouped = rf"[\s+-]*\d{{1,3}}(?:{between}\d{{3}})*(?:{point}\d*)?(?:[eE][+-]?\d+)?\s*"
    for column in cells.columns:
        texts = cells[column]
        some = texts.str.contains(thousands, regex=False)
        wrong = some & texts.str.fullmatch(digits) & ~texts.str.fullmatch(grouped)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise DataError(
                f"table: column {column!r} of {name} holds {texts.iloc[row]!r} in row {row}, where {thousands!r} "
                "does not stand between groups of three digits; correct thousands= or decimal="
            )
