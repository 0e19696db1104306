"""Where does a mapping act? Its planes, places and clusters, those of later parts of a composition included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from intel_core.mappings.compose import Compose, parts_of, properties_of
from intel_core.mappings.contract import Clustering
from intel_core.mappings.properties import Locus, Properties

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["Part", "clusterings_of", "elements", "places_of", "planes_of"]


class Part(NamedTuple):
    """One elementary mapping of a composition.

    Attributes:
        mapping: the part itself.
        dims: the dimensions that it reads, of y where nothing before it has touched them.
        before: all that is applied before it, in turn.
        reads_y: whether all that it reads is y itself.
        keeps: whether all before it keeps the number of dimensions, so that `dims` name dimensions of y too.
    """

    mapping: Any
    dims: tuple[int, ...]
    before: tuple[Any, ...]
    reads_y: bool
    keeps: bool

    @property
    def properties(self) -> Properties:
        """What it declares, in its own dimensions."""
        return properties_of(self.mapping)


def elements(mapping: Mapping) -> list[Part]:
    """Every elementary mapping, in the order of application."""
    touched: set[int] = set()
    found: list[Part] = []
    before: tuple[Any, ...] = ()
    keeps = True
    for stage in _stages(mapping):
        part, dims = parts_of(stage)[0]
        found.append(Part(part, dims, before, keeps and not touched & set(dims), keeps))
        touched |= set(dims)
        before = (*before, stage)
        keeps = keeps and stage.y_dim == stage.z_dim
    return found


def _stages(mapping: Any) -> Iterator[Any]:
    """What is applied one after another to all dimensions."""
    if isinstance(mapping, Compose):
        for part in mapping.parts:
            yield from _stages(part)
    else:
        yield mapping


def planes_of(mapping: Mapping) -> list[tuple[int, int]]:
    """Pairs of dimensions of y in which some part says that it acts, or that are all it reads; none twice."""
    planes: list[tuple[int, int]] = []
    for part in elements(mapping):
        if part.keeps:
            planes += [(part.dims[a], part.dims[b]) for a, b in part.properties.planes]
            if not part.properties.planes and len(part.dims) == 2:
                planes.append((part.dims[0], part.dims[1]))
    return list(dict.fromkeys(planes))


def places_of(mapping: Mapping) -> tuple[list[Locus], list[Locus]]:
    """Declared centres and seams that are places of y itself."""
    centres: list[Locus] = []
    seams: list[Locus] = []
    for part in elements(mapping):
        if part.reads_y:
            centres += [place.on_dims(part.dims) for place in part.properties.centres]
            seams += [place.on_dims(part.dims) for place in part.properties.seams]
    return centres, seams


def clusterings_of(mapping: Mapping) -> list[tuple[Clustering, tuple[int, ...]]]:
    """Every part that makes clusters, with the dimensions of y that it reads; a later part's are carried back to y."""
    found: list[tuple[Clustering, tuple[int, ...]]] = []
    for part in elements(mapping):
        if isinstance(part.mapping, Clustering):
            everything = tuple(range(mapping.y_dim))
            found.append((part.mapping, part.dims) if part.reads_y else (_CarriedBack(part, mapping.y_dim), everything))
    return found


class _CarriedBack:
    """The clusters of a later part as clusters of y; their shares are counted, since what it reads is not Gaussian."""

    _DRAWS = 50_000

    def __init__(self, part: Part, y_dim: int) -> None:
        self.part = part
        self.y_dim = y_dim

    @property
    def n_clusters(self) -> int:
        return int(self.part.mapping.n_clusters)

    def assign(self, y: Tensor) -> Tensor:
        for stage in self.part.before:
            y = stage(y)
        index: Tensor = self.part.mapping.assign(y[..., list(self.part.dims)])
        return index

    def proportions(self) -> Tensor:
        y = torch.randn(self._DRAWS, self.y_dim, generator=torch.Generator().manual_seed(0))
        try:
            cluster = self.assign(y.double())
        except RuntimeError:
            cluster = self.assign(y)
        return torch.bincount(cluster.flatten(), minlength=self.n_clusters).double() / len(y)
