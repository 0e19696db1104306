"""Which values has a likelihood for one decoder output, and which mass has each? All, or nodes of quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intel_conformance.outcomes import Broken, NotApplicable, Skipped
from intel_conformance.parts.likelihoods import LikelihoodCandidate

__all__ = ["Law", "laws_of", "log_density"]

_DRAWS = 4000
_LONGEST = 400_000
"""So many whole numbers are summed at most."""
_PANELS, _NODES = 400, 10
_Nodes = tuple[Tensor, Tensor, bool]
"""Values, their weights, and whether these are all that there are."""
_LEVELS = 255
"""Values of images with 256 levels are multiples of 1 / 255."""


@dataclass(frozen=True)
class Law:
    """The distribution of x for one output of the decoder.

    Attributes:
        params: the output, ``(outputs,)``.
        x: values in ascending order, or members of a finite set, ``(m, values)``.
        weight: of each in a sum or an integral over x, ``(m,)``.
        mass: of each, the density times the weight, ``(m,)``; without a fault they sum to one.
        is_discrete: whether these are all values that there are.
    """

    params: Tensor
    x: Tensor
    weight: Tensor
    mass: Tensor
    is_discrete: bool

    def cumulated(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The distribution function by mass and by draws ``(n, values)``, at some values or members."""
        if self.x.shape[-1] > 1:
            place = (drawn[:, None] == self.x).all(-1).double()
            return self.mass.cumsum(0), place.mean(0).cumsum(0)
        own = torch.searchsorted(drawn[:, 0].sort().values, self.x[:, 0].contiguous(), right=True).double() / len(drawn)
        half = 0.0 if self.is_discrete else 0.5
        return self.mass.cumsum(0) - half * self.mass, own

    def likely(self) -> tuple[Tensor, Tensor]:
        """The values that have a mass worth counting, and their weights."""
        kept = self.mass > 1e-9 * float(self.mass.max())
        return self.x[kept], self.weight[kept]

    def heavy(self) -> bool:
        """Whether a mean may depend on values that are further out than these."""
        share = self.mass[:, None].clamp_min(0) * self.x.square()
        ends = max(1, len(share) // 50)
        return not self.is_discrete and float(share[:ends].sum() + share[-ends:].sum()) > 0.01 * float(share.sum())


def laws_of(candidate: LikelihoodCandidate, *, coarse: bool = False) -> list[Law]:
    """The distributions for some outputs, for the fewest values, found once for all checks of a level.

    Args:
        candidate: the likelihood.
        coarse: whether quadrature is to have a tenth of its nodes.

    Raises:
        NotApplicable: if its values cannot be summed or integrated by the kit.
        Skipped: if there are too many of them.
    """
    name = f"laws {candidate.level} {coarse}"
    if name not in candidate.kept:
        candidate.kept[name] = _laws_of(candidate.narrow(), _PANELS // 10 if coarse else _PANELS)
    found: list[Law] = candidate.kept[name]
    return found


def _laws_of(candidate: LikelihoodCandidate, panels: int) -> list[Law]:
    params = 1.5 * candidate.params("laws", candidate.size(4, 6, 16))
    params = torch.cat([torch.zeros_like(params[:1]), params])
    drawn = torch.stack([candidate.drawn(f"law {i}", row.expand(_DRAWS, -1)) for i, row in enumerate(params)]).cpu()
    if not bool(drawn.isfinite().all()):
        raise Broken("sample gives values that are not finite", likely="a logarithm of 0, or an overflow")
    nodes = _nodes_of(candidate, drawn, panels)
    laws = []
    for row, mine in zip(params.cpu(), drawn, strict=True):
        x, weight, is_discrete = nodes(mine)
        density = log_density(candidate, row, x).exp().nan_to_num(math.inf)
        laws.append(Law(row, x, weight, density * weight, is_discrete))
    return laws


def log_density(candidate: LikelihoodCandidate, params: Tensor, x: Tensor) -> Tensor:
    """The log density of each of many x for one output."""
    module = candidate.module().requires_grad_(False)
    parts = [
        candidate.call(module, "log_prob", torch.cat([params.expand(len(part), -1), part], -1).to(candidate.device))
        for part in x.split(50_000)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(parts).cpu()


def _nodes_of(candidate: LikelihoodCandidate, drawn: Tensor, panels: int) -> Callable[[Tensor], _Nodes]:
    """A function from draws for one output to nodes, weights, and whether these are all values; of all draws' kind."""
    bounded = candidate.specs is not None and "real" not in getattr(candidate.specs[0], "supports", ("real",))
    distinct = torch.unique(drawn.flatten(0, 1), dim=0)
    whole = bool((drawn == drawn.round()).all())
    if candidate.values > 1 or (len(distinct) <= _DRAWS // 20 and not whole and not _on_levels(drawn)):
        if len(distinct) > _DRAWS // 4:
            raise NotApplicable(f"draws of {candidate.values} values that do not stand alone cannot be integrated here")
        return lambda mine: (distinct, torch.ones(len(distinct), dtype=distinct.dtype), True)
    if whole:
        lowest, highest = _hard_end(-drawn), _hard_end(drawn)
        return lambda mine: _grid(mine, None if lowest is None else -lowest, highest)
    if _on_levels(drawn):
        return lambda mine: _scaled(_grid(mine, 0, _LEVELS), 1 / _LEVELS)
    if bounded:
        return lambda mine: _on_interval(panels)
    on_part = _on_half_line if bool((drawn > 0).all()) else _on_line
    return lambda mine: on_part(mine, panels)


def _on_levels(drawn: Tensor) -> bool:
    scaled = drawn * _LEVELS
    return bool(((scaled - scaled.round()).abs() < 1e-3).all())


def _scaled(nodes: _Nodes, step: float) -> _Nodes:
    return nodes[0] * step, nodes[1], nodes[2]


def _hard_end(drawn: Tensor) -> int | None:
    """The largest value, if it is no tail: a hundredth of the draws for some output have it."""
    largest = drawn.max()
    share = (drawn == largest).double().flatten(1).mean(1).max()
    return int(largest) if float(share) > 0.01 else None


def _grid(mine: Tensor, lowest: int | None, highest: int | None) -> _Nodes:
    first, last = int(mine.min().round()), int(mine.max().round())
    more = 20 * (last - first + 10)
    low = first - more if lowest is None else lowest
    high = last + more if highest is None else highest
    if high - low > _LONGEST:
        raise Skipped(f"there are {high - low:,} values from {low} to {high}, too many to be summed")
    x = torch.arange(low, high + 1, dtype=torch.float64)[:, None]
    return x, torch.ones(len(x), dtype=torch.float64), True


def _panels(first: float, last: float, panels: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss-Legendre quadrature on panels of equal length."""
    offdiagonal = torch.arange(1, _NODES, dtype=torch.float64)
    offdiagonal = offdiagonal / torch.sqrt(4 * offdiagonal.square() - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(offdiagonal, 1) + torch.diag(offdiagonal, -1))  # Golub and Welsch
    half = 0.5 * (last - first) / panels
    centres = first + half * (1 + 2 * torch.arange(panels, dtype=torch.float64))
    return (centres[:, None] + half * nodes).flatten(), (half * 2 * vectors[0].square()).repeat(panels)


def _on_interval(panels: int) -> _Nodes:
    """From 0 to 1, where a density may be infinite at either end: x = (1 - cos t) / 2."""
    t, weight = _panels(0.0, math.pi, panels)
    return (0.5 - 0.5 * torch.cos(t))[:, None], weight * 0.5 * torch.sin(t), False


def _on_line(mine: Tensor, panels: int) -> _Nodes:
    """All real numbers, x = m + s tan(t), which takes tails of a power law to a finite interval."""
    low, middle, high = (float(mine.quantile(q)) for q in (0.25, 0.5, 0.75))
    scale = 0.5 * (high - low) or 1.0
    t, weight = _panels(-math.pi / 2, math.pi / 2, panels)
    return (middle + scale * torch.tan(t))[:, None], weight * scale / torch.cos(t).square(), False


def _on_half_line(mine: Tensor, panels: int) -> _Nodes:
    """The positive numbers, x = m tan(t)."""
    scale = float(mine.median())
    t, weight = _panels(0.0, math.pi / 2, panels)
    return (scale * torch.tan(t))[:, None], weight * scale / torch.cos(t).square(), False
