"""Are the clusters of assign() those that g makes? The check belongs to the group ``structure``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from intel_conformance.candidate import Candidate
from intel_conformance.check import check
from intel_conformance.jacobians import jacobian
from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_core.helpers.parts_of_mapping import clustering_of

_LINES = 300
_BESIDE = (0.12, 0.2, 0.3)
"""How far from a border g is less steep: a border that lies further off than this is not that of g."""
_INSIDE = (0.2, 0.4, 0.7, 1.0)
"""How far from a border a cluster is denser."""
_ENOUGH = 16
"""From so many borders on two clusters are looked at alone."""
_FURTHER, _FAR, _FAR_BESIDE = 4.0, 5.0, (1.0, 2.0)
"""Lines of draws four times as long cross borders more than 5 from 0, where g may change more slowly."""
_STEP = 1e-3
_COST = 2000
_NEIGHBOURS, _OVERLAP = 1000, 0.1
_LARGE = 32
_POWERS = 12
_TINY = 1e-12

Map = Callable[[Tensor], Tensor]


@check("structure.assigned", "capability: Clustering")
def assigned(candidate: Candidate) -> None:
    """Where assign() changes, g is steeper than on either side, far out too, and the prior is less dense in z."""
    found = clustering_of(candidate.mapping())
    if found is None:
        raise NotApplicable("it is not a Clustering")
    part: Any = found[0]
    if not callable(part) or part.n_clusters < 2:
        raise NotApplicable("it has one cluster only")
    border, way, pair = _borders(candidate, part, "borders", 1)
    if len(border) < 20:
        raise Skipped("few lines cross a border between clusters")
    g = _whitened(candidate, part)
    steeper, sparser = _compared(g, border, way, _BESIDE, _INSIDE)
    for about, some in _parts(border, pair):
        for what, holds in (("steeper than on either side", steeper), ("less dense in z", sparser)):
            _most(holds[some], f"at {int(some.sum())} borders between clusters of assign(){about}, g is {what}")
    _far_out(candidate, part, g)
    _apart(candidate, part, g)


@torch.no_grad()
def _whitened(candidate: Candidate, part: Any) -> Map:
    """g, followed by what makes the covariance of z under the prior 1: units of z, and its axes, do not count."""
    z = part(candidate.draw("white", max(_NEIGHBOURS, 8 * candidate.y_dim))[:, : part.y_dim])
    values, axes = torch.linalg.eigh(z.T.cov().reshape(z.shape[-1], -1))
    white = axes * values.clamp(min=_TINY + 1e-6 * float(values.max())).rsqrt() @ axes.T
    return lambda y: part(y) @ white


@torch.no_grad()
def _apart(candidate: Candidate, part: Any, g: Map) -> None:
    """Neighbours in z are of one cluster as often as neighbours in y are, or nearly."""
    y = candidate.draw("apart", _NEIGHBOURS)[:, : part.y_dim]
    index = part.assign(y)
    in_y, in_z = (_alike(values, index) for values in (y, g(y)))
    if in_z < in_y - _OVERLAP:
        raise Broken(
            f"of {_NEIGHBOURS} draws of the prior {in_y:.0%} are in the cluster of their nearest neighbour in y, but "
            f"{in_z:.0%} in that of their nearest neighbour in z: clusters of assign() overlap in z",
            likely="clusters that are pushed towards each other, a wrong sign",
            in_y=in_y,
            in_z=in_z,
        )


def _alike(values: Tensor, index: Tensor) -> float:
    """The share of rows that are in the cluster of their nearest neighbour."""
    distances = torch.cdist(values, values).fill_diagonal_(torch.inf)
    return float((index[distances.argmin(1)] == index).double().mean())


def _far_out(candidate: Candidate, part: Any, g: Map) -> None:
    """Posteriors get there, draws of the prior do not: g is steeper at a border there as well."""
    border, way, _ = _borders(candidate, part, "borders far out", _FURTHER)
    far = torch.linalg.vector_norm(border, dim=-1) > _FAR
    border, way = border[far], way[far]
    if len(border) < _ENOUGH // 2:
        return  # the clusters lie around 0
    steeper, _ = _compared(g, border, way, (*_BESIDE, *_FAR_BESIDE))
    about = f"at {len(border)} borders between clusters of assign() more than {_FAR:g} from 0"
    _most(steeper, f"{about}, g is steeper than on either side")


def _most(holds: Tensor, what: str) -> None:
    share = float(holds.double().mean())
    if share < 0.5:
        raise Broken(
            f"{what} at {share:.0%} only: the clusters of assign() are not those of z",
            likely="assign() cuts elsewhere than g, reads other dimensions, or g makes no clusters at all",
            share=share,
        )


def _parts(border: Tensor, pair: Tensor) -> Iterator[tuple[str, Tensor]]:
    """All borders, and those between two clusters each."""
    yield "", torch.ones(len(border), dtype=torch.bool, device=border.device)
    for low, high in sorted({(int(low), int(high)) for low, high in pair}):
        between = (pair == pair.new_tensor([low, high])).all(-1)
        if int(between.sum()) >= _ENOUGH:
            yield f" {low} and {high}", between


@torch.no_grad()
def _borders(candidate: Candidate, part: Any, name: str, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points at which assign() changes between draws of some scale, by bisection; directions; the two clusters."""
    generator = candidate.generator(name)
    ends = scale * torch.randn(2, _LINES, part.y_dim, generator=generator, dtype=torch.float64)
    low, high = ends.to(candidate.device)
    index = part.assign(low)
    crosses = (index != part.assign(high)).nonzero().flatten()
    # Each takes a singular value decomposition at thirteen places.
    crosses = crosses[: max(24, _COST // part.y_dim)]
    low, high, index = low[crosses], high[crosses], index[crosses]
    way = torch.nn.functional.normalize(high - low, dim=-1)
    for _ in range(40):
        middle = 0.5 * (low + high)
        same = (part.assign(middle) == index)[:, None]
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    pair = torch.stack([part.assign(low), part.assign(high)], -1).sort(-1).values
    return 0.5 * (low + high), way, pair


def _compared(
    g: Map, border: Tensor, way: Tensor, beside: Sequence[float], inside: Sequence[float] = ()
) -> tuple[Tensor, Tensor]:
    """Where g is steeper than at some distance on either side, and the image of the prior less dense than inside."""
    steep, density, top = _measure(g, border, way)
    steeper = torch.zeros(len(border), dtype=torch.bool, device=border.device)
    sparser = steeper.clone()
    for distance in sorted({*beside, *inside}):
        sides = [_measure(g, border + sign * distance * top, way) for sign in (1, -1)]
        if distance in beside:
            steeper |= steep > 1.01 * torch.maximum(sides[0][0], sides[1][0])
        if distance in inside:
            sparser |= density < 0.5 * (sides[0][1] + sides[1][1])  # their mean: the prior may fall across a border
    return steeper, sparser


def _measure(g: Map, y: Tensor, way: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How steep g is, by its derivative and over a short distance; the log-density of z; the steepest direction."""
    smooth, others, steepest = _stretched(jacobian(g, y).nan_to_num(0, 0, 0), way)
    with torch.no_grad():
        moved = torch.linalg.vector_norm(g(y + _STEP * way) - g(y - _STEP * way), dim=-1) / (2 * _STEP)
    steep = torch.maximum(smooth, moved)
    top = torch.where((moved > 1.5 * smooth)[:, None], way, steepest)  # a jump is not in the derivative
    return steep, -0.5 * y.square().sum(-1) - steep.clamp(min=_TINY).log() - others, top


def _stretched(matrix: Tensor, way: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each matrix the largest singular value, the sum of the logarithms of all others, and the steepest direction.

    Large ones are not decomposed: powers find the first, and the diagonal of R in J = QR the volume.
    """
    if matrix.shape[-1] <= _LARGE:
        _, values, ways = torch.linalg.svd(matrix, full_matrices=False)
        return values[:, 0], values[:, 1:].clamp(min=_TINY).log().sum(-1), ways[:, 0]
    squared, found = matrix.mT @ matrix, way.unsqueeze(-1)
    for _ in range(_POWERS):
        found = torch.nn.functional.normalize(squared @ found, dim=1)
    largest = torch.linalg.vector_norm(matrix @ found, dim=(1, 2))
    tall = matrix if matrix.shape[-2] >= matrix.shape[-1] else matrix.mT
    diagonal = torch.linalg.qr(tall, mode="r").R.diagonal(dim1=-2, dim2=-1).abs()
    volume = diagonal.clamp(min=_TINY).log().sum(-1)
    return largest, volume - largest.clamp(min=_TINY).log(), found.squeeze(-1)
