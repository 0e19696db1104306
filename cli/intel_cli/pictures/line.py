"""What does g do on a line? The prior's density, the graph of g, and the density of z."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.special import ndtri

from intel_cli.pictures.borders import draw_cuts
from intel_cli.pictures.carried import broken
from intel_cli.pictures.points import coordinate_names
from intel_cli.pictures.style import GREY, INK, LIGHT, class_style, figure
from intel_core.helpers.parts_of_mapping import clusterings_of, places_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mappings.contract import Mapping

__all__ = ["draw_line"]

_REACH = 3.5
_SAMPLES = 4001
_QUANTILES = 40_000
_BINS = 100
_TEAR = 0.05
"""Share of the range of z by which neighbours on the graph may part before it is taken for torn."""


class _Piece(NamedTuple):
    """Values of y that share a colour, as a mask over the line and one over the quantiles."""

    colour: Any
    on_line: np.ndarray[Any, np.dtype[np.bool_]]
    among: Tensor


def draw_line(mapping: Mapping, dtype: torch.dtype) -> Figure:
    """Three panels: the density of y, z over y, and the density of z.

    The densities are those of equally probable values of y, so no draw disturbs them.
    """
    probability = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    even = ndtri(probability).to(dtype).unsqueeze(-1)
    line = torch.linspace(-_REACH, _REACH, _SAMPLES, dtype=dtype).unsqueeze(-1)
    pieces = _pieces(mapping, line, even)
    made = figure(7.2, 2.6)
    before, graph, after = made.subplots(1, 3)
    _draw_prior(before, line, pieces)
    clusterings = clusterings_of(mapping)
    if clusterings:
        draw_cuts(before, clusterings[0][0], dtype)
    z = mapping(even)
    span = _span(z)
    _draw_graph(graph, line, mapping(line), pieces, span)
    for place in (place for places in places_of(mapping) for place in places):
        graph.axvline(place.point[0], color=INK, linewidth=0.8, linestyle=(0, (3, 2.2)), zorder=0)
    _draw_densities(after, z, pieces, span)
    return made


def _pieces(mapping: Mapping, line: Tensor, even: Tensor) -> list[_Piece]:
    """One piece for each cluster, or a single piece."""
    clusterings = clusterings_of(mapping)
    if not clusterings:
        everywhere = torch.ones(len(even), dtype=torch.bool)
        return [_Piece(class_style(0, 1)["color"], np.ones(len(line), bool), everywhere)]
    clustering = clusterings[0][0]
    here, there = clustering.assign(line).cpu(), clustering.assign(even).cpu()
    met = sorted(set(there.tolist()))
    return [
        _Piece(class_style(index, len(met))["color"], (here == k).numpy(), there == k) for index, k in enumerate(met)
    ]


def _span(z: Tensor) -> tuple[float, float]:
    """A range that contains nearly all values, with a margin."""
    finite = z[torch.isfinite(z)].double()
    if len(finite) == 0:
        return -1.0, 1.0
    low, high = (float(finite.quantile(q)) for q in (0.0005, 0.9995))
    margin = 0.05 * (high - low) + 1e-3
    return low - margin, high + margin


def _draw_prior(axes: Axes, line: Tensor, pieces: list[_Piece]) -> None:
    y = line[:, 0].double().numpy()
    density = np.exp(-(y**2) / 2) / np.sqrt(2 * np.pi)
    for piece in pieces:
        axes.fill_between(y, density, where=piece.on_line.tolist(), color=piece.colour, alpha=0.4, linewidth=0)
    axes.plot(y, density, color=INK, linewidth=0.9)
    axes.set(title="density of $y$", xlabel="$y_{0}$", ylabel="density", ylim=(0, 0.46), xlim=(-_REACH, _REACH))


def _draw_graph(axes: Axes, line: Tensor, z: Tensor, pieces: list[_Piece], span: tuple[float, float]) -> None:
    """One line per dimension of z, in the pieces' colours where z has one."""
    y = line.double()
    lines: dict[str, Any] = {}
    same = axes.axline((0, 0), slope=1, color=LIGHT, linewidth=0.7, zorder=0, label="$z = y$")
    for i, name in enumerate(coordinate_names("z", range(z.shape[1]))):
        for piece in pieces:
            value = z[:, i].double().clone()
            value[torch.from_numpy(~piece.on_line)] = torch.nan
            curve = broken(torch.stack([y[:, 0], value], dim=-1), _TEAR * (span[1] - span[0]))
            colour = piece.colour if z.shape[1] == 1 else class_style(i, z.shape[1])["color"]
            lines[name] = axes.plot(*curve.T, color=colour, linewidth=1.5, label=name)[0]
    axes.set(title="$z = g(y)$", xlabel="$y_{0}$", ylabel="$z_{0}$" if z.shape[1] == 1 else "$z$", ylim=span)
    axes.set_xlim(-_REACH, _REACH)
    axes.legend(handles=[*(lines.values() if len(lines) > 1 else ()), same], loc="lower right")


def _draw_densities(axes: Axes, z: Tensor, pieces: list[_Piece], span: tuple[float, float]) -> None:
    """Histograms; those of all pieces together have area 1."""
    bins = np.linspace(*span, _BINS + 1)
    weight = 1 / (len(z) * (bins[1] - bins[0]))
    for i in range(z.shape[1]):
        for piece in pieces:
            mine = z[piece.among, i].double().numpy()
            mine = mine[np.isfinite(mine)]
            colour = piece.colour if z.shape[1] == 1 else class_style(i, z.shape[1])["color"]
            options: dict[str, Any] = {"bins": bins.tolist(), "weights": np.full(len(mine), weight)}
            axes.hist(mine, histtype="stepfilled", color=colour, alpha=0.4, linewidth=0, **options)
            axes.hist(mine, histtype="step", color=colour, linewidth=0.9, **options)
    axes.set(title="density of $z$", xlabel="$z_{0}$" if z.shape[1] == 1 else "$z$", ylabel="density")
    axes.axvline(0, color=GREY, linewidth=0.4, zorder=0)
