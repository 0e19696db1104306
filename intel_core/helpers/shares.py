"""How do a mapping and a prior take their clusters from elsewhere, their shares and where they lie? By protocols."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["TakesClusters", "TakesShares", "Turns"]


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


@runtime_checkable
class TakesClusters(Protocol):
    """A mixture prior whose components, as far as they are learned, can be put where clusters were found."""

    def forget_clusters(self) -> None:
        """Make all components that are learned one and the same N(0, I)."""
        ...

    def take_clusters(self, means: Tensor, stds: Tensor, proportions: Tensor) -> None:
        """Make component k the Gaussian of cluster k.

        Args:
            means: mean of y in each cluster, ``(K, y_dim)``.
            stds: standard deviation of y ~ q(y|x) in each dimension, ``(K, y_dim)``.
            proportions: share of each cluster, ``(K,)``, positive with sum 1.
        """
        ...
