"""What are the derivatives of g, by autograd and by finite differences?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Slopes", "jacobian", "slopes"]


def jacobian(g: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """The Jacobian dz/dy of each row, by autograd; ``(n, y_dim) -> (n, z_dim, y_dim)``.

    >>> jacobian(torch.sin, torch.zeros(1, 2)).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    y = y.detach().clone().requires_grad_()
    z = g(y)
    rows = []
    for i in range(z.shape[-1]):
        found = None
        if z.requires_grad:
            (found,) = torch.autograd.grad(z[..., i].sum(), y, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(y) if found is None else found)
    return torch.stack(rows, -2)


class Slopes(NamedTuple):
    """Directional derivatives by central differences, with an estimate of their error.

    Attributes:
        value: the difference quotient at the smallest step.
        error: its change from steps that are three and ten times as large, plus the error of rounding.
    """

    value: Tensor
    error: Tensor

    def disagree(self, derivative: Tensor) -> Tensor:
        """Where a claimed derivative is wrong; False where the difference quotient has not converged."""
        size = self.value.abs() + derivative.abs()
        return self.settled & ((self.value - derivative).abs() > 1e-3 * size + 20 * self.error)

    @property
    def settled(self) -> Tensor:
        """Where the difference quotient has converged."""
        return self.error < 1e-2 * self.value.abs() + 1e-9


def slopes(f: Callable[[float], Tensor]) -> Slopes:
    """The derivative of f at 0 from central differences with steps of 1e-5, 3e-6 and 1e-6, in float64.

    >>> round(float(slopes(lambda t: torch.tensor([t**2 + 3 * t], dtype=torch.float64)).value), 6)
    3.0
    """
    wide = [(f(step) - f(-step)) / (2 * step) for step in (1e-5, 3e-6)]
    ends = f(1e-6), f(-1e-6)
    narrow = (ends[0] - ends[1]) / 2e-6
    rounding = 8 * torch.finfo(torch.float64).eps * (ends[0].abs() + ends[1].abs()) / 2e-6
    changes = torch.maximum((wide[0] - narrow).abs(), (wide[1] - narrow).abs())
    return Slopes(narrow, changes + rounding)
