"""What else may a mapping's spec advise? Small protocols, beside `MappingSpec.advised_schedules`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["AdvisesLatent", "SaysOfLatent"]


@runtime_checkable
class AdvisesLatent(Protocol):
    """A mapping's spec that knows how many dimensions of y it needs to do well."""

    def advised_latent(self, usual: int, values: int) -> int:
        """The number of dimensions of a run whose user names none.

        Args:
            usual: what it would be otherwise.
            values: numbers in an example.
        """
        ...


@runtime_checkable
class SaysOfLatent(Protocol):
    """A mapping's spec that acts otherwise, or less well, in few dimensions."""

    def said_of_latent(self, y_dim: int) -> str:
        """What a user should know of `y_dim` dimensions, in a line; empty if they are enough."""
        ...
