"""What are the derivatives of g, by autograd and by differences?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Slopes", "jacobian", "slopes"]


def jacobian(g: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """dz/dy of each row by reverse mode, ``(n, y_dim) -> (n, z_dim, y_dim)``.

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
    """Derivatives along directions by central differences, and how far they may be trusted.

    Attributes:
        value: the difference quotient at the smallest step.
        error: by how much it still changes from steps three and ten times as large, and what rounding does to it.
    """

    value: Tensor
    error: Tensor

    def disagree(self, derivative: Tensor) -> Tensor:
        """Where a derivative that somebody claims cannot be right; where the quotient has not settled, nowhere."""
        size = self.value.abs() + derivative.abs()
        return self.settled & ((self.value - derivative).abs() > 1e-3 * size + 20 * self.error)

    @property
    def settled(self) -> Tensor:
        """Where the quotient has a limit as far as can be seen."""
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
