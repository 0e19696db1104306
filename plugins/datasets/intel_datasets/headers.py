"""Does the first line of a text file name its columns, or is it data?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from intel_core.errors import DataError

__all__ = ["require_names"]

_FEWEST_IN_STEPS = 3
"""Whole numbers in equal steps, at least so many, are names (years, say) even where values are as large."""


def require_names(name: str, first: Sequence[str], frame: pd.DataFrame) -> None:
    """Refuse a first line that looks like data: the first example would silently become the names of the columns.

    It does where all of it are numbers (but 0, 1, … in order), and where some are and either another word of it comes
    up again below, or one of the numbers lies among the values of its column and is written as they are.

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
    written = [text for text in first if text.strip()]
    numbers = {i: float(text) for i, text in enumerate(first) if _is_number(text)}
    if not numbers or [text.strip() for text in written] == [str(i) for i in range(len(written))]:
        return
    if len(numbers) == len(written):
        raise DataError(
            f"table: the first line of {name} holds numbers, not column names; if it is data say header=false, if "
            "these numbers are the names of the columns say header=true"
        )
    again = any(
        text in set(frame.iloc[:, i].astype(str))
        for i, text in enumerate(first)
        if i not in numbers and text.strip() and i < frame.shape[1]
    )
    among = any(_lies_among(number, frame.iloc[:, i]) for i, number in numbers.items() if i < frame.shape[1])
    if again or (among and not _in_steps(list(numbers.values()))):
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


def _lies_among(number: float, values: pd.Series[float]) -> bool:
    numeric = pd.to_numeric(values, errors="coerce").dropna()
    if number == round(number) and not (numeric == numeric.round()).all():
        return False  # a whole number above fractions is a name: 1, 2, … or a year
    return bool(len(numeric)) and bool(numeric.min() <= number <= numeric.max())


def _in_steps(numbers: Sequence[float]) -> bool:
    """Whether they are whole numbers that rise in equal steps."""
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    rising = len(steps) == 1 and min(steps) > 0
    return len(numbers) >= _FEWEST_IN_STEPS and rising and all(number == round(number) for number in numbers)
