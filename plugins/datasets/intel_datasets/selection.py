"""Which examples of a split are kept? Those of some classes, in some proportions, or at some rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.errors import DataError

__all__ = ["in_proportion", "select_classes", "take"]


def take(split: Split, rows: Tensor | slice) -> Split:
    """The examples at some rows.

    >>> part = take(Split(torch.arange(6.0).reshape(3, 2), torch.tensor([4, 5, 6])), slice(1, None))
    >>> part.x.tolist(), part.labels.tolist()
    ([[2.0, 3.0], [4.0, 5.0]], [5, 6])
    """
    return Split(split.x[rows], None if split.labels is None else split.labels[rows])


def labels_of(split: Split) -> Tensor:
    """The labels.

    Raises:
        DataError: if there are none.
    """
    if split.labels is None:
        raise DataError("this data has no labels to select by")
    return split.labels


def select_classes(split: Split, classes: Sequence[int]) -> Split:
    """The examples of some classes, in their old order, relabelled 0, 1, … in the order of `classes`.

    Args:
        split: examples ``(n, …)`` with labels ``(n,)``.
        classes: labels to keep; if empty, everything is kept as it is.

    Raises:
        DataError: if the examples have no labels.

    >>> part = select_classes(Split(torch.arange(5.0)[:, None], torch.tensor([0, 7, 1, 7, 2])), [7, 0])
    >>> part.x.flatten().tolist(), part.labels.tolist()
    ([0.0, 1.0, 3.0], [1, 0, 0])
    """
    if not classes:
        return split
    labels = labels_of(split)
    new = torch.full_like(labels, -1)
    for index, old in enumerate(classes):
        new[labels == old] = index
    rows = (new >= 0).nonzero().flatten()
    return Split(split.x[rows], new[rows])


def in_proportion(split: Split, shares: Sequence[float], seed: int) -> Split:
    """As many of the examples as possible, so that class k has the share ``shares[k] / sum(shares)``.

    All examples of the class with the smallest ``n_k / shares_k`` are kept; call it l. Of each other class k,
    ``round(n_l shares_k / shares_l)`` examples are chosen at random. The old order is kept.

    Args:
        split: examples ``(n, …)`` with labels ``(n,)`` in ``0 … len(shares) - 1``.
        shares: a weight of at least 0 for each class, not all 0; if empty, everything is kept.
        seed: of the random choice.

    Raises:
        DataError: if a class with a share has no examples.

    >>> data = Split(torch.arange(8.0)[:, None], torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    >>> in_proportion(data, [1, 3], seed=0).labels.tolist()
    [0, 1, 1, 1, 1]
    """
    if not shares:
        return split
    labels = labels_of(split)
    rows = [(labels == k).nonzero().flatten() for k in range(len(shares))]
    wanted = [k for k, share in enumerate(shares) if share > 0]
    empty = [k for k in wanted if len(rows[k]) == 0]
    if empty:
        raise DataError(f"class {empty[0]} is to have the share {shares[empty[0]]:g}, but has no examples")
    limit = min(wanted, key=lambda k: len(rows[k]) / shares[k])
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for k in wanted:
        count = min(len(rows[k]), round(len(rows[limit]) * shares[k] / shares[limit]))
        kept.append(rows[k][torch.randperm(len(rows[k]), generator=generator)[:count]])
    return take(split, torch.cat(kept).sort().values)
