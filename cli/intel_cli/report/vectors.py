"""How are vectors drawn on the page? As points of a plane, on principal axes where there are more than two values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from markupsafe import Markup

from intel_cli.report.svg import Frame, clipped, dots, frame, line, squared, window, wrap

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.evaluation.run import Run

__all__ = ["as_drawn", "beside_data", "joined", "of_cluster", "units_note"]

_Names = tuple[str, str]


def as_drawn(run: Run, x: Tensor) -> Tensor:
    """A single value in its own units; several values standardised, so that no unit dominates the others."""
    return run.original_units(x) if x.shape[1] == 1 else x


def units_note(run: Run) -> str:
    """A remark on units to add to a caption."""
    standardised = run.info["data"].get("scaling") is not None and run.model.x_shape[0] > 1
    return ", columns standardised" if standardised else ""


def _flat(x: Tensor, basis: Tensor) -> tuple[Tensor, _Names]:
    """Two coordinates of each row: the values themselves up to two, the two principal axes of a basis beyond.

    >>> _flat(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0]]))[0].shape
    torch.Size([2, 2])
    """
    if x.shape[1] == 1:
        spread = torch.rand(len(x), 1, generator=torch.Generator().manual_seed(0))
        return torch.cat([x, spread], 1), ("x0", "spread for the eye")
    if x.shape[1] == 2:
        return x, ("x0", "x1")
    centre = basis.mean(0)
    _, values, axes = torch.linalg.svd(basis - centre, full_matrices=False)
    share = values.square() / values.square().sum().clamp(min=1e-12)
    first, second = (f"principal axis {i + 1} ({share[i]:.0%} of variance)" for i in (0, 1))
    return (x - centre) @ axes[:2].T, (first, second)


def _box(*clouds: Tensor, share: float) -> Frame:
    points = torch.cat(list(clouds))
    x, y = (window(points[:, i].tolist(), share=share) for i in (0, 1))
    return Frame(*squared(x, y), 360, 346, left=46)


def beside_data(samples: Tensor, data: Tensor | None, label: str) -> Markup:
    """Samples over training data."""
    points, names = _flat(samples, samples if data is None else data)
    behind = points[:0] if data is None else _flat(data, data)[0]
    # The data set the scale, with nearly all of the samples.
    near = points.quantile(torch.tensor([0.01, 0.99]), dim=0)
    box = _box(behind, near, share=0.0)
    parts = [frame(box, names, grid=False), dots(box, _pairs(behind), "prior"), dots(box, _pairs(points), "k0")]
    return wrap(box, parts, f"{label}.", "chart plane")


def joined(originals: Tensor, decoded: Tensor, label: str) -> Markup:
    """Each example, its reconstruction, and a line between the two."""
    first, names = _flat(originals, originals)
    second = _flat(decoded, originals)[0]
    box = _box(first, share=0.0)
    lines = [line(box, [a, b], "join") for a, b in zip(_pairs(first), _pairs(second), strict=True)]
    clip = clipped(box, lines)
    parts = [frame(box, names, grid=False), clip, dots(box, _pairs(first), "prior"), dots(box, _pairs(second), "k0")]
    return wrap(box, parts, label, "chart plane")


def _pairs(points: Tensor) -> list[tuple[float, float]]:
    return [(a, b) for a, b in points[:, :2].tolist()]


def of_cluster(points: Tensor, behind: Tensor | None, style: str, label: str) -> Markup:
    """The points of one cluster over all data, small; the data set the scale."""
    flat, names = _flat(points, points if behind is None else behind)
    grey = flat[:0] if behind is None else _flat(behind, behind)[0]
    spread = grey if len(grey) else flat
    x, y = (window(spread[:, i].tolist(), share=0.005, margin=0.12) for i in (0, 1))
    box = Frame(*squared(x, y), 200, 196, left=34)
    parts = [frame(box, (names[0].partition(" (")[0], names[1].partition(" (")[0]), grid=False, about=(3, 3))]
    parts += [dots(box, _pairs(grey), "prior"), dots(box, _pairs(flat), style)]
    return wrap(box, parts, f"{label}.", "chart plane")
