r"""Is a density that of its draws where it is too large to be integrated? Gaussians inside it say so.

For draws of p and any density r that is small wherever p is,

.. math:: E_p\Big[\frac{r(y)}{p(y)}\Big] = 1, \qquad E_p\Big[\frac{r(y)}{p(y)} f(y)\Big] = E_r[f(y)]

A Gaussian r that is fitted to draws and a little narrower than they are has tails inside those of p, so that the ratio
has a finite variance, in two dimensions as in a hundred. One r looks at one place, and the whole of p may have no
Gaussian inside: several are fitted, one to all draws and others to places where draws are, each grown as far as the
draws around it go on to look like a Gaussian. A factor in the density shows in all of them, a wrong share of a
component in the one that lies there. What they do not see is mass where no draw comes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Inside", "gaussians_inside"]

_SIGMAS = 6.0
_SLACK = 5e-3
_STARTS = 8
_GROWING = 10
_NARROWER = (1.0, 0.85, 0.7, 0.5, 0.25)
"""Factors of the fitted covariance."""
_LEAST_EFFECTIVE = 400
_MOST_OF_ONE = 0.02
"""The largest share that one draw may have in a mean."""
_HEAVIEST = 0.5
"""Tail index from which on ratios have no variance, and their mean no error that is known."""
_APART = 0.1
"""A Gaussian whose mean and deviations differ by less from those of another, in its deviations, is that one."""
_JUDGES = 8000
"""So many draws say how even the ratios are."""
_BINS = 8


class Inside(NamedTuple):
    """A Gaussian r inside a density p, and draws of p.

    Attributes:
        u: the draws in standard coordinates of r, ``(n, d)``.
        ratio: r(y) / p(y) of each, ``(n,)``.
        mean: of r.
        root: the Cholesky factor of r's covariance.
    """

    u: Tensor
    ratio: Tensor
    mean: Tensor
    root: Tensor

    def total(self) -> tuple[float, float]:
        """E[r/p], and by how much it may differ from 1."""
        return float(self.ratio.mean()), _SIGMAS * float(self.ratio.std()) / math.sqrt(len(self.ratio)) + _SLACK

    def characteristic(self, directions: Tensor) -> tuple[float, float]:
        """The largest excess of characteristic values over what is allowed, as the difference and what is allowed.

        Args:
            directions: in standard coordinates, ``(m, d)``.
        """
        waves = torch.exp(1j * (self.u @ directions.T))
        values = self.ratio[:, None] * waves
        expected = torch.exp(-0.5 * directions.square().sum(-1))
        off = (values.mean(0) - expected).abs()
        allowed = _SIGMAS * values.abs().square().mean(0).sqrt() / math.sqrt(len(self.u)) + _SLACK
        worst = int((off - allowed).nan_to_num(torch.inf).argmax())
        return float(off[worst]), float(allowed[worst])

    def share(self, directions: Tensor) -> tuple[float, float]:
        """The share of r in one of equally probable slices across a direction that is most off, and what is allowed.

        Args:
            directions: in standard coordinates, ``(m, d)``.

        Returns:
            The difference to 1/8, and how large it may be.
        """
        along = self.u @ (directions / directions.norm(dim=-1, keepdim=True)).T
        slices = (torch.special.ndtr(along) * _BINS).long().clamp(0, _BINS - 1)
        parts = self.ratio[:, None, None] * torch.nn.functional.one_hot(slices, _BINS)
        off = (parts.mean(0) - 1 / _BINS).abs()
        allowed = _SIGMAS * parts.std(0) / math.sqrt(len(self.u)) + _SLACK
        worst = int((off - allowed).nan_to_num(torch.inf).argmax())
        return float(off.flatten()[worst]), float(allowed.flatten()[worst])


def gaussians_inside(y: Tensor, log_p: Tensor, generator: torch.Generator) -> list[Inside]:
    """Gaussians inside a density: one half of its draws finds them, the other half is kept for what they say.

    Args:
        y: draws, ``(n, d)``.
        log_p: their log densities.
        generator: chooses where to look.

    Returns:
        None, one or several; none if the ratios are too uneven everywhere.
    """
    half = len(y) // 2
    fitted, log_fitted, kept, log_kept = y[:half], log_p[:half], y[half:], log_p[half:]
    whole = _spread(fitted)
    grown = [_growing(fitted, start) for start in _starts(fitted, generator)]
    found: list[Inside] = []
    for stages in [[whole] if whole else [], *grown]:
        best = _most_even(stages, fitted[:_JUDGES], log_fitted[:_JUDGES])
        if best is None or any(_is_near(best, other) for other in found):
            continue
        inside = Inside(*_ratio(kept, log_kept, *best), *best)
        if _effective(inside.ratio) >= _LEAST_EFFECTIVE:
            found.append(inside)
    return found


def _most_even(places: list[tuple[Tensor, Tensor]], y: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor] | None:
    """The mean and the Cholesky factor with the most even ratios, of places as they are and narrower."""
    options = []
    d = y.shape[1]
    for mean, covariance in places:
        root, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed):
            continue
        squares = torch.linalg.solve_triangular(root, (y - mean).T, upper=False).square().sum(0)
        log_p_and_size = log_p + root.diagonal().log().sum() + 0.5 * d * math.log(2 * math.pi)
        for factor in _NARROWER:  # as `_ratio` with the covariance times the factor
            ratio = (-0.5 / factor * squares - (log_p_and_size + 0.5 * d * math.log(factor))).exp()
            options.append((_effective(ratio), (mean, math.sqrt(factor) * root)))
    effective, best = max(options, key=lambda option: option[0], default=(0.0, None))
    return best if effective > 0 else None


def _is_near(place: tuple[Tensor, Tensor], known: Inside) -> bool:
    """Whether a mean and a Cholesky factor are nearly those of a Gaussian that is known."""
    mean, root = place
    away = torch.linalg.solve_triangular(known.root, (mean - known.mean)[:, None], upper=False).abs().max()
    wider = torch.linalg.solve_triangular(known.root, root, upper=False).norm(dim=1).log().abs().max()
    return max(float(away), float(wider)) < _APART


def _ratio(y: Tensor, log_p: Tensor, mean: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Standard coordinates, and r/p."""
    u = torch.linalg.solve_triangular(root, (y - mean).T, upper=False).T
    log_r = -0.5 * (u.square() + math.log(2 * math.pi)).sum(-1) - root.diagonal().log().sum()
    return u, (log_r - log_p).exp()


