"""Are these labels classes? Every diagnosis by class has to check this first."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["MAX_CLASSES", "as_classes"]

MAX_CLASSES = 1000


def as_classes(labels: Tensor | None, n: int) -> tuple[list[int], Tensor] | None:
    """The classes and the index of each row's class, on the CPU; None for labels that are no classes.

    Those are labels that are missing, not integers, several per row, or of more than 1000 different values.

    Args:
        labels: the labels of `n` rows, or None.
        n: number of rows.

    >>> as_classes(torch.tensor([7, 3, 7]), 3)
    ([3, 7], tensor([1, 0, 1]))
    >>> as_classes(torch.tensor([0.5]), 1) is None
    True
    """
    if labels is None or n == 0 or labels.is_floating_point() or labels.shape != (n,):
        return None
    classes, index = torch.unique(labels.cpu(), return_inverse=True)
    return (classes.long().tolist(), index) if len(classes) <= MAX_CLASSES else None
