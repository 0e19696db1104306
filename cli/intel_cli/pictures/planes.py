"""What does g do in a plane? Draws of the prior with a grid, before and after g, a row for each plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.lines import Line2D

from intel_cli.pictures.borders import draw_borders
from intel_cli.pictures.carried import broken, cartesian, lift, place_in, polar
from intel_cli.pictures.points import MOST_CLASSES, PointGroup, by_cluster, coordinate_names, draw_points, set_limits
from intel_cli.pictures.prior import z_plane
from intel_cli.pictures.shades import by_angle, by_level
from intel_cli.pictures.style import INK, figure
from intel_core.helpers.parts_of_mapping import clusterings_of, places_of
from intel_core.mappings.compose import properties_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mappings.contract import Clustering, Mapping

__all__ = ["draw_planes"]

_WINDOW = 4.0
_REACH = 3.7
_TEAR = 0.03
"""A line is broken where neighbouring points are further apart than this share of the panel's width."""
_BESIDE = 1e-6
"""Distance from a seam at which its two images are drawn if g jumps there."""

_CONTOUR: dict[str, Any] = {"color": "#5E5E5E", "linewidth": 0.7}
_ACROSS: dict[str, Any] = {"color": "#9A9A9A", "linewidth": 0.5}
_BOLD, _FINE = 0.9, 0.35
_CROWDED = 12
"""From this number on, lines through one point are drawn fine, or they would cover everything around it."""
_SEAM: dict[str, Any] = {"color": INK, "linewidth": _BOLD, "linestyle": (0, (3, 2.2))}
_CENTRE: dict[str, Any] = {
    "color": INK,
    "marker": "X",
    "markersize": 6.5,
    "markeredgecolor": "white",
    "markeredgewidth": 0.7,
    "linestyle": "",
    "zorder": 5,
}


@dataclass(frozen=True)
class _Row:
    """One plane: its two panels, and the map from one to the other."""

    mapping: Mapping
    plane: tuple[int, int]
    z_dims: tuple[int, ...]
    left: Axes
    right: Axes

    def carry(self, points: Tensor, dtype: torch.dtype) -> Tensor:
        """Points ``(n, 2)`` of the plane, every other coordinate 0, as points of the right panel."""
        return self.mapping(lift(points, self.mapping.y_dim, self.plane, dtype))[:, self.z_dims]

    def line(self, points: Tensor, dtype: torch.dtype, **style: Any) -> None:
        """A line in the plane and where g carries it."""
        self.left.plot(*points.T.numpy(), **style)
        self.image(points, dtype, **style)

    def image(self, points: Tensor, dtype: torch.dtype, **style: Any) -> None:
        """Where g carries a line."""
        if len(self.z_dims) == 2:
            low, high = self.right.get_xlim()
            self.right.plot(*broken(self.carry(points, dtype), _TEAR * (high - low)).T, **style)


def draw_planes(mapping: Mapping, y: Tensor, planes: list[tuple[int, int]], levelled: bool) -> Figure:
    """A row of two panels for each plane.

    Args:
        mapping: g.
        y: draws of the prior, ``(n, y_dim)``.
        planes: pairs of dimensions of y.
        levelled: whether the first coordinate of each plane belongs to the level above that of the second. The position
            of a draw then shows the effect of the level above, and its colour its own coordinate of y.
    """
    z = mapping(y)
    finite = torch.isfinite(z).all(-1)
    y, z = y[finite], z[finite]
    made = figure(6.6, 3.2 * len(planes) + 0.55)
    panels = made.subplots(len(planes), 2, squeeze=False)
    drawn: set[str] = set()
    titles: list[str] = []
    for plane, (left, right) in zip(planes, panels, strict=True):
        here = _draw_row(_Row(mapping, plane, z_plane(mapping, z, plane), left, right), y, z, levelled)
        colour = f"$y_{{{plane[1]}}}$" if levelled else "angle"
        titles.append(f"draws of $y$, coloured by {'cluster' if 'by cluster' in here else colour}")
        if titles[-1] not in titles[:-1]:
            left.set_title(titles[-1])
        drawn |= here
    panels[0][1].set_title("the same draws, $z = g(y)$")
    made.legend(handles=_keys(drawn, levelled), loc="outside lower center", ncols=5)
    return made