def _effective(ratio: Tensor) -> float:
    """The effective number of draws; 0 if a mean rests on a few, or would with more draws."""
    total = ratio.sum()
    if not bool(total.isfinite()) or float(total) <= 0 or float(ratio.max() / total) > _MOST_OF_ONE:
        return 0.0
    largest = ratio.topk(min(len(ratio), math.ceil(math.sqrt(len(ratio))))).values
    if not float((largest / largest[-1]).log().mean()) < _HEAVIEST:  # Hill's estimator
        return 0.0
    return float(total.square() / ratio.square().sum())


def _spread(rows: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and covariance; None if they are not finite."""
    mean, covariance = rows.mean(0), torch.atleast_2d(torch.cov(rows.T))  # type: ignore[no-untyped-call]
    if not bool(covariance.isfinite().all()):
        return None
    return mean, covariance + 1e-9 * torch.diag(covariance.diagonal() + 1e-12)


def _starts(rows: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Places to look at: where draws are densest, and any."""
    some = rows[:2000]
    radius = torch.cdist(some, some).topk(min(20, len(some)), largest=False).values[:, -1]
    anywhere = torch.randperm(len(some), generator=generator)[: _STARTS - 2]
    return list(some[torch.cat([radius.argsort()[[0, len(some) // 10]], anywhere])])


def _growing(rows: Tensor, start: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and covariance of the draws around a place, of more and more of them as long as they go on alike."""
    d = rows.shape[1]
    least = min(5 * d + 40, len(rows))
    chosen = rows[(rows - start).square().sum(-1).topk(least, largest=False).indices]
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(_GROWING):
        place = _spread(chosen)
        if place is None:
            break
        root, failed = torch.linalg.cholesky_ex(place[1])
        if int(failed):
            break
        found.append(place)
        squares = torch.linalg.solve_triangular(root, (rows - place[0]).T, upper=False).square().sum(0)
        near = squares < d + 2 * math.sqrt(2 * d)
        chosen = rows[near] if int(near.sum()) >= least else rows[squares.topk(least, largest=False).indices]
    return found
