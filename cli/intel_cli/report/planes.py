"""Where does the data lie before and after the mapping? Pairs of panels, the plane of y and its image in z."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from markupsafe import Markup

from intel_cli.pictures.borders import shares_in
from intel_cli.pictures.latent import plane_of
from intel_cli.pictures.points import MOST_CLASSES, by_label
from intel_cli.pictures.prior import RADII, contours, draws, precise, z_plane
from intel_cli.pictures.seams import label_places, regions, seams
from intel_cli.pictures.style import LIGHT
from intel_cli.report.svg import Frame, dots, frame, line, window, wrap
from intel_core.helpers.own_prior import UnderPrior
from intel_core.helpers.parts_of_mapping import clusterings_of, elements, planes_of
from intel_core.helpers.turning import own_axes
from intel_core.mappings.contract import Levelled

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.helpers.own_prior import OwnPrior
    from intel_core.mappings.contract import Clustering, Mapping

__all__ = ["Backdrop", "Latent", "LegendEntry", "Plane", "chosen_planes", "latent"]

MOST_POINTS = 1500
MOST_PLANES = 4
_PRIOR_POINTS = 1500
_SIDE = 340.0
_PALETTE = 10


@dataclass(frozen=True)
class LegendEntry:
    """A class: its name, how many points it has, and the CSS class of its dots."""

    name: str
    count: int
    style: str


@dataclass(frozen=True)
class Plane:
    """Two panels: a plane of y, and the plane of z that belongs to it.

    Attributes:
        name: the dimensions of y.
        y: the picture before the mapping.
        z: the picture after it.
        about: why this plane, in a few words.
        y_box: the axes of the first picture.
        z_box: those of the second.
        z_dims: the dimensions of z that it shows.
    """

    name: str
    y: Markup
    z: Markup
    about: str
    y_box: Frame
    z_box: Frame
    z_dims: tuple[int, ...]


@dataclass(frozen=True)
class Latent:
    """All planes, with the legend that they share and how many points are drawn of how many there are."""

    planes: list[Plane]
    legend: list[LegendEntry]
    what: str
    drawn: int
    of: int


@torch.no_grad()
def chosen_planes(mapping: Mapping, mean: Tensor | None) -> list[tuple[tuple[int, ...], str]]:
    """Planes of y to draw, each with the reason: the mapping acts there, it joins two levels, or the data vary most."""
    if mapping.y_dim == 1:
        return [((0,), "the only dimension")]
    if mapping.y_dim == 2:
        return [((0, 1), "all there is")]
    planes: dict[tuple[int, ...], str] = dict.fromkeys(planes_of(mapping), "the mapping acts here")
    for part in elements(mapping):
        if part.keeps and isinstance(part.mapping, Levelled):
            firsts = [_liveliest([part.dims[d] for d in level], mean) for level in part.mapping.levels if level]
            for above, below in itertools.pairwise(firsts):
                planes.setdefault((above, below), "one level and the next")
    if not planes and mean is not None and len(mean) > 1 and mapping.z_dim == mapping.y_dim:
        moved = (mapping(mean) - mean).detach().square().mean(0)
        if float(moved.max()) > 0:
            a, b = (int(d) for d in moved.argsort(descending=True)[:2].sort().values)
            planes[a, b] = "the mapping moves the data most here"
    kept = dict(itertools.islice(planes.items(), MOST_PLANES))
    if mean is not None and len(mean) > 1:
        a, b = (int(d) for d in mean.var(0).argsort(descending=True)[:2].sort().values)
        if (a, b) not in kept:
            kept = dict(itertools.islice(kept.items(), MOST_PLANES - 1)) | {(a, b): "the data vary most here"}
    elif not kept:
        kept[plane_of(mapping, torch.zeros(2, mapping.y_dim))] = "the first two"
    return list(kept.items())


def _liveliest(dims: list[int], mean: Tensor | None) -> int:
    """The dimension of a level in which the data vary most."""
    return dims[0] if mean is None or len(mean) < 2 else dims[int(mean[:, dims].var(0).argmax())]


@torch.no_grad()
def latent(
    mapping: Mapping,
    mean: Tensor | None,
    labels: Tensor | None,
    class_names: Sequence[str],
    prior: OwnPrior | None = None,
) -> Latent:
    """The planes of a run, along the mapping's own axes if it has turned from those of y; see `Backdrop`."""
    straight = own_axes(mapping, prior)
    mapping, mean = straight.mapping, None if mean is None else straight.into(mean)
    chosen = chosen_planes(mapping, mean)
    behind = Backdrop(mapping, mean, labels, class_names, prior)
    turned = "" if straight.axes is None else "; y and z are turned to the cells' axes"
    planes = [behind.plane(plane, why + turned) for plane, why in chosen]
    return Latent(planes, behind.legend, behind.what, behind.drawn, behind.of)


