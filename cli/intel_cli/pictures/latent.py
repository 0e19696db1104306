"""Where does the data lie in y, and where does g carry it? Two panels, the plane of y and its image in z."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from matplotlib.lines import Line2D
from torch import nn

from intel_cli.pictures.seams import label_places, regions, seams
from intel_cli.pictures.style import BLUE, GREY, INK, LIGHT, class_style, figure, styled
from intel_core.compose import clustering_of, parts_of
from intel_core.mapping import Clustering, Declared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from intel_core.mapping import Mapping

__all__ = ["latent_panels", "plane_of"]

_RADII = (1.0, 2.0, 3.0)
_PRIOR_POINTS = 4000
_MOST_CLASSES = 20
_DASHES: Any = (0, (4, 3))
_PALE = "#CFCFCF"


@dataclass(frozen=True)
class _Group:
    """Points that share a colour, and what the legend calls them."""

    name: str
    rows: Tensor
    style: dict[str, Any]


def plane_of(mapping: Mapping, mean: Tensor) -> tuple[int, ...]:
    """The one or two dimensions of y that a picture shows.

    A plane in which the mapping says that it acts; else the dimensions of a part that acts on two; else the two
    whose posterior means vary most.
    """
    if mapping.y_dim <= 2:
        return tuple(range(mapping.y_dim))
    for part, dims in parts_of(mapping):
        planes = part.properties.planes if isinstance(part, Declared) else ()
        if planes:
            return tuple(dims[i] for i in planes[0])
        if len(dims) == 2:
            return dims
    active = mean.var(0).argsort(descending=True)[:2].sort().values
    return tuple(int(i) for i in active)


@torch.no_grad()
def latent_panels(mapping: Mapping, mean: Tensor, labels: Tensor | None, class_names: Sequence[str]) -> Figure:
    """Posterior means in y, and the same points in z.

    Args:
        mapping: g.
        mean: posterior means of test data, ``(n, y_dim)``.
        labels: integers ``(n,)``; without them the points are coloured by cluster where the mapping has clusters.
        class_names: what the labels are called.
    """
    mapping, mean = _precise(mapping, mean.cpu())
    plane = plane_of(mapping, mean)
    groups = _groups(mapping, mean, labels, class_names)
    z = mapping(mean)
    z_plane = _z_plane(mapping, z, plane)
    g_of_prior = mapping(_prior(mapping, mean.dtype))
    with styled():
        crowded = len(groups) > 12
        made = figure(8.4 if crowded else 7.6, 3.4)
        left, right = made.subplots(1, 2)
        _draw_points(left, mean[:, plane], groups, [f"$y_{{{i + 1}}}$" for i in plane])
        _draw_points(right, z[:, z_plane], groups, [f"$z_{{{i + 1}}}$" for i in z_plane])
        left.set_title("posterior means in $y$")
        right.set_title("the same points in $z = g(y)$")
        _draw_prior(left, right, g_of_prior, plane, z_plane)
        _set_limits(left, mean[:, plane], at_least=3.6)
        if len(plane) == 2 and clustering_of(mapping) is not None:
            _draw_seams(left, right, mapping, mean.dtype, plane, z_plane)
        elif len(plane) == 1 and clustering_of(mapping) is not None:
            _draw_cuts(left, mapping)
        if len(z_plane) == 2:
            _set_limits(right, z[:, z_plane], g_of_prior[:, z_plane])
        handles = [h for h in left.get_legend_handles_labels()[0] if len(groups) > 1]
        made.legend(
            handles=[*handles, *_keys(left, len(plane), len(z_plane))],
            loc="outside right center",
            ncols=2 if crowded else 1,
        )
        return made


def _keys(left: Axes, y_dims: int, z_dims: int) -> list[Line2D]:
    """What the lines and the grey dots are, for the legend."""
    dashes = Line2D([], [], color=GREY, linewidth=0.6, linestyle=_DASHES, label="prior: 1, 2, 3 sd")
    curve = Line2D([], [], color=GREY, linewidth=0.8, label="prior density")
    dots = Line2D(
        [],
        [],
        color=_PALE,
        marker="o" if z_dims == 2 else "s",
        markersize=3 if z_dims == 2 else 6,
        linestyle="",
        label="prior: draws of z",
    )
    border = Line2D([], [], color=INK, linewidth=0.9, label="cluster border")
    return [dashes if y_dims == 2 else curve, dots, *([border] if left.texts else [])]


def _precise(mapping: Mapping, mean: Tensor) -> tuple[Mapping, Tensor]:
    """A copy of the mapping on the CPU, in double precision where it can be had, and the points alike."""
    if isinstance(mapping, nn.Module):
        mapping = copy.deepcopy(mapping).cpu()
        precise = cast("Mapping", copy.deepcopy(mapping).double())
    else:
        precise = mapping
    try:
        precise(mean[:1].double())
    except RuntimeError:  # a tensor that is no buffer and stays in single precision
        return mapping, mean
    return precise, mean.double()


# --- what is drawn in which colour -----------------------------------------------------------------------------


def _groups(mapping: Mapping, mean: Tensor, labels: Tensor | None, class_names: Sequence[str]) -> list[_Group]:
    names = list(class_names)
    if labels is None:
        found = clustering_of(mapping)
        if found is None:
            return [_Group("", torch.arange(len(mean)), {"color": BLUE, "marker": "o"})]
        clustering, dims = found
        labels = clustering.assign(mean[:, list(dims)]).cpu()
        names = [f"cluster {k + 1}" for k in range(clustering.n_clusters)]
    counts = Counter(labels.tolist())
    shown = sorted(value for value, _ in counts.most_common(_MOST_CLASSES))
    groups = [
        _Group(
            names[value] if 0 <= value < len(names) else str(value),
            torch.nonzero(labels == value)[:, 0],
            class_style(index, len(shown)),
        )
        for index, value in enumerate(shown)
    ]
    rest = torch.nonzero(~torch.isin(labels, torch.tensor(shown)))[:, 0]
    if len(rest):
        name = f"{len(counts) - len(shown)} more"
        groups.insert(0, _Group(name, rest, {"color": LIGHT, "marker": "o"}))
    return groups


def _z_plane(mapping: Mapping, z: Tensor, plane: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of z that belong to the plane of y: the same ones where g keeps their number."""
    if mapping.z_dim == mapping.y_dim:
        return plane
    if mapping.z_dim <= 2:
        return tuple(range(mapping.z_dim))
    return tuple(int(i) for i in z.var(0).argsort(descending=True)[:2].sort().values)


