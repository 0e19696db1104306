"""How does a mapping take the shares of its clusters from elsewhere? By a small protocol."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["TakesShares"]


@runtime_checkable
class TakesShares(Protocol):
    """A clustering mapping whose shares can be set, for instance to those that a start has found."""

    def set_proportions(self, proportions: Tensor) -> None:
        """Make the prior's mass in each cluster `proportions`, ``(K,)``, positive with sum 1, if it is learned."""
        ...
