"""Which examples are trained on, and which are held out? A random split that the seed of the split decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsFloat

from intel_core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["shares_of", "split_rows"]


def shares_of(name: str, validation: object, test: object) -> tuple[float, float]:
    """The shares of the examples that are held out, as numbers.

    Raises:
        DataError: naming what is no number, or not in [0, 1).
    """
    shares: list[float] = []
    for word, share in (("validation", validation), ("test", test)):
        several = bool(getattr(share, "ndim", 0))  # an array
        if several or isinstance(share, bool | str) or not isinstance(share, SupportsFloat):
            raise DataError(f"{name}: {word}={share!r:.60} is no number, expected a share in [0, 1)")
        shares.append(float(share))
    if not all(0 <= share < 1 for share in shares):
        raise DataError(f"{name}: shares validation={shares[0]:g} and test={shares[1]:g} are not in [0, 1)")
    return shares[0], shares[1]


def split_rows(name: str, n: int, validation: float, test: float, split_seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers of the training, validation and test parts into which `make_dataset` splits `n` examples.

    Raises:
        DataError: for too few examples, or shares that are not in [0, 1).

    >>> [len(rows) for rows in split_rows("x", 100, validation=0.1, test=0.2, split_seed=0)]
    [70, 10, 20]
    """
    import torch

    validation, test = shares_of(name, validation, test)
    n_test, n_validation = max(1, round(n * test)), max(1, round(n * validation))
    if n - n_test - n_validation < 2:
        raise DataError(f"{name}: {n} examples are too few to train on; at least 4 are needed, hundreds make sense")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    train, held_out, last = torch.split(order, [n - n_test - n_validation, n_validation, n_test])
    return train, held_out, last
