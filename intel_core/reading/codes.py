"""Which values look like codes for missing ones?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["missing_codes", "warn_of_codes"]

CODES = (
    *(-9.0, -99.0, -999.0, -9999.0, -99999.0, -999999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0),
    *(-32768.0, -2147483648.0, 2147483647.0, -1e20, 1e20, 9.969209968386869e36),
)
"""Numbers by which tables and instruments mark what is missing."""
_FEWEST = 4
_FEW = 100
"""So few rows say little of what is usual in a column."""
_MOST_NAMED = 3


def missing_codes(x: Tensor) -> list[tuple[int, float, int]]:
    """Columns of which the largest or smallest value is such a number and lies apart from all others.

    It lies apart if it is farther from the others than they are from each other.

    Args:
        x: finite numbers ``(n, D)``.

    Returns:
        For each: the column, the number, and in how many rows it is.

    >>> import torch
    >>> missing_codes(torch.tensor([[1.0, 7.0], [2.0, -999.0], [5.0, 6.0], [-9.0, 5.0], [3.0, 4.0]]))
    [(0, -9.0, 1), (1, -999.0, 1)]
    """
    import torch

    if len(x) <= _FEWEST:
        return []
    ends = torch.stack(torch.aminmax(x, dim=0)).double()
    codes = torch.tensor(CODES, dtype=torch.float64)
    at_end = torch.isclose(ends[..., None], codes, rtol=1e-6, atol=0.0).any(2)
    found = []
    for column in at_end.any(0).nonzero().flatten().tolist():
        values = x[:, column].double()
        for end in at_end[:, column].nonzero().flatten().tolist():
            code = ends[end, column]
            others = values[values != code]
            if not len(others):
                continue
            low, high = others.min(), others.max()
            if low < high and float(torch.minimum((code - low).abs(), (code - high).abs())) > float(high - low):
                found.append((column, float(code), len(values) - len(others)))
    return found


def warn_of_codes(
    name: str, x: Tensor, columns: Sequence[str] = (), *, usual: Tensor | None = None, stacklevel: int = 2
) -> bool:
    """Warn of values that look like codes for missing ones: a model would learn them as values.

    Args:
        name: of the data, for messages.
        x: finite numbers ``(n, D)``; images are looked at as one column.
        columns: names of the columns, if they have some.
        usual: rows ``(m, D)`` of values that are usual, where they are known: few rows are held against them as well.
        stacklevel: as of `warnings.warn`, of the caller.

    Returns:
        Whether there are any.
    """
    found = missing_codes(x if x.dim() == 2 else x.reshape(-1, 1))
    if usual is not None and len(x) <= _FEW:
        import torch

        found = sorted({*found, *missing_codes(torch.cat([x.double(), usual.double()]))})
    if not found:
        return False
    said = [
        f"{code:g} ({f'column {repr(columns[column]) if columns else column}, ' if x.dim() == 2 else ''}"
        f"{count:,} of {len(x) if x.dim() == 2 else x.numel():,} {'rows' if x.dim() == 2 else 'values'})"
        for column, code, count in found[:_MOST_NAMED]
    ]
    more = f" and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
    warnings.warn(
        f"{name}: values that look like codes for missing ones are taken as numbers: {', '.join(said)}{more}; if they "
        "are codes, remove these rows or fill them in first",
        stacklevel=stacklevel + 1,
    )
    return True
