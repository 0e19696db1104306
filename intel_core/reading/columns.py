"""Which of some named columns are examples, and which are labels?

Numbers are examples: all columns of one number per row together, or one column that holds an image or a vector in each
row. Words are labels: those of the column that is named, or of the only one.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from intel_core.errors import DataError, did_you_mean
from intel_core.reading.capabilities import Examples
from intel_core.reading.labelling import encode_labels
from intel_core.reading.values import read_values

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from intel_core.reading.inputs import Choose

__all__ = ["Column", "Columns", "examples_in", "require_columns", "warn_of_same_names"]

Sort = Literal["numbers", "words", "rows", "other"]
_MOST_NAMED = 5


@dataclass(frozen=True)
class Column:
    """One column, whose values are fetched only if they are wanted.

    Attributes:
        name: its name.
        sort: one number in each row, words, an array or an image in each row, or anything else.
        values: fetches them: numbers ``(n,)`` with NaN where one is missing, words ``(n,)``, arrays ``(n, …)``.
        said: what it holds, in a word, for messages.
        classes: names of the numbers, if they stand for classes.
    """

    name: str
    sort: Sort
    values: Callable[[], Any]
    said: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """What is said about columns beside the data.

    Attributes:
        label: the column of labels.
        columns: those that are modelled; all but the label if empty.
        drop: those that are left out.
        id: a column that names the rows.
        conditions: columns that are not modelled, but seen by encoder and decoder.
    """

    label: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    id: str | None = None
    conditions: tuple[str, ...] = ()


def examples_in(
    name: str, table: Sequence[Column], asked: Columns, choose: Choose, names: tuple[str, ...] = ()
) -> Examples:
    """Examples and labels.

    Args:
        name: of the data, for messages.
        table: all columns.
        asked: what is said about them.
        choose: as of `InputSpec.read`.
        names: of the rows, if they have some and no column is named for it.

    Raises:
        DataError: if a column is missing, or what is left is more than numbers.
    """
    if not table:
        raise DataError(f"{name}: it has no columns; nothing to model")
    by_name = {column.name: column for column in table}
    positions = choose(list(by_name))
    chosen = None if positions is None else [table[position] for position in positions]
    # What a run was trained with need not be there where it is asked about other rows.
    asked = asked if chosen is None else _as_far_as_there(asked, by_name)
    _require(name, asked, by_name)
    label = None if asked.label is None else by_name[asked.label]
    if chosen is None:
        left_out = {asked.id, asked.label, *asked.drop, *asked.conditions}
        chosen = [by_name[c] for c in asked.columns] or [column for column in table if column.name not in left_out]
        if label is None and not asked.columns:
            label = _only_label(name, chosen)
            chosen = [column for column in chosen if column is not label]
    elif label is None:
        left_out = {asked.id, *asked.drop, *asked.conditions}
        others = [column for column in table if column not in chosen and column.name not in left_out]
        label = _only_label(name, others, strict=False)
    _refuse_others(name, chosen, [column.name for column in table], known=positions is not None)
    x = _together(name, chosen)
    if asked.id is not None:
        names = tuple(str(value) for value in by_name[asked.id].values().tolist())
        warn_of_same_names(name, asked.id, names)
    labels, classes, unlabelled = (None, (), ()) if label is None else _labels(name, label)
    if label is not None and labels is None and positions is None:
        raise DataError(f"{name}: there is no label in any row of column {label.name!r}; leave it out")
    columns = tuple(column.name for column in chosen) if chosen[0].sort != "rows" else ()
    conditions = {key: by_name[key].values() for key in asked.conditions}
    return Examples(x, labels, classes, columns, names, conditions, unlabelled=unlabelled)


def require_columns(name: str, known: Sequence[str], there: Sequence[str]) -> None:
    """Refuse data without a column that a run was trained on.

    Args:
        name: of the data, for messages; empty if that is told elsewhere.
        known: the columns of the training data.
        there: those of the data.

    Raises:
        DataError: naming the first that is missing, and the nearest that is there.

    >>> require_columns("t.csv", ["age", "weight"], ["age", "wieght"])
    Traceback (most recent call last):
    intel_core.errors.DataError: t.csv: there is no column 'weight'; did you mean 'wieght'?... trained on age, weight
    """
    missing = next((column for column in known if column not in there), None)
    if missing is not None:
        hint = did_you_mean(missing, there, say="columns")
        at = f"{name}: " if name else ""
        raise DataError(f"{at}there is no column {missing!r}{hint}; the run was trained on {', '.join(known)}")


def warn_of_same_names(name: str, column: str, names: Sequence[str]) -> None:
    """Warn of names of rows that several rows have: nothing can be joined on them."""
    if len(set(names)) < len(names):
        first, count = Counter(names).most_common(1)[0]
        warnings.warn(
            f"{name}: column {column!r} (id) has {len(set(names)):,} names for {len(names):,} rows; {first[:40]!r} is "
            f"that of {count:,}",
            stacklevel=3,
        )


def _as_far_as_there(asked: Columns, there: dict[str, Column]) -> Columns:
    label, rows = (one if one in there else None for one in (asked.label, asked.id))
    return Columns(label, (), (), rows, tuple(one for one in asked.conditions if one in there))


def _require(name: str, asked: Columns, there: dict[str, Column]) -> None:
    """Refuse names that no column has, or that say two things.

    Raises:
        DataError: with the nearest name.
    """
    wanted = {"label": [asked.label], "columns": asked.columns, "drop": asked.drop, "id": [asked.id]}
    wanted["conditions"] = asked.conditions
    for key, names in wanted.items():
        for column in names:
            if column is not None and column not in there:
                hint = did_you_mean(column, list(there), say="columns")
                raise DataError(f"{name}: there is no column {column!r} ({key}){hint}")
    for column in asked.columns:
        if column in (asked.label, asked.id, *asked.drop, *asked.conditions):
            raise DataError(
                f"{name}: {column!r} is among the columns to model, and is the label, the id, a condition, or dropped"
            )


def _only_label(name: str, columns: Sequence[Column], *, strict: bool = True) -> Column | None:
    """The only column of classes among some; None if there is none, or several.

    Raises:
        DataError: if its words are different in each row, so that they are names of the rows and no classes.
    """
    words = [column for column in columns if column.sort == "words" or column.classes]
    if len(words) != 1 or (strict and len(columns) == 1):
        return None
    if words[0].classes:
        return words[0]
    values = words[0].values()
    if len(values) > 1 and len(set(values.tolist())) == len(values):
        if strict:
            raise DataError(
                f"{name}: column {words[0].name!r} holds another word in each row; id={words[0].name!r} takes them as "
                f"names of the rows, drop={words[0].name!r} leaves them out"
            )
        return None
    return words[0]


def _refuse_others(name: str, columns: Sequence[Column], everything: Sequence[str], *, known: bool) -> None:
    """Refuse columns that hold no numbers, all of them at once; `known` ones are those that a run was trained on.

    Raises:
        DataError: with what can be done about them.
    """
    if not columns:
        raise DataError(f"{name}: no column is left to model; it has {', '.join(everything)}")
    wide = [column for column in columns if column.sort == "rows"]
    if wide and len(columns) > 1:
        first, others = wide[0].name, [column.name for column in columns if column is not wide[0]]
        raise DataError(
            f"{name}: column {first!r} holds {wide[0].said or 'an array'} in each row, and {_named(others)} more than "
            f"that; columns={first!r} takes it alone, label=… names the labels"
        )
    bad = [column for column in columns if column.sort in ("words", "other")]
    if not bad:
        return
    names = [column.name for column in bad]
    said = ", ".join(f"{column.name!r} ({column.said or 'words'})" for column in bad[:_MOST_NAMED])
    more = f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    if known:
        raise DataError(
            f"{name}: no numbers are in column{'s' * (len(bad) > 1)} {said}{more}, as there were in training"
        )
    words = [column for column in bad if column.sort == "words"]
    advice = f"drop={json.dumps(names if len(names) > 1 else names[0], ensure_ascii=False)} leaves them out"
    if words:  # the one with the fewest words; one with a word for each row names the rows
        held = {column.name: column.values() for column in words}
        distinct = {column: len(set(values)) for column, values in held.items()}
        named = [column for column, values in held.items() if distinct[column] == len(values) > 1]
        if len(named) < len(words):
            chosen = min(distinct, key=distinct.__getitem__)
            advice += f", labels={json.dumps(chosen, ensure_ascii=False)} takes one as classes"
        if named:
            advice += f", id={json.dumps(named[0], ensure_ascii=False)} takes one as names of the rows"
    raise DataError(f"{name}: no numbers are in column{'s' * (len(bad) > 1)} {said}{more}; {advice}")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
    return f"column {shown} holds" if len(names) == 1 else f"columns {shown} hold"


def _together(name: str, columns: Sequence[Column]) -> Tensor:
    """Columns of numbers as one tensor, as exact as they are; bytes stay bytes if all are."""
    import numpy as np
    import torch

    if columns[0].sort == "rows":
        return read_values(f"{name}: column {columns[0].name!r}", columns[0].values(), torch.float64).x
    arrays = [np.asarray(column.values()) for column in columns]
    together = np.column_stack(arrays)
    if together.dtype == np.uint8 and any(array.dtype != np.uint8 for array in arrays):
        together = together.astype(np.int16)  # numbers, and not bytes that stand for x / 255
    return read_values(name, together, torch.float64).x


def _labels(name: str, column: Column) -> tuple[Tensor | None, tuple[str, ...], tuple[int, ...]]:
    """The classes of a column, numbered, their names, and the rows that have none; no labels if all have none.

    Raises:
        DataError: if they are fractions, or something else than classes.
    """
    import numpy as np
    import torch

    values = column.values()
    if column.classes:
        if len(values) and not -1 <= values.min() <= values.max() < len(column.classes):
            raise DataError(
                f"{name}: the labels in column {column.name!r} go from {values.min()} to {values.max()}, but its "
                f"{len(column.classes)} classes are 0 to {len(column.classes) - 1}; leave other rows out"
            )
        unlabelled = np.flatnonzero(values == -1).tolist()  # as category types have it, and data sets of images
    elif column.sort not in ("words", "numbers"):
        raise DataError(f"{name}: column {column.name!r} ({column.said}) holds neither whole numbers nor words")
    else:
        unlabelled = [row for row, value in enumerate(values.tolist()) if value is None or value != value]
    if len(unlabelled) == len(values):
        return None, (), ()
    if column.classes:
        return torch.from_numpy(values.astype("int64")), column.classes, tuple(unlabelled)
    written = values if unlabelled else _as_written(values)
    numbers, names = encode_labels(f"{name}: column {column.name!r}", written, len(values), unlabelled)
    return torch.from_numpy(numbers), names, tuple(unlabelled)


def _as_written(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return values.astype(np.str_) if values.dtype.kind == "O" else values
