"""Where do the data lie in y, and where in z? Two panels, a plane of y and its image under g."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from intel_cli.pictures.borders import draw_borders, draw_cuts
from intel_cli.pictures.points import by_label, coordinate_names, draw_points, set_limits
from intel_cli.pictures.prior import DASHES, contours, curve, draws, precise, z_plane
from intel_cli.pictures.style import GREY, INK, figure, styled
from intel_core.helpers.own_prior import UnderPrior
from intel_core.helpers.parts_of_mapping import clustering_of, parts_of
from intel_core.helpers.turning import own_axes
from intel_core.mappings.contract import Declared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from torch import Tensor

    from intel_core.helpers.own_prior import OwnPrior
    from intel_core.mappings.contract import Mapping

__all__ = ["Latent", "latent_panels", "latent_rows", "plane_of"]

_PRIOR_POINTS = 4000
_PALE = "#CFCFCF"


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
def latent_panels(
    mapping: Mapping,
    mean: Tensor,
    labels: Tensor | None,
    class_names: Sequence[str],
    prior: OwnPrior | None = None,
) -> Figure:
    """Posterior means in y, and the same points in z; along the mapping's own axes, if it has turned from those of y.

    Args:
        mapping: g.
        mean: posterior means of test data, ``(n, y_dim)``.
        labels: integers ``(n,)``; without them the points are coloured by cluster where the mapping has clusters.
        class_names: what the labels are called.
        prior: the run's own prior, if it is not N(0, I).
    """
    return latent_rows([Latent("", mapping, mean, labels, prior)], class_names)


class Latent(NamedTuple):
    """Where a run has its test data: a row of the picture, whose arguments are those of `latent_panels`."""

    name: str
    mapping: Mapping
    mean: Tensor
    labels: Tensor | None
    prior: OwnPrior | None = None


@torch.no_grad()
def latent_rows(runs: Sequence[Latent], class_names: Sequence[str]) -> Figure:
    """The panels of several runs on the same data, a row for each; the legend has the classes of all of them.

    Args:
        runs: from top to bottom.
        class_names: what the labels are called.
    """
    with styled():
        made = figure(7.6, 3.4 * len(runs))
        classes: list[Any] = []
        keys: list[Any] = []
        for row, (left, right) in zip(runs, made.subplots(len(runs), 2, squeeze=False), strict=True):
            _draw_row(left, right, row, class_names, classes, keys)
            if row.name:
                left.set_title(f"{row.name}: {left.get_title()}")
        crowded = len(classes) > 12
        if crowded:
            made.set_size_inches(8.4, 3.4 * len(runs))
        made.legend(handles=[*classes, *keys], loc="outside right center", ncols=2 if crowded else 1)
        return made


def _draw_row(
    left: Axes, right: Axes, run: Latent, class_names: Sequence[str], classes: list[Any], keys: list[Any]
) -> None:
    """Draw a run's two panels, and add to the entries of the legend what rows above have not said."""
    prior, straight = run.prior, own_axes(run.mapping, run.prior)
    mapping, mean = precise(straight.mapping, straight.into(run.mean.cpu()))
    plane = plane_of(mapping, mean)
    groups = by_label(mapping, mean, run.labels, class_names)
    z = mapping(mean)
    z_dims = z_plane(mapping, z, plane)
    g_of_prior = mapping(draws(_PRIOR_POINTS, mapping.y_dim, 0, mean.dtype, prior))
    draw_points(left, mean[:, plane], groups, coordinate_names("y", plane))
    draw_points(right, z[:, z_dims], groups, coordinate_names("z", z_dims))
    left.set_title("posterior means in $y$" if straight.axes is None else "posterior means in $y$, turned")
    right.set_title("the same points in $z = g(y)$")
    _draw_prior(left, right, g_of_prior, plane, z_dims, prior)
    set_limits(left, mean[:, plane], at_least=3.6)
    clusters = clustering_of(mapping)
    if clusters is not None and prior is not None:  # what it declares are shares of N(0, I)
        clusters = UnderPrior(*clusters, prior), clusters[1]
    if len(plane) == 2 and clusters is not None:
        draw_borders(left, right if len(z_dims) == 2 else None, mapping, *clusters, plane, z_dims, mean.dtype)
    elif len(plane) == 1 and clusters is not None:
        draw_cuts(left, clusters[0])
    if len(z_dims) == 2:
        set_limits(right, z[:, z_dims], g_of_prior[:, z_dims])
    _add(classes, left.get_legend_handles_labels()[0] if len(groups) > 1 else [])
    _add(keys, _keys(left, len(plane), len(z_dims)))


def _add(entries: list[Any], more: Sequence[Any]) -> None:
    """Add entries of a legend whose labels are not there yet."""
    there = {entry.get_label() for entry in entries}
    entries += [entry for entry in more if entry.get_label() not in there]


def _keys(left: Axes, y_dims: int, z_dims: int) -> list[Line2D]:
    """Legend entries for the lines and the grey dots."""
    from matplotlib.lines import Line2D

    dashes = Line2D([], [], color=GREY, linewidth=0.6, linestyle=DASHES, label="prior: 1, 2, 3 sd")
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


def _draw_prior(
    left: Axes,
    right: Axes,
    g_of_prior: Tensor,
    plane: tuple[int, ...],
    z_plane: tuple[int, ...],
    prior: OwnPrior | None,
) -> None:
    """The prior: contours in y, circles of radius 1, 2, 3 for N(0, I), and draws of z behind the data."""
    if len(plane) == 1:
        left.plot(*curve(prior, plane[0]), color=GREY, linewidth=0.8)
    else:
        for contour in contours(prior, plane):
            left.plot(*contour.T.numpy(), color=GREY, linewidth=0.6, linestyle=DASHES, zorder=3)
    z = g_of_prior[:, z_plane].numpy()
    if len(z_plane) == 2:
        right.scatter(z[:, 0], z[:, 1], s=2, color=_PALE, linewidths=0, zorder=0, rasterized=True)
    else:
        right.hist(z[:, 0], bins=60, density=True, color=_PALE, zorder=0)