def _style(colour: object, index: int) -> str:
    if colour == LIGHT:
        return f"g{index} pale"
    return f"g{index} k{index % _PALETTE}{' square' if index % (2 * _PALETTE) >= _PALETTE else ''}"


class Backdrop:
    """The data and the prior on both sides of the mapping, from which any plane can be drawn.

    Args:
        mapping: g.
        mean: posterior means of test data ``(n, y_dim)``; the prior alone is drawn without them.
        labels: of the same rows; without them the colours are those of the mapping's clusters, if it has any.
        class_names: what the labels are called.
        prior: the run's own prior, if it is not N(0, I).
    """

    @torch.no_grad()
    def __init__(
        self,
        mapping: Mapping,
        mean: Tensor | None,
        labels: Tensor | None,
        class_names: Sequence[str],
        prior: OwnPrior | None = None,
    ) -> None:
        self.own = prior
        self.of = 0 if mean is None else len(mean)
        if mean is not None and self.of > MOST_POINTS:
            rows = torch.randperm(self.of, generator=torch.Generator().manual_seed(0))[:MOST_POINTS]
            mean, labels = mean[rows], None if labels is None else labels[rows]
        self.mapping, self.y = precise(mapping, torch.zeros(0, mapping.y_dim) if mean is None else mean.cpu())
        labels = None if labels is None else labels.cpu()
        groups = by_label(self.mapping, self.y, labels, class_names) if len(self.y) else []
        self.legend = [
            LegendEntry(group.name or "test data", len(group.rows), _style(group.style["color"], index))
            for index, group in enumerate(groups)
        ]
        self.what = "label" if labels is not None else "cluster" if len(groups) > 1 else ""
        self.drawn = len(self.y)
        self.prior = draws(_PRIOR_POINTS, mapping.y_dim, 0, self.y.dtype, prior)
        self.z, self.z_prior = self.mapping(self.y), self.mapping(self.prior)
        self._coloured = [(entry, group.rows) for entry, group in zip(self.legend, groups, strict=True)]

    @torch.no_grad()
    def plane(self, plane: tuple[int, ...], why: str = "") -> Plane:
        """Both panels of one or two dimensions of y."""
        z_dims = z_plane(self.mapping, self.z_prior, plane)
        names, shown = ", ".join(f"y{d}" for d in plane), " and ".join(f"z{d}" for d in z_dims)
        counted = f"{len(self.y):,} posterior means" if len(self.y) else "no data"
        y_label = (
            f"The plane of {names} before the mapping: {counted}, with {len(self.prior):,} draws of the prior behind."
        )
        z_label = f"After the mapping, {shown}: the same points, with the same draws of the prior behind."
        y_box = _box(self.y, self.prior, plane, at_least=3.3)
        z_box = _box(self.z, self.z_prior, z_dims)
        over_y, over_z = _borders(self, plane, z_dims, y_box, z_box) if len(plane) == 2 else ([], [])
        y_svg = _panel(
            self.y, self.prior, plane, y_box, "y", self._coloured, [*_rings(y_box, plane, self.own), *over_y], y_label
        )
        z_svg = _panel(self.z, self.z_prior, z_dims, z_box, "z", self._coloured, over_z, z_label)
        return Plane(names, y_svg, z_svg, why, y_box, z_box, z_dims)


