"""How does what a user holds become a tensor of numbers? In one way for training, encoding and reconstructing.

Arrays (reversed, strided, big-endian, of Python numbers), tensors, lists of either, data frames and single columns of
them: whatever `numpy.asarray` makes real numbers of. A data frame's columns keep their names.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from intel_core.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

__all__ = ["Values", "as_array", "can_be_values", "is_missing", "names_of", "read_exactly", "read_values"]


_MOST_NAMES = 100_000
"""An index that is longer numbers the rows of a column, and names no values."""
_MISSING = ("NoneType", "NAType", "NaTType", "MaskedConstant")
"""Types of what stands for a missing value in Python, in pandas, and in masked arrays."""
_EXACT = {"bool", "int8", "int16", "uint16", "float16", "bfloat16", "float32"}
"""Types of numbers that float32 holds as they are."""


class Values(NamedTuple):
    """Numbers, as they were given.

    Attributes:
        x: a dense tensor of uint8, or of the float type that was asked for.
        names: of the last dimension, where the numbers came with some; empty otherwise.
    """

    x: Tensor
    names: tuple[str, ...] = ()


def can_be_values(given: object) -> bool:
    """Whether `read_values` may be asked: an array, a tensor, a list of numbers, a data frame, or alike.

    >>> can_be_values([[1.0, 2.0]]), can_be_values("digits"), can_be_values(5)
    (True, False, False)
    """
    return isinstance(given, list) or hasattr(given, "__array__") or hasattr(given, "to_numpy") or _is_arrow(given)


def _is_arrow(given: object) -> bool:
    """Whether something is a table of pyarrow."""
    return hasattr(given, "to_pandas") and hasattr(given, "column_names")


def _chosen(
    names: tuple[str, ...], choose: Callable[[Sequence[str]], list[int] | None], *, is_row: bool
) -> list[int] | None:
    """What is wanted of named values; the names of a single column's rows, in which nothing is found, mean nothing."""
    if not names:
        return None
    try:
        return choose(names)
    except DataError:
        if is_row:
            return None
        raise


def _all(names: Sequence[str]) -> list[int] | None:
    return None


def read_exactly(name: str, given: Any, choose: Callable[[Sequence[str]], list[int] | None] = _all) -> Values:
    """As `read_values`, but numbers that float32 would change are in float64.

    Raises:
        DataError: as there.
    """
    import torch

    exact = str(getattr(given, "dtype", "")).removeprefix("torch.") in _EXACT
    return read_values(name, given, torch.float32 if exact else torch.float64, choose)


def read_values(
    name: str,
    given: Any,
    dtype: torch.dtype | None = None,
    choose: Callable[[Sequence[str]], list[int] | None] = _all,
    names: tuple[str, ...] = (),
) -> Values:
    """Numbers as a tensor.

    Args:
        name: of the data, for messages.
        given: what the user holds.
        dtype: of the numbers, float32 by default; bytes stay bytes.
        choose: of named columns, or of the named values in a row, tells which are wanted, by their positions; None for
            all. Others may hold anything.
        names: of the columns, where what is given has none.

    Raises:
        DataError: if they are no real numbers, some are masked or missing, or the rows are of different lengths.

    >>> import numpy as np
    >>> read_values("x", np.arange(6.0).reshape(3, 2)[::-1]).x.tolist()
    [[4.0, 5.0], [2.0, 3.0], [0.0, 1.0]]
    """
    import torch

    dtype = dtype or torch.float32
    names = names or names_of(given)
    if _is_arrow(given):
        given = given.to_pandas()
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    positions = _chosen(names, choose, is_row=getattr(given, "ndim", 2) == 1)
    if positions is not None:
        given, names = given[..., positions], tuple(names[position] for position in positions)
    if isinstance(given, list | tuple) and given and all(isinstance(row, torch.Tensor) for row in given):
        given = _stacked(name, given)
    if isinstance(given, torch.Tensor):
        if hasattr(given, "get_mask"):
            raise DataError(f"{name}: a masked tensor; expected a dense one without missing values")
        if given.is_complex() or given.layout != torch.strided:
            raise DataError(f"{name}: a {given.dtype} tensor of layout {given.layout}; expected dense real numbers")
        tensor = given.detach()
        return Values(tensor if tensor.dtype == torch.uint8 else tensor.to(dtype), names)
    return Values(_from_array(name, as_array(name, given), names, dtype), names)


