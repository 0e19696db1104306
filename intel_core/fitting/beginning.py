"""What of a new model begins at data? A prior that asks for it, and the encoder where g keeps only directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from intel_core.data.dataset import Dataset, Split
from intel_core.data.values import to_float
from intel_core.fitting.all_around import EXAMPLES, lay_around
from intel_core.helpers.pushforward import ScaledFamily
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
    """Show training examples to the prior of a new model, if it asks for them, and to its encoder.

    The encoder begins at data where the KL term is in z and only the direction of y is kept
    (`intel_core.fitting.all_around`).

    Raises:
        DataError: if they lie on disk and cannot be read.
    """
    train = dataset.train

    def drawn(n: int, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        part = train.part(torch.randperm(len(train), generator=generator)[:n].sort().values)
        return replace(part, x=to_float(part.x).to(next(model.parameters())))

    def examples(n: int, seed: int = stream(seed, "prior begins")) -> Tensor:
        return drawn(n, seed).x

    if isinstance(model.prior, BeginsAtData):
        with torch.no_grad():
            model.prior.begin_at(examples)
    if isinstance(model.family, ScaledFamily):
        own, dims = stream(seed, "encoder begins"), [d for block in model.family.blocks for d in block]
        part = drawn(EXAMPLES, own)
        lay_around(model.on(part.conditions), part.x, dims, own)
