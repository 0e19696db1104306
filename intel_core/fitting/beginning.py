"""Where does the training of a prior begin that asks for data? It is shown examples before the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from intel_core.data.dataset import Dataset
from intel_core.data.values import to_float
from intel_core.model.vae import InteLVAE
from intel_core.randomness import stream

__all__ = ["BeginsAtData", "begin_at_data"]


@runtime_checkable
class BeginsAtData(Protocol):
    """A prior whose parameters begin at data."""

    def begin_at(self, examples: Callable[[int], Tensor]) -> None:
        """Set the parameters. Nothing in it may be random, so that a seed gives the same run every time.

        Args:
            examples: for a number, so many training examples ``(n, *x_shape)``, or all if there are fewer.
        """
        ...


def begin_at_data(model: InteLVAE, dataset: Dataset, seed: int) -> None:
    """Show the prior of a new model training examples if it asks for them.

    Raises:
        DataError: if they lie on disk and cannot be read.
    """
    if not isinstance(model.prior, BeginsAtData):
        return
    train = dataset.train
    like = next(model.parameters())

    def examples(n: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream(seed, "prior begins"))
        rows = torch.randperm(len(train), generator=generator)[:n].sort().values
        return to_float(train.read(rows)).to(like)

    with torch.no_grad():
        model.prior.begin_at(examples)
