"""How far is a point pushed? The displacement as a function of the distance to the boundary, and how to invert it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Displacement", "solve"]

NEWTON_STEPS = 30


@dataclass(frozen=True)
class Displacement:
    r"""The paper's :math:`\varphi(t) = c_1 t^{c_2}`, changed near t = 0 so that its slope is finite.

    ========  =================================================================================  ==================
    form      :math:`\varphi(t)` for t >= 0                                                      largest slope
    ========  =================================================================================  ==================
    exact     :math:`c_1 t \max(t, \varepsilon)^{c_2-1}`: the paper's above ε, linear below      c1 ε^(c2-1)
    smooth    :math:`c_1 [(t + \varepsilon)^{c_2} - \varepsilon^{c_2}]`: C¹, but c1 ε^c2 lower   c1 c2 ε^(c2-1)
    ========  =================================================================================  ==================

    Both are concave, strictly increasing, and 0 at 0, which is all that is needed for g to be injective.

    Source: Miao et al., equations (6), (C.2).

    Attributes:
        c1: displacement at distance 1.
        c2: exponent, in (0, 1].
        eps: the distance ε below which φ is changed.
        form: ``"exact"`` or ``"smooth"``.

    >>> phi = Displacement(c1=5.0, c2=0.5, eps=1e-3)
    >>> [round(float(d), 4) for d in phi(torch.tensor([0.0, 0.04, 1.0]))]
    [0.0, 1.0, 5.0]
    """

    c1: float
    c2: float
    eps: float
    form: Literal["exact", "smooth"] = "exact"

    def __call__(self, t: Tensor) -> Tensor:
        """φ(t), elementwise, for t >= 0 of any shape."""
        return self.unit(t) * self.c1

    def unit(self, t: Tensor) -> Tensor:
        """φ(t) / c1, for callers that can multiply by c1 more cheaply."""
        if self.form == "exact":
            # A product instead of a choice between two branches, so that no masked infinity can become NaN.
            return torch.mul(t, t.clamp(min=self.eps).pow(self.c2 - 1))
        # expm1 and log1p keep all digits where t is far below eps.
        loss: float = self.eps**self.c2
        return torch.expm1(torch.log1p(t / self.eps) * self.c2) * loss

    def slope(self, t: Tensor) -> Tensor:
        """φ'(t), elementwise; at t = ε in the exact form, the slope from the right, which autograd gives as well."""
        if self.form == "exact":
            secant = t.clamp(min=self.eps).pow(self.c2 - 1) * self.c1
            return torch.where(t < self.eps, secant, secant * self.c2)
        return (t + self.eps).pow(self.c2 - 1) * (self.c1 * self.c2)

    @property
    def slope_cap(self) -> float:
        """The largest slope, which is that at 0; 1256 for the defaults.

        >>> round(Displacement(5.0, 0.2, 1e-3).slope_cap)
        1256
        """
        steepest: float = self.c1 * self.eps ** (self.c2 - 1)
        return steepest if self.form == "exact" else steepest * self.c2


def solve(defect: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor) -> Tensor:
    r"""The root of an increasing concave function, for each element.

    The tangent of a concave function lies above it, so Newton's method, started left of the root, approaches it without
    ever passing it; no bracket is needed. While :math:`\varphi` dominates, a step from far below the root
    :math:`t^*` multiplies t by about :math:`1 + \log(t^*/t)`, whatever the exponent, so that a few steps cross any
    range of magnitudes before convergence becomes quadratic. For random exponents down to 1e-8, ε down to 1e-12 and c1
    up to 1e6, at most sixteen steps were needed; `NEWTON_STEPS` leaves a margin.

    Args:
        defect: gives the function's value and slope at t.
        start: points at which the function is <= 0.

    Returns:
        The roots, differentiable in whatever `defect` depends on: the last Newton step holds the slope fixed, which
        gives the derivative of the implicit function theorem.

    >>> solve(lambda t: (t - 2.0, torch.ones_like(t)), torch.zeros(1))
    tensor([2.])
    """
    t = start
    with torch.no_grad():
        for _ in range(NEWTON_STEPS):
            value, slope = defect(t)
            t = (t - value / slope).clamp(min=0)
    value, slope = defect(t)
    return t - value / slope.detach()
