"""Where does a mapping act? Its planes, places and clusters, those of later parts of a composition included.

It serves whoever draws or measures a mapping from outside: the command's pictures and the verdict on a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from intel_core.mappings.compose import Part, elements
from intel_core.mappings.contract import Clustering
from intel_core.mappings.properties import Locus

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["clusterings_of", "places_of", "planes_of"]


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
    everything = tuple(range(mapping.y_dim))
    return [
        (part.mapping, part.dims) if part.reads_y else (_CarriedBack(part, mapping.y_dim), everything)
        for part in elements(mapping)
        if isinstance(part.mapping, Clustering)
    ]


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