def _box(points: Tensor, prior: Tensor, dims: Sequence[int], at_least: float = 0.0) -> Frame:
    """A square window around nearly all points; for one dimension, a row for each class."""
    both = torch.cat([points, prior])
    axes = [window(both[:, d].tolist(), share=0.002) for d in dims]
    if len(dims) == 1:
        return Frame(axes[0], (0.0, 1.0), _SIDE, _SIDE * 0.6, left=16)
    half = max(at_least, *((high - low) / 2 for low, high in axes))
    middles = [0.0 if at_least else (low + high) / 2 for low, high in axes]
    x, y = ((middle - half, middle + half) for middle in middles)
    return Frame(x, y, _SIDE, _SIDE - 14, left=40)


def _panel(
    points: Tensor,
    prior: Tensor,
    dims: Sequence[int],
    box: Frame,
    letter: str,
    coloured: list[tuple[LegendEntry, Tensor]],
    over: list[Markup],
    label: str,
) -> Markup:
    size = "" if len(points) > 400 else " large"
    content: list[Markup] = []
    if len(dims) == 1:
        content.append(frame(box, (f"{letter}{dims[0]}", ""), about=(6, 0)))
        rows = [("prior", prior[:400, dims[0]]), *((f"{e.style}{size}", points[r, dims[0]]) for e, r in coloured)]
        for index, (style, values) in enumerate(rows):
            middle = 1 - (index + 0.5) / len(rows)
            spread = torch.rand(len(values), generator=torch.Generator().manual_seed(index)).sub(0.5) * 0.6 / len(rows)
            content.append(dots(box, zip(values.tolist(), (middle + spread).tolist(), strict=True), style))
        return wrap(box, content, label, "chart plane")
    content.append(frame(box, (f"{letter}{dims[0]}", f"{letter}{dims[1]}"), grid=False))
    content.append(dots(box, _pairs(prior, dims), "prior"))
    content += [dots(box, _pairs(points[rows], dims), f"{entry.style}{size}") for entry, rows in coloured]
    return wrap(box, [*content, *over], label, "chart plane")


def _pairs(points: Tensor, dims: Sequence[int]) -> list[tuple[float, float]]:
    return [(a, b) for a, b in points[:, list(dims)].tolist()]


def _rings(box: Frame, plane: tuple[int, ...], prior: OwnPrior | None) -> list[Markup]:
    """The prior's circles of 1, 2 and 3 standard deviations, or contours of one that is not N(0, I)."""
    if len(plane) == 1:
        return []
    if prior is not None:
        return [line(box, _pairs(found, (0, 1)), "ring") for found in contours(prior, plane)]
    turn = [2 * math.pi * i / 72 for i in range(73)]
    return [line(box, [(r * math.cos(t), r * math.sin(t)) for t in turn], "ring") for r in RADII]


def _borders(
    behind: Backdrop, plane: tuple[int, ...], z_dims: tuple[int, ...], y_box: Frame, z_box: Frame
) -> tuple[list[Markup], list[Markup]]:
    """Borders of the first clusters that differ within the plane, with each one's share of the prior."""
    reach = max(abs(edge) for edge in (*y_box.x, *y_box.y))
    for found, dims in clusterings_of(behind.mapping):
        clustering: Clustering = found if behind.own is None else UnderPrior(found, dims, behind.own)
        areas = regions(clustering, dims, behind.mapping.y_dim, plane, reach)
        if areas.cluster.min() == areas.cluster.max() or clustering.n_clusters > MOST_CLASSES:
            continue
        before, after = [], []
        for border in seams(areas):
            few = border[:: max(1, len(border) // 120)]
            before.append(line(y_box, _pairs(few, plane), "border"))
            if len(z_dims) == 2:
                after.append(
                    line(
                        z_box,
                        _pairs(behind.mapping(border.to(behind.y.dtype))[:: max(1, len(border) // 120)], z_dims),
                        "border",
                    )
                )
        shares = shares_in(areas)
        for k, (a, b) in label_places(areas, min(abs(edge) for edge in (*y_box.x, *y_box.y))).items():
            x, y = y_box.at(a, b)
            before.append(
                Markup('<text class="share" x="{:.0f}" y="{:.0f}" text-anchor="middle">{:.0%}</text>').format(
                    min(max(x, y_box.left + 16), y_box.width - 22), min(max(y, 18), y_box.height - 42), shares.get(k, 0)
                )
            )
        return before, after
    return [], []
