"""Which classes do labels name? Numbers 0, 1, … in the sorted order of what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intel_core.errors import DataError
from intel_core.reading.values import as_array

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["encode_labels", "labels_beside", "refuse_unlabelled", "renumbered"]


def encode_labels(
    name: str, values: Any, n: int, unlabelled: Sequence[int] = ()
) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """Class indices ``(n,)`` in the sorted order of the distinct labels, and the labels as names.

    Args:
        name: for messages.
        values: ``(n,)`` whole numbers (of any type), booleans or words.
        n: number of examples.
        unlabelled: rows whose value is no label; they get the index -1.

    Raises:
        DataError: if there are not `n` of them, or some are missing or fractions.

    >>> import numpy as np
    >>> encode_labels("x", np.array(["dog", "cat", "dog"]), 3)
    (array([1, 0, 1]), ('cat', 'dog'))
    """
    import numpy as np

    array = np.asarray(values)
    if array.shape != (n,):
        raise DataError(f"{name}: labels of shape {array.shape} for {n} examples; expected ({n},)")
    if len(unlabelled):
        found = np.full(n, -1)
        labelled = np.delete(np.arange(n), unlabelled)
        found[labelled], names = encode_labels(name, np.array(array[labelled].tolist()), len(labelled))
        return found, names
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(array) | (array != np.round(array)))
        if len(bad):
            raise DataError(
                f"{name}: labels must be whole numbers or words, but {array[bad[0]]} is in row {bad[0]} "
                f"({len(bad)} such rows)"
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind not in "buiU":
        raise DataError(f"{name}: labels are of type {array.dtype}, expected whole numbers or words")
    distinct, indices = np.unique(array, return_inverse=True)
    return indices.reshape(-1), tuple(str(value) for value in distinct.tolist())


def labels_beside(name: str, labels: Any, n: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels that are given beside the examples: whole numbers as they are, or words, which are numbered.

    Args:
        name: of the data, for messages.
        labels: ``(n,)``: an array, a tensor, a list, a column of a data frame; or None.
        n: number of examples.

    Returns:
        Integers ``(n,)``, or None if there are none, and names of the classes if they are words.

    Raises:
        DataError: if there are not `n` of them, or they are neither whole numbers nor words.

    >>> labels_beside("x", ["dog", "cat"], 2)
    (tensor([1, 0]), ('cat', 'dog'))
    """
    import numpy as np
    import torch

    if labels is None:
        return None, ()
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu()
        array = (labels.double() if labels.is_floating_point() else labels).numpy()
    else:
        array = as_array(name, labels.to_numpy() if hasattr(labels, "to_numpy") else labels)
    if array.dtype.kind == "O" and array.size and all(isinstance(value, str) for value in array.flat):
        array = array.astype(np.str_)
    if array.shape != (n,):
        raise DataError(f"{name}: labels of shape {array.shape} for {n} examples; expected ({n},)")
    if array.dtype.kind in "US":
        numbers, names = encode_labels(name, array, n)
        return torch.from_numpy(numbers), names
    if array.dtype.kind not in "bui":
        raise DataError(f"{name}: labels are of type {array.dtype}, expected whole numbers or words")
    return torch.from_numpy(array.astype(np.int64)), ()


def renumbered(labels: Tensor, numbers: Sequence[int], unlabelled: Sequence[int] = ()) -> Tensor:
    """Labels by other numbers of their classes; rows without a label keep -1.

    >>> import torch
    >>> renumbered(torch.tensor([0, -1, 1]), [5, 7], [1])
    tensor([ 5, -1,  7])
    """
    import torch

    found = torch.tensor(numbers)[labels.long()]
    found[list(unlabelled)] = -1
    return found


def refuse_unlabelled(name: str, unlabelled: Sequence[int], n: int) -> None:
    """Refuse labels of which some are missing.

    Args:
        name: of the data, and of the column if that is known.
        unlabelled: the rows without one.
        n: how many rows there are.

    Raises:
        DataError: telling how many there are, and what can be done about them.
    """
    if unlabelled:
        where = f"{len(unlabelled):,} of {n:,} rows, the first is row {unlabelled[0]}"
        raise DataError(f"{name}: labels are missing in {where}; missing=drop leaves these rows out")