# --- drawing ---------------------------------------------------------------------------------------------------


def _draw_points(axes: Axes, points: Tensor, groups: list[_Group], names: list[str]) -> None:
    """A scatter of pairs, or histograms of single numbers."""
    if points.shape[1] == 1:
        _draw_histograms(axes, points[:, 0], groups)
        axes.set(xlabel=names[0], ylabel="density")
        return
    size = 12 if len(points) <= 500 else 7
    for group in groups:
        x, y = points[group.rows].T.numpy()
        axes.scatter(x, y, s=size, linewidths=0, alpha=0.75, label=group.name, rasterized=True, **group.style)
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_aspect("equal", adjustable="box")
    axes.locator_params(nbins=6, steps=[1, 2, 5, 10])


def _draw_histograms(axes: Axes, values: Tensor, groups: list[_Group]) -> None:
    """One outline per class; outlines of all classes together have area 1."""
    low, high = min(float(values.min()), -3.5), max(float(values.max()), 3.5)
    bins = np.linspace(low, high, 80)
    share = 1 / (len(values) * (bins[1] - bins[0]))
    for group in groups:
        mine = values[group.rows].numpy()
        weights = np.full(len(mine), share)
        axes.hist(
            mine,
            bins=list(bins),
            weights=weights,
            histtype="step",
            linewidth=1.3,
            color=group.style["color"],
            label=group.name,
        )


