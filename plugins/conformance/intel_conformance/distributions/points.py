"""Where is a density, and how much of it? Points with weights, by adaptive quadrature or by importance sampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Points", "importance", "quadrature"]

Density = Callable[[Tensor], Tensor]
"""Log densities of rows."""

_ORDERS = (4, 6)
_MOST_POINTS = 500_000
_CENTRES = 400
_NEIGHBOURS = 40


class Points(NamedTuple):
    """Rows y, and the mass that the density has around each of them.

    Attributes:
        y: ``(n, y_dim)``.
        mass: ``(n,)``; their sum is the mass of the density.
        error: standard error of that sum, or a bound where it is an integral.
        share: by importance sampling, the effective share of the draws; 1 for integrals.
        edges: in one dimension, places between the points where the distribution function is exact.
    """

    y: Tensor
    mass: Tensor
    error: float
    share: float
    edges: Tensor


def quadrature(log_density: Density, draws: Tensor, *, atoms: bool = False) -> Points:
    """Cells that are halved until two Gauss-Legendre rules agree, in one or two dimensions.

    Args:
        log_density: of rows.
        draws: rows that say where to begin.
        atoms: whether each dimension has an atom at 0 of its own, the density being against Lebesgue and that atom.
    """
    d = draws.shape[1]
    found: list[tuple[Tensor, Tensor]] = []
    edges = torch.zeros(0, dtype=draws.dtype)
    for active in itertools.product((True, False), repeat=d) if atoms else [(True,) * d]:
        axes = [axis for axis in range(d) if active[axis]]
        if not axes:
            origin = torch.zeros(1, d, dtype=draws.dtype)
            found.append((origin, log_density(origin).exp()))
            continue
        there = draws[(draws[:, axes] != 0).all(-1)][:, axes] if atoms else draws
        if len(there) < 50:
            there = torch.randn(200, len(axes), generator=torch.Generator().manual_seed(0), dtype=draws.dtype)

        def density(rows: Tensor, axes: list[int] = axes) -> Tensor:
            y = torch.zeros(len(rows), d, dtype=rows.dtype)
            y[:, axes] = rows
            return log_density(y).exp()

        rows, mass, edges = _adaptive(density, there)
        y = torch.zeros(len(rows), d, dtype=rows.dtype)
        y[:, axes] = rows
        found.append((y, mass))
    y, mass = (torch.cat(part) for part in zip(*found, strict=True))
    return Points(y, mass, 1e-3, 1.0, edges)


def _adaptive(density: Density, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes, their masses, and in one dimension the edges of the cells."""
    d = draws.shape[1]
    cuts = [_cuts(draws[:, axis], 96 if d == 1 else 20) for axis in range(d)]
    lower = torch.cartesian_prod(*(c[:-1] for c in cuts)).reshape(-1, d)
    upper = torch.cartesian_prod(*(c[1:] for c in cuts)).reshape(-1, d)
    rules = [_rule(order, d) for order in _ORDERS]
    kept: list[tuple[Tensor, Tensor]] = []
    ends: list[Tensor] = []
    used = 0
    tolerance = 2e-4 / len(lower)
    for depth in range(24):
        size = upper - lower
        volume = size.prod(-1, keepdim=True)
        sums = []
        for nodes, weights in rules:
            y = lower[:, None] + size[:, None] * nodes
            mass = density(y.reshape(-1, d)).reshape(len(lower), -1) * weights * volume
            sums.append(mass.sum(-1))
            used += mass.numel()
        done = (sums[0] - sums[1]).abs() <= tolerance / 2 ** min(depth, 4)
        if used > _MOST_POINTS:
            done = torch.ones_like(done)
        kept.append((y[done].reshape(-1, d), mass[done].reshape(-1)))
        ends.append(upper[done].reshape(-1))
        lower, upper = lower[~done], upper[~done]
        if not len(lower):
            break
        half = (lower + upper) / 2
        for axis in range(d):
            low, high, middle = lower.clone(), upper.clone(), half[:, axis]
            low[:, axis], high[:, axis] = middle, middle
            lower, upper = torch.cat([lower, low]), torch.cat([high, upper])
            half = torch.cat([half, half])
    else:
        kept.append((y[~done].reshape(-1, d), mass[~done].reshape(-1)))
    rows, masses = (torch.cat(part) for part in zip(*kept, strict=True))
    return rows, masses, torch.cat(ends).unique() if d == 1 else torch.zeros(0, dtype=draws.dtype)  # type: ignore[no-untyped-call]


def _cuts(values: Tensor, n: int) -> Tensor:
    """Quantiles, and three widening steps beyond them on both sides."""
    inside = torch.quantile(values[:100_000], torch.linspace(0, 1, n, dtype=values.dtype))
    width = (inside[-1] - inside[0]).clamp_min(1e-6)
    steps = torch.tensor([0.05, 0.25, 1.0, 4.0], dtype=values.dtype) * width
    return torch.cat([inside[0] - steps.flip(0), inside, inside[-1] + steps]).unique()  # type: ignore[no-any-return, no-untyped-call]


def _rule(order: int, d: int) -> tuple[Tensor, Tensor]:
    """Nodes in the unit cube, ``(order^d, d)``, and their weights."""
    nodes, weights = (torch.from_numpy(np.array(part)) / 2 for part in np.polynomial.legendre.leggauss(order))
    grid = torch.cartesian_prod(*[nodes + 0.5] * d).reshape(-1, d)
    return grid, torch.cartesian_prod(*[weights] * d).reshape(-1, d).prod(-1)


def importance(log_density: Density, draws: Tensor, n: int, generator: torch.Generator) -> Points:
    """Draws of Gaussians around draws, as wide as their neighbours are apart, weighted by the density."""
    d = draws.shape[1]
    centres = draws[:_CENTRES]
    nearest = torch.cdist(centres, draws).topk(min(_NEIGHBOURS, len(draws)), largest=False).indices
    local = draws[nearest].std(1)
    floor = 1e-6 * draws.std(0) + 1e-12
    # Most of them as wide as the neighbourhood, or wider in many dimensions, where neighbours lie inwards; some wider.
    factors = torch.tensor([1.1, 1.1, 1.1, 2.0], dtype=draws.dtype)
    which = torch.randint(0, len(centres), (n,), generator=generator)
    wide = torch.arange(len(centres)) % 4
    stds = (local + floor) * factors[wide][:, None]
    y = centres[which] + stds[which] * torch.randn(n, d, generator=generator, dtype=draws.dtype)
    constants = stds.log().sum(-1) + 0.5 * d * math.log(2 * math.pi) + math.log(len(centres))
    parts = []
    for rows in y.split(1000):  # type: ignore[no-untyped-call]
        squares = ((rows[:, None] - centres) / stds).square().sum(-1)
        parts.append(torch.logsumexp(-0.5 * squares - constants, -1))
    ratio = (log_density(y) - torch.cat(parts)).exp()
    share = float(ratio.sum() ** 2 / ratio.square().sum() / n)
    return Points(y, ratio / n, float(ratio.std() / math.sqrt(n)), share, torch.zeros(0, dtype=draws.dtype))
