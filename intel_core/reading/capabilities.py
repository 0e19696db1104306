"""What may a data set's spec know beside the data? Where they lie, their topology, all examples in order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


__all__ = [
    "Examples",
    "Named",
    "OnManifold",
    "Shaped",
    "Unsplit",
]

# --- optional capabilities of a data set's spec -------------------------------------------------------------------


@runtime_checkable
class OnManifold(Protocol):
    """A data set whose examples lie on a known curve or surface, from which distances can be measured.

    Found by ``isinstance`` on a data set's spec, as the capabilities of mappings are. Points are in the units of the
    data before any standardisation (`intel_core.Run.original_units`).
    """

    def distance_to_manifold(self, points: Tensor) -> Tensor:
        """Euclidean distance of each point ``(n, D)`` to the curve or surface, ``(n,)``."""
        ...

    def along_manifold(self, n: int) -> Tensor:
        """`n` points spread evenly over the curve's length or the surface's area, ``(n, D)``; no random number."""
        ...


@runtime_checkable
class Shaped(Protocol):
    """A data set of known topology."""

    @property
    def betti(self) -> tuple[int, ...]:
        """Betti numbers (b0, b1, …) of the set near which the examples lie; higher ones are 0."""
        ...


class Examples(NamedTuple):
    """Examples for a trained model to encode, in their own order and units.

    Attributes:
        x: ``(n, D)`` or ``(n, C, H, W)``.
        labels: integers ``(n,)``, where they are known; -1 in the rows `unlabelled`.
        class_names: names of the labels, if any.
        columns: names of the D values, if they have names.
        names: of the n examples, such as their files, if they have some.
        conditions: what is known of each example beside its values, ``(n,)`` by name, as it was found.
        left_out: number of rows that are not among the examples, since something is missing in them.
        unlabelled: numbers of the rows that have no label although others have one.
    """

    x: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    conditions: Mapping[str, Any] = MappingProxyType({})
    left_out: int = 0
    unlabelled: tuple[int, ...] = ()


@runtime_checkable
class Unsplit(Protocol):
    """A data set that can give its examples as they are in a file: all of them, in order, neither split nor scaled."""

    def examples(self, data_dir: Path | None) -> Examples:
        """One example or more.

        Raises:
            DataError: if they cannot be read.
        """
        ...


@runtime_checkable
class Named(Protocol):
    """A data set whose examples have names, such as their files, which are known after they are split, too."""

    def names_of_parts(self, data_dir: Path | None) -> dict[str, tuple[str, ...]]:
        """Names of the examples of the parts train, validation and test, each in the order of that part.

        Raises:
            DataError: if they cannot be told.
        """
        ...
