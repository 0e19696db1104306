"""Does the first line of a text file name its columns, or is it data?"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from intel_core.errors import DataError

__all__ = ["refuse_line_above", "require_names"]

_LINES = 20
_LONGEST = 1 << 20

_FEWEST_IN_STEPS = 3
"""Whole numbers in equal steps, at least so many, are names (years, say) even where values are as large."""
_MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
_MOST_SHAPES = 1000
_MARGIN = 0.1


def refuse_line_above(path: Path, separator: str = "") -> None:
    r"""Refuse what spreadsheets and people write above the names of columns: ``sep=;``, a title, a comment.

    A title is a line of at most one filled cell above lines that all have the same greater number of cells.

    Args:
        path: a text file.
        separator: between its columns; if empty, whichever one the lines below share.

    Raises:
        DataError: saying what the line is, and that it has to be removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "t.csv"
    ...     _ = file.write_text("Made in May\na,b\n1,2\n3,4\n")
    ...     refuse_line_above(file)
    Traceback (most recent call last):
    intel_core.errors.DataError: table: the first line of t.csv ('Made in May') stands alone above 2 columns, ...
    """
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = [line.rstrip("\r\n") for line in itertools.islice(iter(lambda: stream.readline(_LONGEST), ""), _LINES)]
    if not lines:
        return
    excel = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[0], re.IGNORECASE)
    if excel:
        say = (
            "" if excel[1] == "," else f", and say separator={json.dumps(excel[1]) if excel[1] == chr(9) else excel[1]}"
        )
        raise DataError(
            f"table: the first line of {path.name} ({lines[0].strip()}) tells Excel what stands between columns, "
            f"and is no line of names; remove that line{say}"
        )
    filled = [line for line in lines if line.strip()]
    for between in separator or ",;\t|":
        if not separator and any(_parts_all(other, filled) for other in ",;\t|" if other != between):
            continue  # what looks like columns are the commas of decimals, say
        cells = [[cell.strip() for cell in line.split(between)] for line in filled]
        widths = {len(row) for row in cells[1:]}
        above = [cell for cell in cells[0] if cell]
        if len(cells) > 2 and len(widths) == 1 and min(widths) > 1 and len(above) == 1 and cells[0][0]:
            if len(cells[0]) not in (1, min(widths)):
                continue
            shown = above[0] if len(above[0]) < 60 else above[0][:57] + "…"
            raise DataError(
                f"table: the first line of {path.name} ({shown!r}) stands alone above {min(widths)} columns, like a "
                "title; remove that line"
            )


def _parts_all(separator: str, lines: Sequence[str]) -> bool:
    """Whether all lines have the same number of some character, at least one."""
    return len({line.count(separator) for line in lines}) == 1 and separator in lines[0]


def require_names(name: str, first: Sequence[str], frame: pd.DataFrame) -> None:
    """Refuse a first line that looks like data: the first example would silently become the names of the columns.

    It does where all of it are numbers (but 0, 1, … in order); where a word of it comes up again below, or all words
    below are written like it (2020-01-01, id17); and where a number of it lies among those of its column, or close by,
    and is written as they are.

    Args:
        name: of the file, for messages.
        first: the texts of the first line.
        frame: what follows.

    Raises:
        DataError: saying what to say, if it is data and if it is not.

    >>> require_names("t.csv", ["5.1", "setosa"], pd.DataFrame({"5.1": [4.9, 6.2], "setosa": ["setosa", "other"]}))
    Traceback (most recent call last):
    intel_core.errors.DataError: table: the first line of t.csv looks like data (5.1,setosa), not like names of ...
    """
    texts = [text.strip() for text in first[: frame.shape[1]]]
    written = [text for text in texts if text.lower() not in _MISSING]
    numbers = {i: float(text) for i, text in enumerate(texts) if _is_number(text)}
    if written == [str(i) for i in range(len(written))]:
        return
    if written and all(_is_number(text) for text in written):
        raise DataError(
            f"table: the first line of {name} holds numbers, not column names; if it is data say header=false, if "
            "these numbers are the names of the columns say header=true"
        )
    words = [i for i, text in enumerate(texts) if i not in numbers and text.lower() not in _MISSING]
    alike = any(_comes_up_again(texts[i], frame.iloc[:, i]) for i in words)
    among = any(_lies_among(texts[i], frame.iloc[:, i]) for i in numbers)
    if alike or (among and not _in_steps(list(numbers.values()))):
        line = ",".join(first)
        raise DataError(
            f"table: the first line of {name} looks like data ({line if len(line) < 60 else line[:57] + '…'}), not "
            "like names of columns; say header=false if it is data, header=true if it names them"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _comes_up_again(word: str, values: pd.Series[Any]) -> bool:
    """Whether a word is one of the values, or all of them are written like it but for their digits."""
    if pd.api.types.is_numeric_dtype(values):
        return False
    below = values.dropna().astype(str).str.strip()
    shapes = set(below.head(_MOST_SHAPES).str.replace(r"\d+", "0", regex=True))
    return bool((below == word).any()) or (any(c.isdigit() for c in word) and shapes == {re.sub(r"\d+", "0", word)})


def _lies_among(text: str, values: pd.Series[Any]) -> bool:
    numeric = pd.to_numeric(values, errors="coerce").dropna()
    if text.lstrip("+-").isdigit() and not (numeric == numeric.round()).all():
        return False  # a whole number above fractions is a name: 1, 2, … or a year
    if not len(numeric):
        return False
    low, high = float(numeric.min()), float(numeric.max())
    margin = _MARGIN * (high - low)  # the first of values that are sorted lies beside them
    return low - margin <= float(text) <= high + margin


def _in_steps(numbers: Sequence[float]) -> bool:
    """Whether they are whole numbers that rise in equal steps."""
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    rising = len(steps) == 1 and min(steps) > 0
    return len(numbers) >= _FEWEST_IN_STEPS and rising and all(number == round(number) for number in numbers)
