"""Which parts has a composition of mappings, and where do they act? Their dimensions, planes, places and clusters.

All code that draws, measures or diagnoses compositions finds their parts through this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intel_core.mappings.compose import Compose, OnDims, bare, properties_of
from intel_core.mappings.contract import Clustering, Diagnosable, Mapping
from intel_core.mappings.properties import Locus, Properties

__all__ = ["Part", "clustering_of", "clusterings_of", "diagnose", "elements", "parts_of", "places_of", "planes_of"]


class Part(NamedTuple):
    """One elementary mapping of a composition.

    Attributes:
        mapping: the elementary mapping itself.
        dims: the dimensions that it reads; they are dimensions of y if no earlier part has changed them.
        before: the mappings that are applied before it, in order, each to all dimensions.
        reads_y: whether everything that it reads is y itself.
        keeps: whether all mappings before it keep the number of dimensions, so that `dims` name dimensions of y too.
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


def elements(mapping: Any) -> list[Part]:
    """Every elementary mapping of a composition, in the order of application.

    A composition that acts on some of the dimensions only (`Compose` inside `OnDims`) is represented by its first part.

    >>> from intel_core.mappings.compose import Identity
    >>> g = Compose([OnDims(Identity(2), (0, 1), 4), OnDims(Identity(2), (3, 1), 4)])
    >>> [(part.dims, part.reads_y) for part in elements(g)]
    [((0, 1), True), ((3, 1), False)]
    """
    touched: set[int] = set()
    parts: list[Part] = []
    before: tuple[Any, ...] = ()
    keeps = True
    for stage in _stages(mapping):
        part, dims = _innermost(stage)
        parts.append(Part(part, dims, before, keeps and not touched & set(dims), keeps))
        touched |= set(dims)
        before = (*before, stage)
        keeps = keeps and stage.y_dim == stage.z_dim
    return parts


def _stages(mapping: Any) -> Iterator[Any]:
    """What is applied one after another to all dimensions."""
    if isinstance(mapping, Compose):
        for part in mapping.parts:
            yield from _stages(part)
    else:
        yield mapping


def _innermost(stage: Any) -> tuple[Any, tuple[int, ...]]:
    """The elementary mapping inside a stage that is applied first, and the dimensions of the stage that it reads."""
    if isinstance(stage, OnDims):
        part, dims = _innermost(next(_stages(stage.inner)))
        return part, tuple(stage.dims[d] for d in dims)
    return bare(stage), tuple(range(stage.y_dim))


def parts_of(mapping: Any) -> list[tuple[Any, tuple[int, ...]]]:
    """The elementary mappings that are applied to y first, each with the dimensions it reads.

    In a composition only the first part certainly reads y itself; later parts act on a latent that may already be
    mapped. `elements` gives all of them.
    """
    first = elements(mapping)[0]
    return [(first.mapping, first.dims)]


def diagnose(mapping: Mapping, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
    """Whatever the mapping's parts can say about posterior means `y` of shape ``(n, y_dim)``."""
    found: dict[str, Any] = {}
    for part, dims in parts_of(mapping):
        if isinstance(part, Diagnosable):
            found |= part.diagnose(y[:, list(dims)], labels)
    return found


def clustering_of(mapping: Mapping) -> tuple[Clustering, tuple[int, ...]] | None:
    """The part that cuts the latent space into clusters, and the dimensions of y that it reads."""
    for part, dims in parts_of(mapping):
        if isinstance(part, Clustering):
            return part, dims
    return None


def planes_of(mapping: Mapping) -> list[tuple[int, int]]:
    """Pairs of dimensions of y in which some part declares that it acts, or that are all that it reads; none twice."""
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
    """Every part that makes clusters, with the dimensions of y that it reads; a later part's become clusters of y."""
    everything = tuple(range(mapping.y_dim))
    return [
        (part.mapping, part.dims) if part.reads_y else (_CarriedBack(part, mapping.y_dim), everything)
        for part in elements(mapping)
        if isinstance(part.mapping, Clustering)
    ]


class _CarriedBack:
    """The clusters of a later part as clusters of y; their shares are counted, since its input is not Gaussian."""

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
