"""Did a hierarchy form? Variance, dead units, dependence and classes, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from intel_core.helpers.labels import as_classes

__all__ = ["class_share", "describe_levels", "evenly_spaced", "shares_of_variance"]

PAIRED_ROWS = 128


def describe_levels(levels: Sequence[Tensor], labels: Tensor | None) -> dict[str, Any]:
    """Numbers that can be written as JSON; a list has one entry per level, from the top.

    Args:
        levels: z of each level, shape ``(n, size)`` each.
        labels: class of each row, shape ``(n,)``. Labels that cannot be classes (not integers, several per row,
            more than 1000 different ones) are ignored.

    Returns:
        ``level_sizes``; if there are rows also ``level_variance`` (of z, mean over dimensions), ``level_zeros`` (share
        of entries that are exactly 0), ``level_dead`` (share of dimensions that are 0 in every row); with labels
        also ``level_class_share``, see `class_share`.

    >>> z = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> report = describe_levels([z], torch.tensor([7, 3]))
    >>> report["level_variance"], report["level_zeros"], report["level_dead"], report["level_class_share"]
    ([0.5], [0.75], [0.5], [0.5])
    """
    n = len(levels[0])
    report: dict[str, Any] = {"level_sizes": [z.shape[1] for z in levels]}
    if n == 0:
        return report
    parts = [z.detach().cpu().double() for z in levels]
    report["level_variance"] = [float(_variance(z).mean()) for z in parts]
    report["level_zeros"] = [float((z == 0).double().mean()) for z in parts]
    report["level_dead"] = [float((z == 0).all(0).double().mean()) for z in parts]
    known = as_classes(labels, n)
    if known is not None:
        report["level_class_share"] = [class_share(z, known[1]) for z in parts]
    return report


def _centred(z: Tensor) -> Tensor:
    """Subtract the mean over rows; a dimension that does not vary becomes exactly 0, without rounding errors."""
    z = z - z[:1]
    return z - z.mean(0)


def _variance(z: Tensor) -> Tensor:
    """Of each dimension, ``(n, d) -> (d,)``."""
    return _centred(z).square().mean(0)


def class_share(z: Tensor, index: Tensor) -> float:
    r"""The share :math:`\eta^2` of the variance that is between classes, mean over dimensions.

    .. math:: \eta^2 = \sum_c n_c (\bar z_c - \bar z)^2 \Big/ \sum_n (z_n - \bar z)^2

    It is 1 if each class is a single point, and 0 if all classes have the same mean or if a dimension does not vary. If
    K classes have no relation to z, it is about (K - 1) / (n - 1).

    Args:
        z: shape ``(n, d)``, float64.
        index: class of each row, shape ``(n,)``, integers from 0.

    >>> z = torch.tensor([[0.0], [2.0], [4.0], [6.0]], dtype=torch.float64)
    >>> class_share(z, torch.tensor([0, 0, 1, 1]))
    0.8
    """
    z = _centred(z)
    counts = torch.bincount(index).double()
    sums = torch.zeros(len(counts), z.shape[1], dtype=z.dtype).index_add_(0, index, z)
    between = (sums.square() / counts.clamp(min=1).unsqueeze(1)).sum(0)
    total = z.square().sum(0)
    return float(torch.where(total > 0, between / torch.where(total > 0, total, 1.0), 0.0).mean())


def evenly_spaced(n: int, most: int = PAIRED_ROWS) -> Tensor:
    """Numbers of at most `most` of n rows, evenly spaced from the first; they are not drawn at random.

    >>> evenly_spaced(10, most=4).tolist()
    [0, 2, 5, 7]
    """
    kept = min(n, most)
    return torch.arange(kept, device="cpu") * n // kept


def shares_of_variance(grid: Tensor) -> tuple[float, float]:
    r"""Analysis of variance of f(a, b) on a grid: the shares of its variance that a and b explain by themselves.

    .. math:: S_a = \frac{Var_a\, E_b f(a, b)}{Var_{a,b} f(a, b)}, \qquad S_b = \frac{Var_b\, E_a f}{Var_{a,b} f}

    Variances are summed over the dimensions of f. :math:`1 - S_a - S_b \ge 0` is the share of their interaction.

    Args:
        grid: ``f(a_j, b_k)``, shape ``(m, m, d)``.

    Returns:
        S_a and S_b; (0, 0) if f does not vary.

    Source: first-order indices of Sobol', "Sensitivity estimates for nonlinear mathematical models", 1993.

    >>> a, b = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-1.0, 1.0]])
    >>> shares_of_variance((3 * a + 4 * b).unsqueeze(-1))
    (0.36, 0.64)
    >>> shares_of_variance((a * b).unsqueeze(-1))
    (0.0, 0.0)
    """
    grid = grid.detach().cpu().double()
    grid = grid - grid[:1, :1]
    total = float(_variance(grid.flatten(0, 1)).sum())
    if not total > 0:
        return 0.0, 0.0
    return float(_variance(grid.mean(1)).sum()) / total, float(_variance(grid.mean(0)).sum()) / total
