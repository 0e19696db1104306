"""Which correct mappings are easily taken for faulty? Steep and contracting ones, which no check may refuse."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from intel_core.helpers.geometry import project_to_sphere
from intel_core.mappings.properties import Hoelder, Locus, Properties

__all__ = ["STEEP", "Cusp", "Flow", "SteepCircle", "Step"]


class Cusp(nn.Module):
    """``y + 5 |d|^0.2 r``, with d the distance to a random hyperplane and r its normal.

    The power is that of ``sqrt(d² + 1e-24)``, so that its gradient is finite on the hyperplane.
    """

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.normal: Tensor
        self.register_buffer("normal", nn.functional.normalize(torch.randn(y_dim), dim=0))
        self.register_buffer("offset", torch.randn(()))
        self.offset: Tensor

    def forward(self, y: Tensor) -> Tensor:
        """See the class."""
        distance = y @ self.normal - self.offset
        return y + 5 * (distance.square() + 1e-24).pow(0.1).unsqueeze(-1) * self.normal


class SteepCircle(nn.Module):
    """``y / (‖y‖ + 1e-7)``: a ball of radius 1e-7 becomes most of the disc, everything else lies near the circle."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    @property
    def properties(self) -> Properties:
        """Bounded by 1, with slopes of up to 1e7."""
        dims = tuple(range(self.y_dim))
        return Properties(
            injective=True, norm_bound=1.0, hoelder=Hoelder(1e7), centres=(Locus(dims, (0.0,) * self.y_dim),)
        )

    def forward(self, y: Tensor) -> Tensor:
        """See the class."""
        return project_to_sphere(y, 1e-7, "paper")


class Step(nn.Module):
    """``tanh(1e6 y)``: it looks like a step, but float64 resolves its slope of a million."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        """See the class."""
        return torch.tanh(1e6 * y)


class Flow(nn.Module):
    """Six affine coupling blocks with random weights: smooth, injective, with large and small slopes."""

    def __init__(self, y_dim: int, blocks: int = 6) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.kept = y_dim // 2
        width = y_dim - self.kept
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(self.kept, 16), nn.Tanh(), nn.Linear(16, 2 * width)) for _ in range(blocks)
        )

    @property
    def properties(self) -> Properties:
        """Injective, as each block is."""
        return Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        """In turns, one half of the dimensions is scaled and moved depending on the other half."""
        return self._through(y)[0]

    def _through(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """z, and the sum of the blocks' log-scales."""
        total = torch.zeros_like(y[..., 0])
        for net in self.nets:
            kept, moved = y[..., : self.kept], y[..., self.kept :]
            log_scale, shift = net(kept).chunk(2, -1)
            total = total + torch.tanh(log_scale).sum(-1)
            moved = moved * torch.exp(torch.tanh(log_scale)) + shift
            y = torch.cat([moved, kept], -1) if moved.shape == kept.shape else torch.cat([kept, moved.flip(-1)], -1)
        return y, total

    def inverse(self, z: Tensor) -> Tensor:
        """Y with ``g(y) = z``."""
        for net in reversed(self.nets):
            swapped = self.kept * 2 == self.y_dim
            kept = z[..., self.kept :] if swapped else z[..., : self.kept]
            moved = z[..., : self.kept] if swapped else z[..., self.kept :].flip(-1)
            log_scale, shift = net(kept).chunk(2, -1)
            z = torch.cat([kept, (moved - shift) * torch.exp(-torch.tanh(log_scale))], -1)
        return z

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        """The sum of the blocks' log-scales."""
        return self._through(y)[1]


STEEP: dict[str, Callable[[int], nn.Module]] = {
    "y + 5 d^0.2 r": Cusp,
    "y/(‖y‖ + 1e-7)": SteepCircle,
    "tanh(1e6 y)": Step,
    "6-block flow": Flow,
}
"""By name; each takes two dimensions or more."""
