"""How is sparsity rewarded and measured, and how much can gates reach? The loss, scores, and a bound of the score."""

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
"""Mass spread over the dimensions of each vector before it is normalised, so that a vector of zeros counts as even."""
CEILING_VALUES = 1 << 18
"""How many normal variates `hoyer_ceiling` is estimated from."""
CEILING_ERRORS = 4
"""By how many standard errors that estimate is raised, so that it is a bound almost surely."""


def sparsity_loss(v: Tensor, normalisation: Literal["paper", "released"] = "released") -> Tensor:
    r"""The mean entropy of rows minus the entropy of their mean: how much less spread each row is than all together.

    With :math:`H(v) = -\sum_d p_d \log p_d, p = v / \|v\|_1`, over the M rows of all leading dimensions, it is

    ============  ==============================================================================  ====================
    ``paper``     :math:`\frac1M \sum_i H(v_i) - H(\frac1M \sum_i v_i)`                             [-log D, log D)
    ``released``  :math:`\frac1M \sum_i H(v_i) - H(\frac1M \sum_i v_i / \|v_i\|_1)`                 [-log min(M, D), 0]
    ============  ==============================================================================  ====================

    ``released`` is minus the mutual information of row and dimension, hence never positive; ``paper``, where large rows
    have more weight in the mean, can be positive. Both are smallest if each row has one active dimension and all
    dimensions are equally often active. The loss is to be minimised, although the paper adds it to the ELBO, which is
    maximised.

    Only ``released`` makes sure that rows use different dimensions. H does not depend on the size of a row, but the
    mean in ``paper`` does: a few large rows can make it even while all others use the same dimension, and training
    finds such solutions.

    A mass of 1e-8 is first spread over the dimensions of each vector. It makes a vector of zeros an even one, and value
    and gradient finite everywhere; it changes a vector of mass 1 by 1e-8 in relative terms.

    Args:
        v: vectors of numbers >= 0, shape ``(..., D)``; half precision is computed in float32.
        normalisation: see the table.

    Returns:
        A scalar in nats; 0 if there are no rows.

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
    """Each vector divided by its sum, after the mass `EPS` was spread over it, ``(..., D) -> (..., D)``."""
    return (v + EPS / v.shape[-1]) / (v.sum(-1, keepdim=True) + EPS)


@functools.cache
def hoyer_ceiling(dims: int, floor: float) -> float:
    r"""An upper bound of the mean Hoyer score of ``y ⊙ gates`` with y ~ N(0, I), for any gates in [floor, 1].

    .. math:: E_y \max_{m} Hoyer(y \odot a_m(y)), \qquad a_m = 1 \text{ at the } m \text{ largest } |y_d|,
        \text{ else } floor

    ``‖·‖_2 / ‖·‖_1`` is quasi-convex on vectors of numbers >= 0, so that it is largest in a corner of the box of gates,
    where each gate is 1 or `floor`. If the gate of a larger entry is `floor` and that of a smaller one 1, exchanging
    them raises the score. The mean is estimated from fixed samples and raised by four standard errors; it is 1 if
    `floor` is 0.

    Rows are scored as they are; dividing by standard deviations changes nothing if gates treat all dimensions alike.

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
