"""What does g do in space? Draws of the prior and the lines of a globe, before and after g."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from intel_cli.pictures.carried import broken
from intel_cli.pictures.points import PointGroup, by_cluster, coordinate_names
from intel_cli.pictures.shades import by_direction
from intel_cli.pictures.style import INK, figure
from intel_core.helpers.parts_of_mapping import clusterings_of, places_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["draw_space"]

_RADIUS = 2.0
_TEAR = 0.06
_LINE: dict[str, Any] = {"color": "#6E6E6E", "linewidth": 0.5, "alpha": 0.8}


def draw_space(mapping: Mapping, y: Tensor) -> Figure:
    """Two panels in three dimensions.

    Args:
        mapping: g, from 3 dimensions to 3.
        y: draws of the prior, ``(n, 3)``.
    """
    z = mapping(y)
    finite = torch.isfinite(z).all(-1)
    y, z = y[finite], z[finite]
    clusterings = clusterings_of(mapping)
    groups = [PointGroup("", torch.arange(len(y)), {"color": by_direction(y), "marker": "o"})]
    if clusterings:
        groups = by_cluster(clusterings[0][0], clusterings[0][0].assign(y[:, list(clusterings[0][1])]))
    made = figure(6.6, 3.3)
    for index, (letter, points) in enumerate((("y", y), ("z", z))):
        axes: Any = made.add_subplot(1, 2, index + 1, projection="3d")
        half = (float(points.abs().double().quantile(0.999)) if len(points) else 1.0) * 1.05 + 1e-6
        inside = (points.abs() <= half).all(-1)
        for group in groups:
            rows = torch.isin(torch.arange(len(points)), group.rows) & inside
            style = dict(group.style)
            if not isinstance(style["color"], str):
                style["color"] = style["color"][rows.numpy()]
            axes.scatter(*points[rows].T.numpy(), s=5, linewidths=0, alpha=0.85, rasterized=True, **style)
        for line in _globe():
            image = line if index == 0 else mapping(line.to(y.dtype))
            axes.plot(*broken(image, _TEAR * 2 * half).T, **_LINE)
        for centre in places_of(mapping)[0]:
            if len(centre.dims) == 3:
                place = torch.tensor([centre.point], dtype=y.dtype)[:, np.argsort(centre.dims)]
                mark = place if index == 0 else mapping(place)
                axes.plot(*mark.T.numpy(), color=INK, marker="X", markersize=6, linestyle="")
        names = coordinate_names(letter, range(3))
        axes.set(xlabel=names[0], ylabel=names[1], zlabel=names[2])
        axes.set(xlim=(-half, half), ylim=(-half, half), zlim=(-half, half))
        axes.set_box_aspect((1, 1, 1), zoom=0.85)
        axes.grid(False)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_pane_color((0.96, 0.96, 0.96, 1))
        axes.locator_params(nbins=4)
        axes.set_title("draws of $y$, coloured by direction" if index == 0 else "the same draws, $z = g(y)$", pad=-4)
    return made


def _globe() -> list[Tensor]:
    """Parallels and meridians of a sphere in y, each ``(n, 3)``."""
    turn = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
    half = torch.linspace(0, math.pi, 361, dtype=torch.float64)
    lines = []
    for latitude in torch.arange(-60, 61, 30, dtype=torch.float64).deg2rad().tolist():
        ring = torch.stack([torch.cos(turn), torch.sin(turn)], dim=-1) * math.cos(latitude)
        lines.append(torch.cat([ring, torch.full_like(ring[:, :1], math.sin(latitude))], dim=-1))
    for longitude in torch.arange(0, 360, 30, dtype=torch.float64).deg2rad().tolist():
        out = torch.sin(half)
        lines.append(torch.stack([out * math.cos(longitude), out * math.sin(longitude), torch.cos(half)], dim=-1))
    return [_RADIUS * line for line in lines]
