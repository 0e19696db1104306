"""How does a data frame of any library become examples? Column by column, through narwhals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intel_core.components.wording import one_line
from intel_core.errors import DataError
from intel_core.reading.columns import Column, Columns, examples_in
from intel_core.reading.values import is_missing, read_values

if TYPE_CHECKING:
    import narwhals as nw
    import numpy as np

    from intel_core.reading.capabilities import Examples
    from intel_core.reading.inputs import Choose

__all__ = ["columns_of_frame", "frame_like", "read_frame", "refuse_other_rows"]


def read_frame(name: str, frame: Any, asked: Columns, choose: Choose) -> Examples:
    """The examples and labels of a data frame.

    Args:
        name: of the data, for messages.
        frame: of pandas, polars, pyarrow, or another library that narwhals knows; a lazy one is computed.
        asked: what is said about its columns.
        choose: as of `InputSpec.read`.

    Raises:
        DataError: if two columns have one name, or as `examples_in`.

    >>> import pandas
    >>> from intel_core.reading.inputs import as_it_comes
    >>> frame = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 2.0], "kind": ["x", "y", "x"]})
    >>> found = read_frame("mine", frame, Columns(), as_it_comes)
    >>> found.x.tolist(), found.columns, found.class_names
    ([[1.0, 0.5], [2.0, nan], [3.0, 2.0]], ('a', 'b'), ('x', 'y'))
    """
    table = _eager(name, frame)
    if not len(table):
        raise DataError(f"{name}: a data frame without rows; nothing to model")
    index = getattr(table.to_native(), "index", None)
    counted = index is None or type(index).__name__ == "RangeIndex"
    names = () if counted or index is None else tuple(str(label) for label in index)
    return examples_in(name, columns_of_frame(name, table), asked, choose, names)


def frame_like(frame: Any, columns: Mapping[str, Any], id: str | None = None) -> Any:
    """Columns as a frame of the same library as another one, whose rows have the same index.

    Args:
        frame: the other one.
        columns: arrays by name.
        id: column of the other frame that names its rows, and comes first, if it is there.
    """
    import narwhals as nw

    table = _eager("data", frame)
    beside = {id: table.get_column(id).to_list()} if id in table.columns and id not in columns else {}
    made = nw.from_dict({**beside, **columns}, backend=table.implementation).to_native()
    index = getattr(table.to_native(), "index", None)
    if index is not None:
        made.index = index
    return made


def refuse_other_rows(name: str, what: str, given: Any, beside: Any) -> None:
    """Refuse values beside a frame of pandas whose index is another one: by position they would go to other rows.

    Args:
        name: of the data, for messages.
        what: the values, for messages.
        given: the data.
        beside: a column, a frame, or columns by name; what has no index is taken by position.

    Raises:
        DataError: if the two are as long, and their indices differ.

    >>> import pandas
    >>> frame = pandas.DataFrame({"a": [1, 2]})
    >>> refuse_other_rows("mine", "labels", frame, pandas.Series([0, 1], index=[1, 0]))
    Traceback (most recent call last):
    intel_core.errors.DataError: mine: labels have another index than the data; .loc[data.index] puts them in...
    """
    index: Any = getattr(given, "index", None)
    if not hasattr(index, "equals"):
        return
    for one in beside.values() if isinstance(beside, Mapping) else [beside]:
        other: Any = getattr(one, "index", None)
        if hasattr(other, "equals") and len(other) == len(index) and not index.equals(other):
            raise DataError(
                f"{name}: {what} have another index than the data; .loc[data.index] puts them in its order, "
                ".to_numpy() takes them as they lie"
            )


def _eager(name: str, frame: Any) -> nw.DataFrame[Any]:
    """The frame in memory, its columns called by texts.

    Raises:
        DataError: if two have one name, or what a lazy frame asks for cannot be computed.
    """
    import narwhals as nw

    if hasattr(frame, "set_axis") and hasattr(frame, "columns"):  # pandas and alike, where names may be anything
        labels = [str(label) for label in frame.columns]
        twice = sorted({label for label in labels if labels.count(label) > 1}) if len(set(labels)) < len(labels) else []
        if twice:
            raise DataError(f"{name}: two columns are called {twice[0]!r}; rename one, or drop it")
        if labels != list(frame.columns):
            frame = frame.set_axis(labels, axis=1)
    try:
        found = frame if isinstance(frame, nw.DataFrame | nw.LazyFrame) else nw.from_native(frame)
    except TypeError as error:
        said = one_line(str(error))
        raise DataError(f"{name}: a {type(frame).__name__} that is no data frame for narwhals: {said}") from None
    if isinstance(found, nw.DataFrame):
        return found
    try:
        collected: nw.DataFrame[Any] = found.collect()
    except Exception as error:  # whatever the library raises of a query of the user's
        said = one_line(f"{type(error).__name__}: {error}")
        raise DataError(f"{name}: the lazy data frame cannot be computed: {said}") from None
    return collected


def columns_of_frame(name: str, frame: Any) -> list[Column]:
    """The columns of a frame, whose values are fetched when they are wanted.

    Raises:
        DataError: if two have one name.
    """
    table = _eager(name, frame)
    return [_column(name, table.get_column(column)) for column in table.columns]


def _column(name: str, series: nw.Series[Any]) -> Column:
    import narwhals as nw

    dtype, column = series.dtype, series.name
    if dtype.is_numeric() or dtype == nw.Boolean:
        return Column(column, "numbers", lambda: _numbers(series))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return Column(column, "words", lambda: _words(series), "words")
    if isinstance(dtype, nw.List | nw.Array):
        return Column(column, "rows", lambda: series.to_list(), "a list")
    if dtype in (nw.Object, nw.Unknown):
        return _of_objects(name, series)
    return Column(column, "other", series.to_list, type(dtype).__name__.lower())


def _numbers(series: nw.Series[Any]) -> np.ndarray[Any, Any]:
    """Numbers as they are, or in float64 with NaN where one is missing."""
    import narwhals as nw

    if series.dtype.is_decimal() or series.null_count():
        series = series.cast(nw.Float64)
    array = series.to_numpy()
    return array.astype("float64") if array.dtype.kind == "O" else array


def _words(series: nw.Series[Any]) -> np.ndarray[Any, Any]:
    """Texts, None where one is missing; categories that are whole numbers stay so, as in a file."""
    import numpy as np

    values = series.to_list()
    if values and all(type(value) is int for value in values):
        return np.array(values)
    return np.array([None if is_missing(value) else str(value) for value in values], dtype=object)


def _of_objects(name: str, series: nw.Series[Any]) -> Column:
    """A column of Python's objects: numbers, words, arrays, or a mixture that is told when it is wanted."""
    values = series.to_list()
    there = [value for value in values if not is_missing(value)]
    if there and all(isinstance(value, str) for value in there):
        return Column(series.name, "words", lambda: _words(series), "words")
    if there and all(hasattr(value, "__len__") and not isinstance(value, str) for value in there):
        return Column(series.name, "rows", lambda: values, "an array")

    def numbers() -> np.ndarray[Any, Any]:
        import numpy as np
        import torch

        column = np.empty((len(values), 1), dtype=object)
        column[:, 0] = [float("nan") if is_missing(value) else value for value in values]
        read = read_values(name, column, torch.float64, names=(series.name,)).x
        return read[:, 0].numpy()

    return Column(series.name, "numbers", numbers)
