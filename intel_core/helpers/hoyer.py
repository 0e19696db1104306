"""How sparse are some vectors? The Hoyer score, and what a Gaussian scores without any sparsity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_core.helpers.geometry import widened

__all__ = ["gaussian_floor", "hoyer", "hoyer_of_rows", "hoyer_score", "varying"]


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

    Values are divided by the deviation but not centred: without the division, dimensions of different size would look
    sparse. A dimension that does not vary is left out and does not count in D, because being off for all data is not
    sparsity.

    Args:
        z: shape ``(n, D)``.

    Returns:
        A number in [0, 1]; 0 where fewer than two dimensions vary.

    Source: Miao et al., appendix C.3, equation (C.3).

    >>> z = torch.randn(10000, 50, generator=torch.Generator().manual_seed(0))
    >>> round(hoyer_score(z), 2), round(hoyer_score(z * torch.arange(50)), 2)
    (0.23, 0.23)
    """
    scores = hoyer_of_rows(z)
    return float(scores.mean()) if len(scores) else 0.0


def hoyer_of_rows(z: Tensor) -> Tensor:
    r"""The Hoyer score of each row, each dimension divided by its deviation over all rows; see `hoyer_score`.

    Args:
        z: shape ``(n, D)``.

    Returns:
        float64 scores ``(n,)``, of which `hoyer_score` is the mean; zeros where fewer than two dimensions vary.

    >>> hoyer_of_rows(torch.tensor([[1.0, 0.0, 3.0], [-1.0, 0.0, 3.0], [0.0, 5.0, 3.0]])).tolist()
    [1.0, 1.0, 1.0]
    """
    z = z.detach().double()
    varies = varying(z)
    if int(varies.sum()) < 2:
        return torch.zeros(len(z), dtype=torch.float64, device=z.device)
    return hoyer(z[:, varies], z[:, varies].std(0, correction=0))


def varying(z: Tensor) -> Tensor:
    """Which dimensions of ``(n, D)`` have different values in different rows, ``(D,)``; none if there are no rows.

    >>> varying(torch.tensor([[1.0, 0.1], [2.0, 0.1]])).tolist()
    [True, False]
    """
    if len(z) == 0:
        return torch.zeros(z.shape[1], dtype=torch.bool, device=z.device)
    z = z.detach().double()
    # Rounding in the mean of equal numbers leaves a relative deviation of some 1e-16.
    return z.std(0, correction=0) > 1e-12 * z.abs().amax(0)


def gaussian_floor(dims: int) -> float:
    r"""The mean Hoyer score of a standard normal, the score of vectors that are not sparse.

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


def _checked(dims: int) -> int:
    if dims < 2:
        raise ValueError(f"a Hoyer score needs at least 2 dimensions, not {dims}")
    return dims
