"""What else may a mapping's spec advise? A small protocol, beside `MappingSpec.advised_schedules`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["AdvisesLatent"]


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
