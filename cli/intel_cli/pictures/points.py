"""How are points drawn? Groups of one colour each, as a cloud or as histograms, in a window around nearly all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from intel_cli.output.terminal import visible
from intel_cli.pictures.style import BLUE, LIGHT, class_style
from intel_core.helpers.parts_of_mapping import clustering_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from intel_core.mappings.contract import Clustering, Mapping

__all__ = [
    "MOST_CLASSES",
    "PointGroup",
    "by_cluster",
    "by_label",
    "coordinate_names",
    "draw_histograms",
    "draw_points",
    "label_name",
    "set_limits",
]

MOST_CLASSES = 20
"""More classes than this cannot be distinguished; the others share one pale colour."""


@dataclass(frozen=True)
class PointGroup:
    """Points that share a style, and what the legend calls them."""

    name: str
    rows: Tensor
    style: dict[str, Any]


def label_name(label: int, names: Sequence[str]) -> str:
    """The name of a class, its control characters written out, or its number if it has none."""
    return visible(names[label], one_line=True) if 0 <= label < len(names) else str(label)


def by_label(mapping: Mapping, mean: Tensor, labels: Tensor | None, class_names: Sequence[str]) -> list[PointGroup]:
    """One group for each label; without labels one for each cluster, or a single group if there are no clusters."""
    if labels is not None:
        return _groups(labels, list(class_names))
    clusters = clustering_of(mapping)
    if clusters is None:
        return [PointGroup("", torch.arange(len(mean)), {"color": BLUE, "marker": "o"})]
    clustering, dims = clusters
    return by_cluster(clustering, clustering.assign(mean[:, list(dims)]))


def by_cluster(clustering: Clustering, cluster: Tensor) -> list[PointGroup]:
    """One group for each cluster that contains any of the points; a cluster's style follows from its number."""
    k = clustering.n_clusters
    return _groups(cluster.cpu(), [f"cluster {i + 1}" for i in range(k)], k if k <= MOST_CLASSES else None)


def _groups(labels: Tensor, names: list[str], of: int | None = None) -> list[PointGroup]:
    """Groups by label, the most common ones; `of` is how many labels there could be, if each has a style of its own."""
    counts = Counter(labels.tolist())
    shown = sorted(value for value, _ in counts.most_common(MOST_CLASSES))
    groups = [
        PointGroup(
            label_name(value, names).replace("$", r"\$"),  # matplotlib reads what is between two as a formula
            torch.nonzero(labels == value)[:, 0],
            class_style(index, len(shown)) if of is None else class_style(value, of),
        )
        for index, value in enumerate(shown)
    ]
    rest = torch.nonzero(~torch.isin(labels, torch.tensor(shown)))[:, 0]
    if len(rest):
        name = f"{len(counts) - len(shown)} more"
        groups.insert(0, PointGroup(name, rest, {"color": LIGHT, "marker": "o"}))
    return groups


def coordinate_names(letter: str, dims: Sequence[int]) -> list[str]:
    """What axes are called, counted from 0 as in specs.

    >>> coordinate_names("z", (0, 3))
    ['$z_{0}$', '$z_{3}$']
    """
    return [f"${letter}_{{{i}}}$" for i in dims]


def draw_points(axes: Axes, points: Tensor, groups: list[PointGroup], names: list[str]) -> None:
    """A scatter of pairs, or histograms of single numbers."""
    if points.shape[1] == 1:
        draw_histograms(axes, points[:, 0], groups)
        axes.set(xlabel=names[0], ylabel="density")
        return
    size = 12 if len(points) <= 500 else 7
    for group in groups:
        x, y = points[group.rows].T.numpy()
        axes.scatter(x, y, s=size, linewidths=0, alpha=0.75, label=group.name, rasterized=True, **group.style)
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_aspect("equal", adjustable="box")
    axes.locator_params(nbins=6, steps=[1, 2, 5, 10])


def draw_histograms(axes: Axes, values: Tensor, groups: list[PointGroup]) -> None:
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


def set_limits(axes: Axes, *clouds: Tensor, at_least: float = 0.0) -> None:
    """Set a square window around nearly all points, of at least a given size."""
    if clouds[0].shape[1] != 2:
        return
    points = torch.cat(list(clouds)).double()
    if len(points) == 0:
        return
    low, high = points.quantile(0.002, dim=0), points.quantile(0.998, dim=0)
    if at_least:
        low, high = low.clamp(max=-at_least), high.clamp(min=at_least)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.06 + 1e-6
    axes.set_xlim(float(middle[0]) - half, float(middle[0]) + half)
    axes.set_ylim(float(middle[1]) - half, float(middle[1]) + half)
