"""How are the rows of a Hugging Face data set read?"""

from __future__ import annotations

from typing import Any

import numpy as np

from intel_core.errors import DataError
from intel_core.reading.capabilities import Examples
from intel_core.reading.columns import Column, Columns, examples_in
from intel_core.reading.frames import columns_of_frame
from intel_core.reading.inputs import Choose
from intel_core.reading.torch_data import read_items

__all__ = ["read_rows"]


def read_rows(name: str, rows: Any, asked: Columns, most: int | None, choose: Choose) -> Examples:
    """All rows of a data set, or the first ones of a stream.

    Args:
        name: of the data, for messages.
        rows: a `datasets.Dataset` or `datasets.IterableDataset`.
        asked: what is said about its columns.
        most: how many rows to take.
        choose: as of `InputSpec.read`.

    Raises:
        DataError: if it is empty or a stream of unknown length, or as `examples_in`.
    """
    if not hasattr(rows, "with_format") or not hasattr(rows, "__len__"):
        return read_items(name, iter(rows), asked, most, choose, called=type(rows).__name__)
    rows = rows if most is None else rows.select(range(min(most, len(rows))))
    if not len(rows):
        raise DataError(f"{name}: a data set without rows; nothing to model")
    plain = {key: feature for key, feature in rows.features.items() if _is_plain(feature)}
    table = rows.select_columns(list(plain)).with_format("arrow")[:] if plain else None
    simple = {} if table is None else {column.name: column for column in columns_of_frame(name, table)}
    columns = [
        _with_classes(simple[key], feature) if key in simple else _wide(name, rows, key)
        for key, feature in rows.features.items()
    ]
    return examples_in(name, columns, asked, choose)


def _is_plain(feature: Any) -> bool:
    """Whether a column has a number or a word in each row."""
    return type(feature).__name__ in ("Value", "ClassLabel")


def _with_classes(column: Column, feature: Any) -> Column:
    names = tuple(getattr(feature, "names", None) or ())
    return Column(column.name, column.sort, column.values, column.said, names) if names else column


def _wide(name: str, rows: Any, key: str) -> Column:
    """A column of arrays or images, decoded when it is wanted."""

    def values() -> Any:
        from intel_core.reading.torch_data import array_of

        where = f"{name}: column {key!r}"
        arrays = [array_of(where, value) for value in rows.with_format(None)[key]]
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            raise DataError(f"{where} has items of shapes {shapes[0]} and {shapes[1]}; a model needs one: resize them")
        return np.stack(arrays)

    feature = rows.features[key]
    return Column(key, "rows", values, f"a {type(feature).__name__}")
