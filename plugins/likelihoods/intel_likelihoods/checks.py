"""Are the values of a data set counts, or one-hot groups?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from intel_core.data.dataset import Dataset
from intel_core.data.values import to_float
from intel_core.errors import DataError
from intel_likelihoods.categories import groups_of

__all__ = ["require_counts", "require_one_hot"]

_ROWS = 4096
"""So many examples are looked at at once."""


def require_counts(likelihood: str, dataset: Dataset) -> None:
    """Refuse values that are not 0, 1, 2, ….

    Raises:
        DataError: with the first of them, and what can be done.
    """
    _refuse_standardised(likelihood, dataset, "counts")
    for name, first, x in _values(likelihood, dataset, "counts"):
        bad = (x < 0) | (x != x.round())
        if bool(bad.any()):
            row = int(bad.flatten(1).any(1).nonzero()[0])
            value = float(x[row][bad[row]][0])
            raise DataError(
                f"likelihood {likelihood} explains counts 0, 1, 2, …, but {dataset.name} has the value {value:g} in "
                f"row {first + row} of its {name} part"
            )


def require_one_hot(likelihood: str, sizes: tuple[int, ...], dataset: Dataset) -> None:
    """Refuse rows in which not exactly one value of each group is 1, and all others 0.

    Raises:
        DataError: with the first of them, and what can be done.
    """
    _refuse_standardised(likelihood, dataset, "one-hot columns")
    try:
        groups = groups_of(sizes, dataset.x_shape[0])
    except ValueError as error:
        raise DataError(f"likelihood {likelihood}: {error} of {dataset.name}") from None
    for name, first, x in _values(likelihood, dataset, "one-hot columns"):
        bad = ~((x == 0) | (x == 1)).flatten(1).all(1)
        for group in torch.split(x, groups, 1):
            bad |= (group.sum(1) != 1).flatten(1).any(1) if x.dim() > 2 else group.sum(1) != 1
        if bool(bad.any()):
            raise DataError(
                f"likelihood {likelihood} explains groups of {_in_words(groups)} in which one is 1 and all others are "
                f"0, but in {dataset.name} row {first + int(bad.nonzero()[0])} of the {name} part is not such; "
                "pandas.get_dummies makes such columns of words or numbers"
            )


def _in_words(groups: list[int]) -> str:
    kinds = sorted(set(groups))
    return f"{kinds[0]} columns" if len(kinds) == 1 else f"{kinds[0]} to {kinds[-1]} columns"


def _refuse_standardised(likelihood: str, dataset: Dataset, what: str) -> None:
    if dataset.scaling is not None:
        raise DataError(
            f"likelihood {likelihood} explains {what}, but the values of {dataset.name} were standardised; "
            "standardize=False, or a table's standardize=false, leaves them as they are"
        )


def _values(likelihood: str, dataset: Dataset, what: str) -> Iterator[tuple[str, int, Tensor]]:
    """Parts of each split: its name, the number of the first row, the values."""
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        for first in range(0, len(split), _ROWS):
            x = split.read(torch.arange(first, min(first + _ROWS, len(split))))
            if x.dtype == torch.uint8 and dataset.support != "binary":
                raise DataError(
                    f"likelihood {likelihood} explains {what}, but {dataset.name} has bytes, which stand for x / 255; "
                    "x.astype('float32') are the numbers themselves"
                )
            yield name, first, to_float(x)
