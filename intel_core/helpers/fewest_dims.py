"""In how many dimensions can a mapping be built?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from intel_core.errors import PluginError, SpecError
from intel_core.mappings.building import build_mapping
from intel_core.mappings.contract import MappingSpec

if TYPE_CHECKING:
    from intel_core.mappings.contract import Mapping

__all__ = ["KnowsFewest", "build_seeded", "in_the_fewest", "sizes_to_try"]

_FEWEST = 2
_TRIED = 15
_FURTHER = (18, 22, 30, 46, 62, 126)
"""Larger numbers of dimensions that are tried after the small ones."""


@runtime_checkable
class KnowsFewest(Protocol):
    """A mapping's spec that can be built in fewer dimensions, where it falls back to something simpler."""

    @property
    def fewest_dims(self) -> int:
        """The fewest dimensions in which the mapping is what it is meant to be."""
        ...


def sizes_to_try(specs: Sequence[MappingSpec]) -> list[int]:
    """Numbers of dimensions worth trying: at least two, what the specs ask for, and enough for the first one's `dims`.

    >>> from intel_core import parse_spec
    >>> sizes_to_try([parse_spec("mappings", "identity:dims=4-6")])[:3]
    [7, 8, 9]
    """
    meant = [spec.fewest_dims for spec in specs if isinstance(spec, KnowsFewest) and spec.dims is None]
    # Later specs may act on dimensions that an earlier one adds.
    first = max(_FEWEST, max(specs[0].dims or (0,)) + 1, *meant)
    return [*range(first, first + _TRIED), *(first + d for d in _FURTHER)]


def build_seeded(specs: Sequence[MappingSpec], y_dim: int, seed: int) -> Mapping:
    """The composition of some specs, its parameters drawn from a seed; the process's random state is not changed.

    Raises:
        SpecError: if there is no such mapping for `y_dim` dimensions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build_mapping(specs, y_dim)


def in_the_fewest(specs: Sequence[MappingSpec], seed: int = 0) -> Iterator[Mapping]:
    """The mapping in each number of dimensions for which it can be built, from two on.

    Raises:
        SpecError: with the last reason, if it can be built in none of the numbers that are tried.
        PluginError: if the plugin breaks its contract.

    >>> from intel_core import parse_spec
    >>> next(in_the_fewest([parse_spec("mappings", "identity")])).y_dim
    2
    """
    why: SpecError | None = None
    found = False
    for y_dim in sizes_to_try(specs):
        try:
            mapping = build_seeded(specs, y_dim, seed)
        except PluginError:
            raise
        except SpecError as error:
            why = error
            continue
        found = True
        yield mapping
    if not found:
        raise SpecError(f"{why}; give --latent") from why
