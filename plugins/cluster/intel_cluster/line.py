"""How is a line cut in two? It is translated by a threshold, then both sides are pushed away from the origin."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_cluster.displacement import Displacement, solve
from intel_cluster.split import Split, as_parameter
from intel_core.mappings.properties import Locus

__all__ = ["LineSplit"]


class LineSplit(Split):
    r"""The line cut in two at b.

    .. math:: z = t + \mathrm{sign}(t)\, \varphi(|t|), \qquad t = y - b

    It is a homeomorphism of the line. The prior's mass left of the split is exactly :math:`\Phi(b)`. As in the paper,
    y is translated, so that z is split at 0 whatever b is.

    Source: Miao et al., appendix C.2, "Learnable proportions".

    Args:
        threshold: b, or its start value if it is learned.
        displacement: φ.
        learnable: make b a parameter.

    >>> LineSplit(0.0, Displacement(5.0, 0.5, 1e-3))(torch.tensor([[-1.0], [0.0], [4.0]]))
    tensor([[-6.],
            [ 0.],
            [14.]])
    """

    width = 1
    k = 2

    def __init__(self, threshold: float, displacement: Displacement, learnable: bool = False) -> None:
        super().__init__(displacement, learnable)
        self.b = as_parameter(threshold) if learnable else threshold

    def _threshold(self, like: Tensor, frozen: bool = False) -> Tensor | float:
        if not isinstance(self.b, Tensor):
            return self.b
        return (self.b.detach() if frozen else self.b).to(like.dtype)

    def _sides(self, y: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """±1 and the distance to the threshold; the distance has the slope ±1 even at the threshold."""
        t = y - self._threshold(y, frozen)
        side = torch.copysign(torch.ones_like(t), t.detach())
        return side, side * t

    def forward(self, y: Tensor, frozen: bool = False) -> Tensor:
        """``z = g(y)``, ``(..., 1) -> (..., 1)``."""
        side, distance = self._sides(y, frozen)
        return side * (distance + self.displacement(distance))

    def inverse(self, z: Tensor) -> Tensor:
        """``y`` with ``g(y) = z``: the root of the concave ``t + φ(t) = |z|``; differentiable."""
        side = torch.copysign(torch.ones_like(z), z.detach())

        def defect(t: Tensor) -> tuple[Tensor, Tensor]:
            return t + self.displacement(t) - z * side, 1 + self.displacement.slope(t)

        return side * solve(defect, torch.zeros_like(z)) + self._threshold(z)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """``log(1 + φ'(|y - b|))``, ``(..., 1) -> (...)``."""
        return torch.log1p(self.displacement.slope(self._sides(y)[1])).squeeze(-1)

    def assign(self, y: Tensor) -> Tensor:
        """0 left of the split, 1 right of it and on it, ``(..., 1) -> (...)``."""
        index: Tensor = (y.squeeze(-1) >= self._threshold(y)).long()
        return index

    def proportions(self) -> Tensor:
        """``(Φ(b), 1 - Φ(b))``."""
        b = self.b if isinstance(self.b, Tensor) else torch.tensor(self.b, dtype=torch.float64, device=self.device)
        # By erfc, since torch.special.ndtr loses the digits of a small share.
        return torch.erfc(torch.stack([-b, b]) * math.sqrt(0.5)) / 2

    def log_proportions(self) -> Tensor:
        """``(log Φ(b), log Φ(-b))``."""
        b = self.b if isinstance(self.b, Tensor) else torch.tensor(self.b, dtype=torch.float64, device=self.device)
        logs: Tensor = torch.special.log_ndtr(torch.stack([b, -b]))
        return logs

    def places(self) -> tuple[Locus, ...]:
        """The threshold, which separates the two sides."""
        threshold = self.b.detach() if isinstance(self.b, Tensor) else self.b
        return (Locus((0,), (float(threshold),)),)
