"""How sparse are some vectors? The Hoyer score with its floor and ceiling, and the loss that asks for sparsity."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from intel_core.geometry import widened

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


def hoyer(z: Tensor, scale: Tensor | None = None) -> Tensor:
    r"""The Hoyer score of each row: 1 for a single active dimension, 0 for equally active ones.

    .. math:: \frac{\sqrt{D} - \|\hat z\|_1 / \|\hat z\|_2}{\sqrt{D} - 1}, \qquad \hat z_d = z_d / scale_d

    Args:
        z: shape ``(..., D)``.
        scale: a positive number for each dimension, shape ``(D,)``; ones if not given.

    Returns:
        Shape ``(...)``, in [0, 1] up to rounding. A row of zeros is not sparse but empty; it scores 0.

    Raises:
        ValueError: if D < 2, where there is no score.

    Source: Miao et al., equation (C.3); Hurley and Rickard, 2009.

    >>> hoyer(torch.tensor([[0.0, 7.0, 0.0, 0.0], [-2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
    tensor([1., 0., 0.])
    """
    root = math.sqrt(_checked(z.shape[-1]))
    z = widened(z)
    if scale is not None:
        z = z / scale.to(z)
    size = z.abs()
    largest = size.detach().amax(-1, keepdim=True)
    empty = largest == 0
    # Divided by its largest entry, no row over- or underflows; the score does not change.
    size = torch.where(empty, 1.0, size / torch.where(empty, 1.0, largest))
    ratio = size.sum(-1) / size.square().sum(-1).sqrt()
    return (root - ratio) / (root - 1)


def hoyer_score(z: Tensor) -> float:
    r"""The sparse score of some representations: the mean Hoyer score, each dimension divided by its deviation.

    .. math:: \frac1n \sum_i Hoyer(z_i / \sigma), \qquad \sigma_d^2 = \frac1n \sum_i (z_{id} - \bar z_d)^2

    Without the division (and no centring), dimensions of different size would look sparse. A dimension that does not
    vary is left out and does not count in D: to be switched off for all data alike is no sparsity.

    Args:
        z: shape ``(n, D)``.

    Returns:
        A number in [0, 1]; 0 where fewer than two dimensions vary.

    Source: Miao et al., appendix C.3, equation (C.3).

    >>> z = torch.randn(10000, 50, generator=torch.Generator().manual_seed(0))
    >>> round(hoyer_score(z), 2), round(hoyer_score(z * torch.arange(50)), 2)
    (0.23, 0.23)
    """
    z = z.detach().double()
    if len(z) == 0:
        return 0.0
    deviation = z.std(0, correction=0)
    # Rounding in the mean of equal numbers leaves a deviation of some 1e-16 of them.
    varies = deviation > 1e-12 * z.abs().amax(0)
    if int(varies.sum()) < 2:
        return 0.0
    return float(hoyer(z[:, varies], deviation[varies]).mean())


def gaussian_floor(dims: int) -> float:
    r"""The mean Hoyer score of a standard normal: what is reached without any sparsity.

    .. math:: \frac{\sqrt D - E\|z\|_1/\|z\|_2}{\sqrt D - 1},
        \qquad E\frac{\|z\|_1}{\|z\|_2} = \frac{D\, \Gamma(D/2)}{\sqrt\pi\, \Gamma((D+1)/2)}

    since on the sphere each :math:`|u_d|` has the mean :math:`\Gamma(D/2) / (\sqrt\pi\, \Gamma((D+1)/2))`.

    Args:
        dims: D, at least 2.

    Raises:
        ValueError: if D < 2.

    >>> round(gaussian_floor(50), 4), round(gaussian_floor(128), 4)
    (0.2307, 0.22)
    """
    root = math.sqrt(_checked(dims))
    ratio = dims / math.sqrt(math.pi) * math.exp(math.lgamma(dims / 2) - math.lgamma((dims + 1) / 2))
    return (root - ratio) / (root - 1)


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
    root = math.sqrt(_checked(dims))
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


def _checked(dims: int) -> int:
    if dims < 2:
        raise ValueError(f"a Hoyer score needs at least 2 dimensions, not {dims}")
    return dims
