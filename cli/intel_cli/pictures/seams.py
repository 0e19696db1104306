"""Where are the borders between clusters? They are computed from `assign` alone, exactly enough for a steep g."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from contourpy import contour_generator

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.mappings.contract import Clustering

__all__ = ["Regions", "label_places", "regions", "seams"]

_SIDE = 401
_HALVINGS = 50


@dataclass(frozen=True)
class Regions:
    """The clusters on a square grid in a plane of y; all other dimensions are 0, the prior's mean.

    Attributes:
        clustering: what assigns points to clusters.
        dims: the dimensions of y that it reads.
        y_dim: number of dimensions of y.
        plane: the two dimensions of the grid.
        ticks: coordinates of the grid's lines.
        cluster: index of the cluster at ``[row (second dim), column (first dim)]``.
    """

    clustering: Clustering
    dims: tuple[int, ...]
    y_dim: int
    plane: tuple[int, ...]
    ticks: Tensor
    cluster: np.ndarray[Any, np.dtype[np.int64]]

    def lift(self, points: Tensor) -> Tensor:
        """Points ``(n, 2)`` of the plane as rows of y."""
        y = torch.zeros(len(points), self.y_dim, dtype=points.dtype)
        y[:, list(self.plane)] = points
        return y

    def assign(self, points: Tensor) -> Tensor:
        """The cluster of each point of the plane."""
        return self.assign_rows(self.lift(points))

    def assign_rows(self, y: Tensor) -> Tensor:
        """The cluster of each row of y."""
        return _assign(self.clustering, y[:, list(self.dims)]).cpu()


def _assign(clustering: Clustering, y: Tensor) -> Tensor:
    """The clusters of some points, in double precision if the mapping accepts it."""
    try:
        return clustering.assign(y)
    except RuntimeError:
        return clustering.assign(y.float())


def regions(clustering: Clustering, dims: tuple[int, ...], y_dim: int, plane: tuple[int, ...], reach: float) -> Regions:
    """The clusters on a fine grid over ``[-reach, reach]`` squared."""
    ticks = torch.linspace(-reach, reach, _SIDE, dtype=torch.float64)
    rows, columns = torch.meshgrid(ticks, ticks, indexing="ij")
    made = Regions(clustering, dims, y_dim, plane, ticks, np.zeros((0, 0), dtype=np.int64))
    cluster = made.assign(torch.stack([columns.flatten(), rows.flatten()], dim=-1)).reshape(_SIDE, _SIDE)
    return Regions(clustering, dims, y_dim, plane, ticks, cluster.numpy())


def seams(areas: Regions) -> list[Tensor]:
    """The borders as lines of rows of y, each point found by bisection.

    A contour's vertices lie on edges of the grid whose two ends are in different clusters; halving such an edge
    some fifty times gives the border to the last bit. That matters: a cluster mapping's slope is infinite there,
    so a border that is off by a hundredth of a unit would be mapped far off.
    """
    lines = []
    for k in range(areas.clustering.n_clusters):
        inside = (areas.cluster == k).astype(float)
        if inside.min() == inside.max():
            continue
        for vertices in contour_generator(z=inside).lines(0.5):
            lines.append(areas.lift(_bisect(areas, np.asarray(vertices), k)))
    return lines


def _bisect(areas: Regions, vertices: np.ndarray[Any, Any], k: int) -> Tensor:
    """From vertices in units of the grid (column, row) to points on the border of cluster k."""
    first = areas.ticks[torch.from_numpy(np.floor(vertices).astype(np.int64))]
    last = areas.ticks[torch.from_numpy(np.ceil(vertices).astype(np.int64))]
    side = areas.assign(first) == k
    for _ in range(_HALVINGS):
        middle = (first + last) / 2
        same = ((areas.assign(middle) == k) == side).unsqueeze(-1)
        first, last = torch.where(same, middle, first), torch.where(same, last, middle)
    return first


def label_places(areas: Regions, reach: float) -> dict[int, tuple[float, float]]:
    """A point well inside each cluster and away from the crowded centre, where its share is written."""
    x = areas.ticks.numpy()
    columns, rows = np.meshgrid(x, x)
    radius = np.hypot(columns, rows)
    places = {}
    for k in range(areas.clustering.n_clusters):
        mine = areas.cluster == k
        ring = mine & (radius > 0.85 * reach) & (radius < 0.95 * reach)
        chosen = ring if ring.any() else mine
        if not chosen.any():
            continue
        centre = np.array([columns[chosen].mean(), rows[chosen].mean()])
        # The mean of a ring's part may lie outside it; take the nearest point that does not.
        distance = np.hypot(columns - centre[0], rows - centre[1])
        distance[~chosen] = np.inf
        row, column = np.unravel_index(int(distance.argmin()), distance.shape)
        places[k] = (float(x[column]), float(x[row]))
    return places
