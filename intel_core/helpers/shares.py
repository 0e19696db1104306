"""How does a mapping take its clusters from elsewhere, their shares and where they lie? By two small protocols."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["TakesShares", "Turns"]


@runtime_checkable
class TakesShares(Protocol):
    """A clustering mapping whose shares can be set, for instance to those that a start has found."""

    def set_proportions(self, proportions: Tensor) -> None:
        """Make the prior's mass in each cluster `proportions`, ``(K,)``, positive with sum 1, if it is learned."""
        ...


@runtime_checkable
class Turns(Protocol):
    """A clustering mapping whose cells can be turned around the origin, under which N(0, I) stays the same."""

    def turn_towards(self, centres: Tensor) -> None:
        """Turn the cells as near as may be to the centres of the clusters in y, ``(K, y_dim)``."""
        ...

    def directions(self) -> Tensor | None:
        """Orthonormal directions of y in which the mapping acts, ``(width, y_dim)``; None for its first axes."""
        ...

    def turn_back(self) -> None:
        """Act along the first axes again."""
        ...
