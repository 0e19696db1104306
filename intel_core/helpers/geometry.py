"""Which geometric functions do mappings share? Their values and gradients are finite everywhere."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["forgets_radius", "project_to_sphere", "widened"]


def widened(y: Tensor) -> Tensor:
    """`y`, in float32 if it is of half precision, whose few digits are not enough for a steep map.

    >>> widened(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return y.float() if y.dtype in (torch.float16, torch.bfloat16) else y


_THICKEST = 1e-5
"""A shell of this thickness, and thinner ones, is a sphere for a decoder in float32."""


def forgets_radius(eps: float, form: Literal["paper", "smooth"]) -> bool:
    """Whether `project_to_sphere` leaves nothing of the radius: how far inside of the sphere it puts a row of length 1.

    >>> forgets_radius(1e-3, "smooth"), forgets_radius(1e-3, "paper")
    (True, False)
    """
    return (eps if form == "paper" else eps**2 / 2) <= _THICKEST


def project_to_sphere(y: Tensor, eps: float, form: Literal["paper", "smooth"] = "paper") -> Tensor:
    r"""The orthogonal projection of each row to the unit sphere, made continuous at the origin.

    ==========  =============================================  ======================================
    form        value                                          slope at the origin, the largest there is
    ==========  =============================================  ======================================
    ``paper``   :math:`y / (\|y\| + \varepsilon)`              1/ε, with a kink
    ``smooth``  :math:`y / \sqrt{\|y\|^2 + \varepsilon^2}`     1/ε, infinitely differentiable
    ==========  =============================================  ======================================

    Both are injective, onto the open unit ball. Nothing over- or underflows between 1e-38 and 1e38 in float32,
    since each row is divided by its largest entry first; the gradient at the origin itself is I/ε.

    Args:
        y: shape ``(..., d)``.
        eps: ε > 0.
        form: see the table.

    Returns:
        Shape ``(..., d)``.

    Source: Miao et al., section 6.1.

    >>> project_to_sphere(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), eps=1e-7)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    # The scale cancels, so it need not be differentiated.
    scale = y.detach().abs().amax(-1, keepdim=True).clamp(min=eps)
    y = y / scale
    if form == "paper":
        length: Tensor = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        return y / (length + eps / scale)
    return y * torch.rsqrt(y.square().sum(-1, keepdim=True) + (eps / scale).square())
