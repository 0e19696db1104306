"""Which rows stand for all of them? One from each of K cells that have equally many rows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["spread_rows"]

_TURNS = 8
"""Power iterations towards the direction in which the rows of a cell vary most; it need not be exact."""


def spread_rows(rows: Tensor, k: int) -> Tensor:
    """The numbers of K rows, from all parts of the data in proportion to how many rows are there.

    All rows are one cell at first. A cell is cut in two across the direction in which it varies most, so that both
    parts have rows in proportion to the numbers of cells that they are to become. Of each of the K cells the row
    nearest to its mean is taken. So a cluster with a share of the rows has the same share of the result, but for one or
    two. Nothing is random.

    Args:
        rows: shape ``(n, D)``.
        k: at most n.

    Returns:
        Whole numbers, shape ``(K,)``.

    >>> rows = torch.cat([torch.linspace(0, 1, 60), torch.linspace(9, 10, 30)])[:, None]
    >>> chosen = rows[spread_rows(rows, 9), 0]
    >>> int((chosen < 5).sum()), int((chosen > 5).sum())
    (6, 3)
    """
    values = rows.double()
    cells, found = [(torch.arange(len(rows), device=rows.device), k)], []
    while cells:
        cell, parts = cells.pop()
        centred = values[cell] - values[cell].mean(0)
        lengths = centred.square().sum(-1)
        if parts == 1:
            found.append(cell[lengths.argmin()])
            continue
        direction = centred[lengths.argmax()]
        for _ in range(_TURNS):
            direction = centred.T @ (centred @ direction)
            direction = direction / direction.norm().clamp_min(1e-300)
        before = parts // 2
        order = (centred @ direction).argsort(stable=True)
        cut = round(len(cell) * before / parts)
        cells += [(cell[order[:cut]], before), (cell[order[cut:]], parts - before)]
    return torch.stack(found)