def _draw_row(row: _Row, y: Tensor, z: Tensor, levelled: bool) -> set[str]:
    """Draw both panels; returns what the legend has to explain."""
    pairs = y[:, row.plane]
    clustering = _clustering_in(row, y)
    alone, cluster = _acts_alone(row, pairs, z), None
    if clustering is not None:
        # Cells that extend into other coordinates are told apart in z by all of these.
        cluster = _in_plane(clustering, row, y) if alone else clustering[0].assign(y[:, list(clustering[1])])
    drawn = set()
    if clustering is not None and cluster is not None and len(set(cluster.tolist())) <= MOST_CLASSES:
        groups = by_cluster(clustering[0], cluster)
        drawn.add("by cluster")
    else:
        colours = by_level(pairs[:, 1]) if levelled else by_angle(pairs)
        groups = [PointGroup("", torch.arange(len(y)), {"color": colours, "marker": "o"})]
    draw_points(row.left, pairs, groups, coordinate_names("y", row.plane))
    row.left.set(xlim=(-_WINDOW, _WINDOW), ylim=(-_WINDOW, _WINDOW))
    grid = cartesian(_REACH) if levelled else polar(_REACH)
    if len(row.z_dims) == 2:
        draw_points(row.right, z[:, row.z_dims], groups, coordinate_names("z", row.z_dims))
        contours = [row.carry(line, y.dtype) for line in grid.contours]
        set_limits(row.right, z[:, row.z_dims], *(line[torch.isfinite(line).all(-1)] for line in contours))
    else:
        row.right.hist(z[:, 0].numpy(), bins=80, density=True, color="#CFCFCF")
        row.right.set(xlabel="$z_{0}$", ylabel="density")
    if alone or not levelled:
        drawn.add("across" if alone else "slice")
        for line in grid.across:
            row.line(line, y.dtype, **_ACROSS)
    for line in grid.contours:
        row.left.plot(*line.T.numpy(), **_CONTOUR)
        if alone or not levelled:
            row.image(line, y.dtype, **_CONTOUR)
    if clustering is not None:
        right = row.right if len(row.z_dims) == 2 else None
        many = clustering[0].n_clusters > _CROWDED
        draw_borders(
            row.left, right, row.mapping, *clustering, row.plane, row.z_dims, y.dtype, _FINE if many else _BOLD
        )
        drawn.add("border")
    return drawn | _draw_places(row, y.dtype)


def _acts_alone(row: _Row, pairs: Tensor, z: Tensor) -> bool:
    """Whether the image of a point of the plane depends on its coordinates in the plane only."""
    images = row.carry(pairs, z.dtype)
    return bool(torch.allclose(images, z[:, row.z_dims], rtol=1e-4, atol=1e-4, equal_nan=True))


def _clustering_in(row: _Row, y: Tensor) -> tuple[Clustering, tuple[int, ...]] | None:
    """The first clusters that differ within the plane."""
    for clustering in clusterings_of(row.mapping):
        if len(set(_in_plane(clustering, row, y).tolist())) > 1:
            return clustering
    return None


def _in_plane(clustering: tuple[Clustering, tuple[int, ...]], row: _Row, y: Tensor) -> Tensor:
    """The cluster of each draw if its coordinates outside the plane are set to 0, as for the borders."""
    points = lift(y[:, row.plane], row.mapping.y_dim, row.plane, y.dtype)
    return clustering[0].assign(points[:, list(clustering[1])])


def _draw_places(row: _Row, dtype: torch.dtype) -> set[str]:
    """Declared seams and centres and their images."""
    centres, seams = places_of(row.mapping)
    drawn = set()
    lines = [points for seam in seams if (points := place_in(row.plane, seam, _WINDOW)) is not None]
    style = _SEAM if len(lines) <= 2 * _CROWDED else {**_SEAM, "linewidth": _FINE}
    for points in lines:
        drawn.add("seam")
        row.left.plot(*points.T.numpy(), **style)
        for beside in _sides(points, properties_of(row.mapping).continuous):
            row.image(beside, dtype, **style)
    for centre in centres:
        points = place_in(row.plane, centre, _WINDOW)
        if points is None or len(points) > 1:
            continue
        drawn.add("centre")
        row.left.plot(*points.T.numpy(), **_CENTRE)
        image = row.carry(points, dtype)
        if len(row.z_dims) == 2 and bool(torch.isfinite(image).all()):
            row.right.plot(*image.T.numpy(), **_CENTRE)
    return drawn


def _sides(points: Tensor, continuous: bool) -> list[Tensor]:
    """The seam itself, or a line on either side of it if g jumps there."""
    if continuous or len(points) < 2:
        return [points]
    along = points[1] - points[0]
    across = torch.stack([-along[1], along[0]]) / along.norm() * _BESIDE
    return [points + across, points - across]


def _keys(drawn: set[str], levelled: bool) -> list[Line2D]:
    """What the lines are, for the legend."""
    across = "lines of a grid" if levelled else "rays"
    if "slice" in drawn:
        across += " (other coordinates 0)"
    keys = [Line2D([], [], label="prior: 1, 2, 3 sd", **_CONTOUR)]
    if drawn & {"across", "slice"}:
        keys.append(Line2D([], [], label=across, **_ACROSS))
    if "border" in drawn:
        keys.append(Line2D([], [], color=INK, linewidth=0.9, label="cluster border"))
    if "seam" in drawn:
        keys.append(Line2D([], [], label="not smooth", **_SEAM))
    if "centre" in drawn:
        keys.append(Line2D([], [], label="centre", **_CENTRE))
    return keys
