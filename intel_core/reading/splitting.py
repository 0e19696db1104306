"""Which examples are trained on, and which are held out? A random split that the seed of the split decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["split_rows"]


def split_rows(name: str, n: int, validation: float, test: float, split_seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers of the training, validation and test parts into which `make_dataset` splits `n` examples.

    Raises:
        DataError: for too few examples, or shares that are not in [0, 1).

    >>> [len(rows) for rows in split_rows("x", 100, validation=0.1, test=0.2, split_seed=0)]
    [70, 10, 20]
    """
    import torch

    if not (0 <= validation < 1 and 0 <= test < 1):
        raise DataError(f"{name}: shares validation={validation:g} and test={test:g} are not in [0, 1)")
    n_test, n_validation = max(1, round(n * test)), max(1, round(n * validation))
    if n - n_test - n_validation < 2:
        raise DataError(f"{name}: {n} examples are too few to train on; at least 4 are needed, hundreds make sense")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    train, held_out, last = torch.split(order, [n - n_test - n_validation, n_validation, n_test])
    return train, held_out, last
