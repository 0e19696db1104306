"""How are vectors shown? As histograms, clouds, or profiles, by their number of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intel_cli.pictures.style import BLUE, GREY, INK, LIGHT, figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["vector_pairs", "vector_samples"]

_DOTS: dict[str, Any] = {"s": 6, "linewidths": 0, "alpha": 0.6, "rasterized": True}


def vector_samples(samples: Array, train: Array | None) -> Figure:
    """Samples and training data in the same axes: up to 3 values as they are, more on two principal axes."""
    with styled():
        width = samples.shape[1]
        if width == 1:
            return _histograms(samples[:, 0], None if train is None else train[:, 0])
        axis_names = [f"$x_{i + 1}$" for i in range(width)]
        if width > 3:
            samples, train, axis_names = _principal(samples, train)
        panels = [("training data", train, GREY)] if train is not None else []
        panels.append(("samples", samples, BLUE))
        made = figure(3.1 * len(panels), 3.0)
        limits = _limits(samples if train is None else np.concatenate([train, _nearly_all(samples)]))
        for index, (title, points, colour) in enumerate(panels):
            axes: Any = made.add_subplot(1, len(panels), index + 1, projection="3d" if points.shape[1] == 3 else None)
            axes.scatter(*_inside(points, limits).T, color=colour, **_DOTS)
            axes.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1], xlim=limits[0], ylim=limits[1])
            if points.shape[1] == 3:
                axes.set(zlabel=axis_names[2], zlim=limits[2])
                axes.set_box_aspect((1, 1, 1), zoom=0.85)
                axes.locator_params(nbins=4)
            elif width <= 3:
                axes.set_aspect("equal", adjustable="box")
        return made


def _limits(points: Array) -> list[tuple[float, float]]:
    """The range of each column with a margin, so that two panels can share it."""
    low, high = points.min(0), points.max(0)
    if points.shape[1] <= 3:  # one scale for all columns
        middle, half = (low + high) / 2, float((high - low).max()) / 2
        low, high = middle - half, middle + half
    margin = 0.12 * (high - low) + 1e-6
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]


def _nearly_all(points: Array) -> Array:
    """Two corners between which 98 % of each column lie, so that a stray sample does not set the scale."""
    return np.asarray(np.quantile(points, [0.01, 0.99], axis=0))


def _inside(points: Array, limits: list[tuple[float, float]]) -> Array:
    """Points within the axes; in three dimensions the others would be drawn outside of them."""
    low, high = np.array(limits).T
    return np.asarray(points[((points >= low) & (points <= high)).all(1)])


def _principal(samples: Array, train: Array | None) -> tuple[Array, Array | None, list[str]]:
    """Both on the first two principal axes of the training data (of the samples where there is none)."""
    basis = samples if train is None else train
    centre = basis.mean(0)
    _, values, axes = np.linalg.svd(basis - centre, full_matrices=False)
    share = values**2 / max(float((values**2).sum()), 1e-12)
    names = [f"principal axis {i + 1} ({share[i]:.0%} of variance)" for i in range(2)]
    return (samples - centre) @ axes[:2].T, None if train is None else (train - centre) @ axes[:2].T, names


def _histograms(samples: Array, train: Array | None) -> Figure:
    made = figure(4.2, 2.8)
    axes = made.add_subplot()
    low, high = (float(f(samples if train is None else train)) for f in (np.min, np.max))
    margin = 0.1 * (high - low) + 1e-6
    bins = np.linspace(low - margin, high + margin, 60).tolist()
    if train is not None:
        axes.hist(train, bins=bins, density=True, color=LIGHT, label="training data")
    axes.hist(samples, bins=bins, density=True, histtype="step", color=BLUE, linewidth=1.4, label="samples")
    axes.set(xlabel="$x_1$", ylabel="density")
    axes.legend()
    return made


def vector_pairs(originals: Array, decoded: Array) -> Figure:
    """Test examples and their reconstructions: joined points up to 2 values, profiles of a few examples beyond."""
    with styled():
        width = originals.shape[1]
        if width == 1:
            return _against(originals[:, 0], decoded[:, 0])
        if width == 2:
            return _joined(originals, decoded)
        if width == 3:
            return _joined_in_space(originals, decoded)
        return _profiles(originals, decoded)


def _against(originals: Array, decoded: Array) -> Figure:
    made = figure(3.2, 3.0)
    axes = made.add_subplot()
    ends = [float(originals.min()), float(originals.max())]
    axes.plot(ends, ends, color=LIGHT, linewidth=0.8, zorder=0)
    axes.scatter(originals, decoded, color=BLUE, **_DOTS)
    axes.set(xlabel="original $x_1$", ylabel="reconstruction")
    return made


def _joined(originals: Array, decoded: Array) -> Figure:
    made = figure(3.9, 3.3)
    axes = made.add_subplot()
    _draw_joined(axes, originals, decoded)
    limits = _limits(originals)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=limits[0], ylim=limits[1])
    axes.set_aspect("equal", adjustable="box")
    made.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return made


def _joined_in_space(originals: Array, decoded: Array) -> Figure:
    made = figure(4.0, 3.8)
    axes = made.add_subplot(projection="3d")
    _draw_joined(axes, originals, decoded)
    limits = _limits(originals)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=limits[0], ylim=limits[1])
    axes.set(zlabel="$x_3$", zlim=limits[2])
    axes.set_box_aspect((1, 1, 1), zoom=0.85)
    axes.locator_params(nbins=4)
    made.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return made


def _draw_joined(axes: Axes, originals: Array, decoded: Array) -> None:
    """Each original, its reconstruction, and a thin line between the two."""
    for a, b in zip(originals, decoded, strict=True):
        axes.plot(*np.stack([a, b]).T, color=LIGHT, linewidth=0.5, zorder=0)
    axes.scatter(*originals.T, color=GREY, label="original", **_DOTS)
    axes.scatter(*decoded.T, color=BLUE, label="reconstruction", **_DOTS)


def _profiles(originals: Array, decoded: Array) -> Figure:
    from matplotlib.ticker import MaxNLocator

    rows, columns = 2, 3
    made = figure(6.5, 3.4)
    grid = made.subplots(rows, columns, sharex=True, sharey=True).ravel()
    places = np.arange(1, originals.shape[1] + 1)
    dots = originals.shape[1] <= 40
    for axes, original, reconstruction in zip(grid, originals, decoded, strict=False):
        axes.plot(places, original, color=INK, linewidth=0.8, marker="o" if dots else "", markersize=2.5)
        axes.plot(places, reconstruction, color=BLUE, linewidth=1.4)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes in grid[len(originals) :]:
        axes.set_axis_off()
    made.supxlabel("value of x", fontsize=9)
    made.legend(grid[0].get_lines(), ["original", "reconstruction"], loc="outside upper center", ncols=2)
    return made
