"""What is a mutant? A correct mapping with one fault that somebody has made or could make, and the check that finds it.

The correct mappings that mutants are made from are here too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from intel_core.mappings.contract import MappingSpec
from intel_core.mappings.properties import Hoelder, Properties

BOTH = ("float32", "float64")


@dataclass(frozen=True)
class Mutant:
    """A faulty mapping.

    Attributes:
        name: of the fault.
        kills: the id of the check that is meant to find it.
        what: what builds the mapping from a number of dimensions, or its spec.
        y_dim: the number of dimensions in which it is tried.
        dtypes: the precisions in which the fault shows.
        registered: whether its spec has to be registered, as that of a plugin is.
        status: how the check has to end.
    """

    name: str
    kills: str
    what: Callable[[int], Any] | MappingSpec
    y_dim: int = 2
    dtypes: tuple[str, ...] = BOTH
    registered: bool = False
    status: str = "failed"


Class = TypeVar("Class", bound=type)

MUTANTS: list[Mutant] = []
"""All of them, once their modules have been imported; `specimens.mutants` does that."""


def kills(
    check: str,
    y_dim: int = 2,
    dtypes: tuple[str, ...] = BOTH,
    *,
    registered: bool = False,
    status: str = "failed",
) -> Callable[[Class], Class]:
    """Class decorator for a mutant that the check has to find."""

    def add(mutant: Class) -> Class:
        what = mutant() if issubclass(mutant, MappingSpec) else mutant
        MUTANTS.append(Mutant(mutant.__name__, check, what, y_dim, dtypes, registered, status))
        return mutant

    return add


def norm_of(y: Tensor) -> Tensor:
    """The norm of each row, which stays as a dimension of length 1."""
    norms: Tensor = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    return norms


class Sound(nn.Module):
    """A smooth mapping without a fault, y + sin(y)/2, which mutants change."""

    declared = Properties(injective=True, hoelder=Hoelder(1.5))

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    @property
    def properties(self) -> Properties:
        return self.declared

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y)

    def sound(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y)


class Scaled(Sound):
    """The same, with the logarithm of a scale as its parameter."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.log_scale = nn.Parameter(torch.zeros(y_dim))

    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.exp()


class Spec(MappingSpec):
    """A spec without a fault, which mutants change."""

    shift: float = Field(0.25, ge=-5, le=5, description="what is added")

    def build(self, y_dim: int) -> Any:
        return Shifted(y_dim, self.shift)


class Shifted(Sound):
    def __init__(self, y_dim: int, shift: float) -> None:
        super().__init__(y_dim)
        self.shift = shift

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.shift