def _draw_prior(left: Axes, right: Axes, g_of_prior: Tensor, plane: tuple[int, ...], z_plane: tuple[int, ...]) -> None:
    """N(0, I): circles of radius 1, 2, 3 in y, draws of z behind the data; on a line, its density."""
    if len(plane) == 1:
        line = np.linspace(-3.5, 3.5, 200)
        left.plot(line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi), color=GREY, linewidth=0.8)
    else:
        turn = np.linspace(0, 2 * np.pi, 200)
        for radius in _RADII:
            left.plot(
                radius * np.cos(turn), radius * np.sin(turn), color=GREY, linewidth=0.6, linestyle=_DASHES, zorder=3
            )
    z = g_of_prior[:, z_plane].numpy()
    if len(z_plane) == 2:
        right.scatter(z[:, 0], z[:, 1], s=2, color=_PALE, linewidths=0, zorder=0, rasterized=True)
    else:
        right.hist(z[:, 0], bins=60, density=True, color=_PALE, zorder=0)


def _prior(mapping: Mapping, dtype: torch.dtype) -> Tensor:
    return torch.randn(_PRIOR_POINTS, mapping.y_dim, generator=torch.Generator().manual_seed(0)).to(dtype)


def _draw_seams(
    left: Axes, right: Axes, mapping: Mapping, dtype: torch.dtype, plane: tuple[int, ...], z_plane: tuple[int, ...]
) -> None:
    """Borders of the clusters in y with each one's share of the prior, and the borders' image in z."""
    found = clustering_of(mapping)
    assert found is not None
    clustering: Clustering = found[0]
    reach = max(abs(edge) for edge in (*left.get_xlim(), *left.get_ylim()))
    areas = regions(clustering, found[1], mapping.y_dim, plane, reach)
    for line in seams(areas):
        left.plot(*line[:, plane].T.numpy(), color=INK, linewidth=0.9)
        if len(z_plane) == 2:
            right.plot(*mapping(line.to(dtype))[:, z_plane].T.numpy(), color=INK, linewidth=0.9)
    shares = clustering.proportions().tolist()
    if len(shares) > _MOST_CLASSES:
        return
    for k, (x, y) in label_places(areas, min(abs(edge) for edge in (*left.get_xlim(), *left.get_ylim()))).items():
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        left.text(x, y, f"{shares[k]:.0%}", ha="center", va="center", fontsize=8, color=INK, bbox=box, clip_on=True)


def _draw_cuts(left: Axes, mapping: Mapping) -> None:
    """Where clusters end on a line, with each one's share of the prior above it."""
    found = clustering_of(mapping)
    assert found is not None
    line = torch.linspace(-3.5, 3.5, 2001)
    cluster = found[0].assign(line.unsqueeze(-1))
    for cut in torch.nonzero(cluster[1:] != cluster[:-1])[:, 0].tolist():
        left.axvline(float(line[cut : cut + 2].mean()), color=INK, linewidth=0.9)
    for k, share in enumerate(found[0].proportions().tolist()):
        if bool((cluster == k).any()):
            place = float(line[cluster == k].mean())
            left.text(
                place, 1.0, f"{share:.0%}", transform=left.get_xaxis_transform(), ha="center", va="top", fontsize=8
            )


def _set_limits(axes: Axes, *clouds: Tensor, at_least: float = 0.0) -> None:
    """A square window around nearly all points, at least so large."""
    if clouds[0].shape[1] != 2:
        return
    points = torch.cat(list(clouds)).double()
    low, high = points.quantile(0.002, dim=0), points.quantile(0.998, dim=0)
    if at_least:
        low, high = low.clamp(max=-at_least), high.clamp(min=at_least)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.06 + 1e-6
    axes.set_xlim(float(middle[0]) - half, float(middle[0]) + half)
    axes.set_ylim(float(middle[1]) - half, float(middle[1]) + half)