def names_of(given: Any) -> tuple[str, ...]:
    """Names of a data frame's columns, or of the values in a row of one; none where two are the same.

    >>> names_of([[1.0, 2.0]])
    ()
    """
    if _is_arrow(given):
        return tuple(given.column_names) if len(set(given.column_names)) == len(given.column_names) else ()
    if not hasattr(given, "to_numpy"):
        return ()
    labels = getattr(given, "columns", getattr(given, "index", ()))
    if callable(labels) or len(labels) > _MOST_NAMES:
        return ()
    names = tuple(str(label) for label in labels)
    return names if len(set(names)) == len(names) else ()


def _stacked(name: str, rows: Any) -> Tensor:
    """Rows that are tensors, on any device."""
    import torch

    try:
        return torch.stack([row.detach().cpu() for row in rows])
    except (RuntimeError, TypeError) as error:
        raise DataError(f"{name}: the tensors of a list do not stack: {str(error).splitlines()[0]}") from None


def as_array(name: str, given: Any) -> np.ndarray[Any, Any]:
    """What `numpy.asarray` makes of something.

    Raises:
        DataError: if it makes nothing of it, or values are masked.
    """
    import numpy as np

    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise DataError(f"{name}: a sparse matrix; expected a dense array, which x.toarray() makes")
    try:
        masked = isinstance(given, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in given)
        array = np.ma.array(given) if masked else np.asanyarray(given)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name}: no array of numbers; are the rows of different lengths?") from None
    if isinstance(array, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(array)
        fields = mask.dtype.names
        hidden = sum(int(mask[field].sum()) for field in fields) if fields else int(mask.sum())
        if hidden:
            raise DataError(
                f"{name}: {hidden:,} of {mask.nbytes:,} values are masked, and a model needs all of them; "
                "drop those rows, or fill them: x.filled(x.mean(0))"
            )
    return np.asarray(array)


def _from_array(name: str, array: np.ndarray[Any, Any], names: tuple[str, ...], dtype: torch.dtype) -> Tensor:
    import numpy as np
    import torch

    if array.dtype.names:
        array = _of_fields(name, array)
    if array.dtype.kind == "O":
        array = _of_objects(name, array, names)
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: values are of type {array.dtype}, expected numbers")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))
    with np.errstate(over="ignore"):  # numbers too large for float32 become infinite, which is checked by others
        values = array.astype(np.float64 if dtype == torch.float64 else np.float32, "C")
    whole = array.dtype.kind in "iu" and array.size and dtype == torch.float64
    if whole and values.min() == values.max() and array.min() != array.max():
        raise DataError(
            f"{name}: the values differ (from {array.min()} to {array.max()}), but by less than float64 can tell "
            "apart; subtract the smallest one first"
        )
    return torch.from_numpy(values)


def _of_fields(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The fields of a structured array as columns.

    Raises:
        DataError: naming a field that does not hold numbers.
    """
    from numpy.lib import recfunctions

    assert array.dtype.fields is not None
    for field, (dtype, *_) in array.dtype.fields.items():
        if dtype.base.kind not in "buif":
            raise DataError(f"{name}: field {field!r} is of type {dtype}, expected numbers; leave it out: x[[…]]")
    columns: np.ndarray[Any, Any] = recfunctions.structured_to_unstructured(array)
    return columns


def _of_objects(name: str, array: np.ndarray[Any, Any], names: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """Python's numbers as floats.

    Raises:
        DataError: naming the first value that is no number, and where it is.
    """
    import numpy as np

    for place, value in np.ndenumerate(array):
        if not isinstance(value, numbers.Real | np.bool_) and not _is_decimal(value):
            where = f"row {place[0]}" if place else "it"
            column = f", column {names[place[-1]]!r}" if len(place) == 2 and len(names) == array.shape[1] else ""
            missing = type(value).__name__ in _MISSING
            said = "no value" if missing else f"{type(value).__name__} {str(value)[:40]!r}"
            raise DataError(f"{name}: {where}{column} holds {said}, expected a number")
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise DataError(f"{name}: a number is beyond what float64 holds, 1.8e308; divide the values first") from None


def is_missing(value: object) -> bool:
    """Whether a value stands for one that is not there.

    >>> is_missing(None), is_missing(float("nan")), is_missing(0.0)
    (True, True, False)
    """
    return type(value).__name__ in _MISSING or (isinstance(value, float) and value != value)


def _is_decimal(value: object) -> bool:
    from decimal import Decimal

    return isinstance(value, Decimal)
