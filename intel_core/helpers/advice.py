"""What else may a mapping's or a likelihood's spec know? Small protocols, beside `MappingSpec.advised_schedules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset
    from intel_core.model.contract import LikelihoodSpec, NetworkSpec

__all__ = ["AdvisesEncoder", "AdvisesLatent", "ChecksData", "CompletedByData", "SaysOfLatent"]


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


@runtime_checkable
class AdvisesEncoder(Protocol):
    """A likelihood's spec that knows which encoder reads its values well."""

    def advised_encoder(self, usual: NetworkSpec) -> NetworkSpec:
        """The encoder of a run whose user names no network.

        Args:
            usual: what it would be otherwise.
        """
        ...


@runtime_checkable
class CompletedByData(Protocol):
    """A likelihood's spec that says things by the names of columns, which only the data tell."""

    def for_data(self, dataset: Dataset) -> LikelihoodSpec:
        """The spec that a run keeps, which can be built without the data.

        Raises:
            DataError: if it does not fit them.
        """
        ...


@runtime_checkable
class ChecksData(Protocol):
    """A likelihood's spec that explains only some of the values of its `supports`: counts, for example."""

    def check_data(self, dataset: Dataset) -> None:
        """Look at all values before anything is trained.

        Raises:
            DataError: if it cannot explain them.
        """
        ...
