"""How does the page choose conditions? By numbers: of words the place among the levels, of numbers the number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from intel_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from intel_core.reading.conditions import Condition

__all__ = ["Choices"]

_LIMIT = 1e30
"""Larger than any number that float32 still holds once it has been standardised."""


class Choices:
    """Conditions as they are chosen on the page.

    Args:
        columns: each condition of the run; none for a run without conditions.

    >>> import torch
    >>> from intel_core.reading.conditions import Condition
    >>> choices = Choices([Condition("batch", ("a", "b")), Condition("age", (), 40.0, 10.0)])
    >>> choices.of(torch.tensor([[0.0, 1.0, -1.0]]), 0)
    [1, 30.0]
    >>> choices.values([1, 30.0])
    {'batch': 'b', 'age': 30.0}
    """

    def __init__(self, columns: Sequence[Condition] = ()) -> None:
        self.columns = tuple(columns)

    def shown(self) -> list[dict[str, Any]]:
        """Names, and the words of those that are words."""
        return [{"name": one.name, "levels": list(one.levels)} for one in self.columns]

    def of(self, seen: Tensor | None, index: int) -> list[float]:
        """What is chosen for one of the examples whose conditions the networks see, ``(n, C)``."""
        if seen is None:
            return []
        parts = seen[index : index + 1].split_with_sizes([one.width for one in self.columns], 1)
        values = [one.decode(part)[0] for one, part in zip(self.columns, parts, strict=True)]
        return [
            float(f"{value:.6g}") if isinstance(value, float) else one.levels.index(value)
            for one, value in zip(self.columns, values, strict=True)
        ]

    def values(self, chosen: Sequence[float]) -> dict[str, Any] | None:
        """The values by name; None for a run without conditions.

        Raises:
            DataError: if as many are not chosen, or a word is none of the levels.
        """
        if len(chosen) != len(self.columns):
            raise DataError(f"there are {len(self.columns)} conditions to be chosen, not {len(chosen)}")
        found: dict[str, Any] = {}
        for one, choice in zip(self.columns, chosen, strict=True):
            if one.levels and choice not in range(len(one.levels)):
                raise DataError(f"condition {one.name} has {len(one.levels)} levels, counted from 0, not {choice:g}")
            if not math.isfinite(choice) or abs(choice) > _LIMIT:
                raise DataError(f"condition {one.name}: {choice:g} is no number to be decoded with")
            found[one.name] = one.levels[int(choice)] if one.levels else choice
        return found or None
