"""What does each dimension of y do? Decodings along it from several base examples, ready for a slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from markupsafe import Markup

from intel_cli.pictures.points import label_name
from intel_cli.report.images import address, limits_of, sheet
from intel_cli.report.svg import Frame, dots, frame, line, squared, window, wrap
from intel_cli.report.vectors import as_drawn
from intel_core.data.values import to_float
from intel_core.helpers.own_prior import own_prior

if TYPE_CHECKING:
    from torch import Tensor

    from intel_core.data.dataset import Dataset
    from intel_core.evaluation.run import Run

__all__ = ["STEPS", "Base", "Walk", "Walks", "spread_rows", "walks"]

STEPS = tuple(round(-3 + 0.5 * i, 1) for i in range(13))
"""Values of one dimension of y, the others staying those of the base."""
MOST_DIMS = 16
_MOST_BASES = 8
_MOST_SIDE = 64
_BEHIND = 400


@dataclass(frozen=True)
class Base:
    """An example that the walks start from: what it is called, its picture if it has one, and its y."""

    name: str
    picture: str
    y: list[float]


@dataclass(frozen=True)
class Walk:
    """One dimension: a sheet of images with a row for each base and a column for each step, or a chart."""

    dim: int
    note: str
    sprite: str
    svg: Markup | None


@dataclass(frozen=True)
class Walks:
    """All walks, over which bases, and the size of a tile in pixels where they are images."""

    walks: list[Walk]
    bases: list[Base]
    tile: tuple[int, int] | None
    left_out: int


def spread_rows(labels: Tensor | None, n: int, most: int) -> list[int]:
    """The first rows of so many, the classes in turn where there are labels.

    >>> spread_rows(torch.tensor([0, 0, 0, 1]), 4, 3)
    [0, 3, 1]
    """
    if labels is None:
        return list(range(min(n, most)))
    by_class = [torch.nonzero(labels == label)[:, 0].tolist() for label in sorted(set(labels.tolist()))]
    rounds = max((len(rows) for rows in by_class), default=0)
    return [rows[i] for i in range(rounds) for rows in by_class if i < len(rows)][:most]


@torch.no_grad()
def walks(run: Run, dataset: Dataset | None) -> Walks:
    """Walks along the liveliest dimensions, at most 16.

    Args:
        run: the run.
        dataset: its data, from whose test part bases are taken; without them the point 0 is the only one.
    """
    dims, notes = _dims(run)
    images = len(run.model.x_shape) == 3
    limits, behind = (0.0, 1.0), None
    if dataset is not None and images:
        limits = limits_of(to_float(dataset.test.x[:200]), dataset.support)
    elif dataset is not None:
        behind = as_drawn(run, to_float(dataset.test.x[:_BEHIND]))
    ys, bases, known = _bases(run, dataset, limits)
    known = None if known is None else known.repeat_interleave(len(STEPS), 0)
    walks, tile = [], None
    for dim in dims[:MOST_DIMS]:
        y = ys.repeat_interleave(len(STEPS), 0)
        y[:, dim] = torch.tensor(STEPS).repeat(len(ys))
        z = run.model.mapping(y.to(run.model_device)).cpu()
        x = run.decode(z, conditions=known, standardised=True)
        if images:
            x = _smaller(x)
            tile = (int(x.shape[3]), int(x.shape[2]))
            sprite = address(sheet(x, len(STEPS), limits), tile[0] * tile[1])
            walks.append(Walk(dim, notes[dim], sprite, None))
        else:
            walks.append(Walk(dim, notes[dim], "", _chart(as_drawn(run, x), behind, dim, len(ys))))
    return Walks(walks, bases, tile, max(0, len(dims) - MOST_DIMS))


def _bases(run: Run, dataset: Dataset | None, limits: tuple[float, float]) -> tuple[Tensor, list[Base], Tensor | None]:
    """The point 0, which is the mean of N(0, I), and some test examples of different classes; and their conditions."""
    ys = [torch.zeros(1, run.model.y_dim)]
    zero = "the prior’s mean, y = 0" if own_prior(run.model) is None else "y = 0"
    bases = [Base(zero, "", [0.0] * run.model.y_dim)]
    some = run.draw_conditions(1)  # the point 0 has those of a training example
    if dataset is None:
        return ys[0], bases, some
    test = dataset.test
    rows = spread_rows(test.labels, len(test), _MOST_BASES - 1)
    part = test.part(torch.as_tensor(rows))
    mean = run.encode(part, standardised=True).mean
    for row, y in zip(rows, mean, strict=True):
        name = f"test {row}"
        if test.labels is not None:
            name += f": {label_name(int(test.labels[row]), dataset.class_names)}"
        picture = ""
        if len(dataset.x_shape) == 3:
            image = _smaller(to_float(test.x[row : row + 1]).cpu())
            picture = address(sheet(image, 1, limits), int(image.shape[2] * image.shape[3]))
        bases.append(Base(name, picture, [float(f"{v:.3g}") for v in y]))
    known = None if some is None or part.conditions is None else torch.cat([some, part.conditions])
    return torch.cat([*ys, mean]), bases, known


def _dims(run: Run) -> tuple[list[int], dict[int, str]]:
    """Dimensions of y, those that carry most first, with how much that is."""
    kl = run.metrics.get("test", {}).get("kl_per_dim")
    every = list(range(run.model.y_dim))
    if not isinstance(kl, list) or len(kl) != len(every):
        return every, dict.fromkeys(every, "")
    return sorted(every, key=lambda d: -kl[d]), {d: f"{kl[d]:.2f} nats" for d in every}


def _smaller(x: Tensor) -> Tensor:
    """Images of at most 64 pixels a side."""
    most = max(x.shape[2:])
    if most <= _MOST_SIDE:
        return x
    size = [max(1, round(side * _MOST_SIDE / most)) for side in x.shape[2:]]
    return torch.nn.functional.interpolate(x.float(), size=size, mode="area")


def _chart(x: Tensor, behind: Tensor | None, dim: int, bases: int) -> Markup:
    """The decodings of each base: a curve of x against y, a path in the plane, or profiles of wider vectors."""
    width = x.shape[1]
    rows = x.reshape(bases, len(STEPS), width)
    values: list[Any] = rows.tolist()
    if width <= 2:
        paths = [[(s, v[0]) if width == 1 else (v[0], v[1]) for s, v in zip(STEPS, row, strict=True)] for row in values]
        cloud = [] if behind is None or width == 1 else [(a, b) for a, b in behind.tolist()]
        box = _plane_box(paths, cloud, square=width == 2)
        names = (f"y{dim}", "x0") if width == 1 else ("x0", "x1")
        content = [frame(box, names, grid=False), dots(box, cloud, "prior")]
        for index, path in enumerate(paths):
            steps = [dots(box, [point], f"step s{column}") for column, point in enumerate(path)]
            body = Markup("").join([line(box, path, "curve walkline"), *steps])
            content.append(Markup('<g class="walkrow" data-row="{}">{}</g>').format(index, body))
    else:
        flat = [v for row in values for profile in row for v in profile]
        box = Frame((0.0, float(width - 1)), window(flat), 420, 240, left=48)
        content = [frame(box, ("value of x", ""), grid=False)]
        for index, row in enumerate(values):
            lines = [line(box, enumerate(map(float, p)), f"curve step s{column}") for column, p in enumerate(row)]
            content.append(Markup('<g class="walkrow" data-row="{}">{}</g>').format(index, Markup("").join(lines)))
    label = f"What is decoded as y{dim} goes from {STEPS[0]:g} to {STEPS[-1]:g}, all other dimensions staying."
    return wrap(box, content, label, "chart walkchart")


def _plane_box(paths: list[list[tuple[float, float]]], cloud: list[tuple[float, float]], *, square: bool) -> Frame:
    every = [point for path in paths for point in path] + cloud
    x, y = (window([p[i] for p in every]) for i in (0, 1))
    if square:
        x, y = squared(x, y)
    return Frame(x, y, 360, 346 if square else 240, left=44)
