"""What becomes of rows in which values are missing? They are refused, left out, or filled in from the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from intel_core.data.dataset import Dataset
from intel_core.errors import DataError, SpecError

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.reading.conditions import Conditions

__all__ = ["GivenDataset", "Missing", "check_missing", "columns_with_gaps", "complete_rows", "fill_of", "filled"]

Missing = Literal["refuse", "drop", "mean", "median"]
_MOST_NAMED = 8


@dataclass(frozen=True)
class GivenDataset(Dataset):
    """A data set that was read from a user's objects in a way that its values do not tell.

    Attributes:
        reader: the text of the reader; empty if its defaults say everything.
        missing: what became of rows in which values were missing.
        fill: what stands for a missing value in each column, in the units of the data; empty if nothing does.
        conditions: those of its examples, if they have some; their numbers are in each split.
    """

    reader: str = ""
    missing: Missing = "refuse"
    fill: tuple[float, ...] = ()
    conditions: Conditions | None = None

    def summary(self) -> dict[str, Any]:
        """As of `Dataset`, with how it was read, so that what a run is asked about is read in the same way."""
        more: dict[str, Any] = {"reader": self.reader} if self.reader else {}
        if self.missing != "refuse":
            more["missing"] = {"by": self.missing, "values": list(self.fill)}
        if self.conditions is not None:
            more["conditions"] = self.conditions.summary()
        return {**super().summary(), **more}


def check_missing(missing: object) -> None:
    """Refuse any other word.

    Raises:
        SpecError: naming those that there are.
    """
    if missing not in get_args(Missing):
        raise SpecError(f"missing={missing!r}: expected {', '.join(get_args(Missing))}")


def columns_with_gaps(x: Tensor, columns: Sequence[str]) -> str:
    """The columns in which values are missing, and in how many rows each, in words; empty without names.

    >>> import torch
    >>> columns_with_gaps(torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]]), ["a", "b"])
    "'a' (1 row), 'b' (2 rows)"
    """
    if not columns or x.dim() != 2:
        return ""
    counts = x.isnan().sum(0).tolist()
    bad = [(name, count) for name, count in zip(columns, counts, strict=True) if count]
    said = ", ".join(f"{name!r} ({count:,} row{'s' * (count != 1)})" for name, count in bad[:_MOST_NAMED])
    return said + (f" and {len(bad) - _MOST_NAMED:,} more columns" if len(bad) > _MOST_NAMED else "")


def complete_rows(name: str, x: Tensor, unlabelled: Sequence[int] = ()) -> Tensor:
    """Row numbers of the examples in which nothing is missing, no label either.

    Raises:
        DataError: if there is none.
    """
    whole = ~x.isnan().flatten(1).any(1)
    whole[list(unlabelled)] = False
    rows = whole.nonzero().flatten()
    if not len(rows):
        raise DataError(
            f"{name}: something is missing in each of the {len(x):,} rows, so that missing=drop leaves none"
        )
    return rows


def fill_of(name: str, x: Tensor, train: Tensor, missing: str, columns: Sequence[str] = ()) -> tuple[float, ...]:
    """What stands for a missing value in each column, ``(D,)``: the mean or the median of the training rows.

    Args:
        name: of the data, for messages.
        x: numbers ``(n, D)``, NaN where one is missing.
        train: row numbers of the training part.
        missing: ``mean`` or ``median``; of an even number of values the median is the mean of the two in the middle.
        columns: their names, if they have some.

    Raises:
        DataError: if x holds no vectors, or a column has no value in the training rows.

    >>> import torch
    >>> fill_of("x", torch.tensor([[1.0], [torch.nan], [4.0], [99.0]]), torch.tensor([0, 1, 2]), "mean")
    (2.5,)
    """
    import numpy as np

    if x.dim() != 2:
        raise DataError(f"{name}: missing={missing} is for vectors, not for examples of shape {tuple(x.shape[1:])}")
    seen = x[train].double().numpy()
    absent = np.isnan(seen).all(0)
    if absent.any():
        first = int(absent.argmax())
        raise DataError(
            f"{name}: column {columns[first] if columns else first!r} has no value in any training row; drop it"
        )
    values = np.nanmean(seen, 0) if missing == "mean" else np.nanmedian(seen, 0)
    return tuple(values.tolist())


def filled(x: Tensor, fill: Sequence[float]) -> Tensor:
    """The same numbers with those that are missing filled in."""
    import torch

    return torch.where(x.isnan(), torch.tensor(fill, dtype=x.dtype), x)
