"""How is sparsity asked for, and how much can gates bring? The loss, and the ceiling of the Hoyer score."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from intel_core.helpers.geometry import widened
from intel_core.helpers.hoyer import gaussian_floor, hoyer, hoyer_score

__all__ = ["gaussian_floor", "hoyer", "hoyer_ceiling", "hoyer_score", "sparsity_loss"]

EPS = 1e-8
"""Mass spread over the dimensions of every vector before it is normalised, so that a vector of zeros is even."""
CEILING_VALUES = 1 << 18
"""How many normal variates the ceiling of the Hoyer score is estimated from."""
CEILING_ERRORS = 4
"""By how many standard errors that estimate is raised, to be on the safe side."""


def sparsity_loss(v: Tensor, normalisation: Literal["paper", "released"] = "released") -> Tensor:
    r"""How much less varied each row is than all rows together.

    With :math:`H(v) = -\sum_d p_d \log p_d, p = v / \|v\|_1`, over all M rows of all leading dimensions

    ============  ==============================================================================  ====================
    ``paper``     :math:`\frac1M \sum_i H(v_i) - H(\frac1M \sum_i v_i)`                             [-log D, log D)
    ``released``  :math:`\frac1M \sum_i H(v_i) - H(\frac1M \sum_i v_i / \|v_i\|_1)`                 [-log min(M, D), 0]
    ============  ==============================================================================  ====================

    The second is minus the mutual information of row and dimension, hence never positive; the first, in which large
    rows count for more in the mean, can be. Both are smallest where each row has one active dimension and all
    dimensions are equally often active. Minimise it: the paper's objective, which is maximised, adds it with a plus.

    Only the second is sure to vary the dimensions. H does not see how large a row is, but the mean in ``paper`` does: a
    few large rows can make it even while all others share one dimension, which training does find.

    A mass of 1e-8 is spread over the dimensions of each vector first. It makes a vector of zeros an even one, and value
    and gradient finite everywhere; a vector of mass 1 it changes by 1e-8 in relative terms.

    Args:
        v: vectors of numbers >= 0, shape ``(..., D)``; half precision is computed in float32.
        normalisation: see the table.

    Returns:
        A scalar, in nats; 0 for no row at all.

    Source: Miao et al., equation (7); the authors' code.

    >>> one_each = torch.eye(4, dtype=torch.float64)
    >>> round(float(sparsity_loss(one_each)), 4), round(-math.log(4), 4)
    (-1.3863, -1.3863)
    >>> round(abs(float(sparsity_loss(torch.ones(3, 4)))), 4)
    0.0
    """
    rows = widened(v).flatten(0, -2) if v.dim() > 1 else widened(v).unsqueeze(0)
    if rows.shape[0] == 0:
        return rows.sum()
    shares = _normalised(rows)
    pooled = _normalised(rows.mean(0)) if normalisation == "paper" else shares.mean(0)
    loss: Tensor = torch.special.entr(shares).sum(-1).mean() - torch.special.entr(pooled).sum()
    return loss


def _normalised(v: Tensor) -> Tensor:
    """Shares of the whole, positive and of sum 1, ``(..., D) -> (..., D)``."""
    return (v + EPS / v.shape[-1]) / (v.sum(-1, keepdim=True) + EPS)


@functools.cache
def hoyer_ceiling(dims: int, floor: float) -> float:
    r"""A bound of the mean Hoyer score of ``y ⊙ gates`` under N(0, I), whatever the gates in [floor, 1].

    .. math:: E_y \max_{m} Hoyer(y \odot a_m(y)), \qquad a_m = 1 \text{ at the } m \text{ largest } |y_d|,
        \text{ else } floor

    ``‖·‖_2 / ‖·‖_1`` is quasi-convex on vectors of numbers >= 0, so that it is largest in a corner of the box of
    gates; and a gate at `floor` before a larger entry than one with gate 1 is better exchanged. The mean is estimated
    from fixed samples and raised by four standard errors; with `floor` 0 it is 1.

    The score is that of the rows as they are. Dividing by the standard deviations cancels where the gates treat all
    dimensions alike.

    Args:
        dims: D, at least 2.
        floor: the smallest gate, in [0, 1].

    Raises:
        ValueError: if D < 2.

    >>> round(hoyer_ceiling(50, 0.2), 2), round(hoyer_ceiling(128, 0.2), 2), hoyer_ceiling(50, 0.0)
    (0.62, 0.6, 1.0)
    """
    if dims < 2:
        raise ValueError(f"a Hoyer score needs at least 2 dimensions, not {dims}")
    root = math.sqrt(dims)
    if floor == 0:
        return 1.0
    rows = max(256, CEILING_VALUES // dims)
    generator = torch.Generator("cpu").manual_seed(0)
    y = torch.randn(rows, dims, dtype=torch.float64, device="cpu", generator=generator)
    size = y.abs().sort(-1, descending=True).values
    kept, kept_squared = size.cumsum(-1), size.square().cumsum(-1)
    total = kept + floor * (kept[:, -1:] - kept)
    squared = kept_squared + floor**2 * (kept_squared[:, -1:] - kept_squared)
    best = (root - (total / squared.sqrt()).amin(-1)) / (root - 1)
    error = float(best.std()) / math.sqrt(rows)
    return min(1.0, float(best.mean()) + CEILING_ERRORS * error)
