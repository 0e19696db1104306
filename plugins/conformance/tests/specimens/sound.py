"""Correct mappings: ordinary ones, such as a plugin's author might write, and unusual ones.

No code here could differ from process to process, so that no check of them starts another one.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intel_core.mappings.properties import Properties


class Plain:
    """No module: an object with two numbers and a call."""

    def __init__(self, y_dim: int) -> None:
        self.y_dim, self.z_dim = y_dim, 2 * y_dim

    def __call__(self, y: Tensor) -> Tensor:
        return torch.cat([y.sin(), y.cos()], -1)


class Residual(nn.Module):
    """A last layer of zeros, as is usual for residual blocks."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.net = nn.Sequential(nn.Linear(y_dim, 16), nn.ReLU(), nn.Linear(16, y_dim))
        nn.init.zeros_(self.net[2].weight)

    def forward(self, y: Tensor) -> Tensor:
        return y + self.net(y)


class Simplex(nn.Module):
    """Onto the probability simplex."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = y_dim, y_dim + 1

    def forward(self, y: Tensor) -> Tensor:
        return torch.softmax(torch.cat([y, torch.zeros_like(y[..., :1])], -1), -1)


class Normed(nn.Module):
    """Layer normalisation, which is over the last dimension and so allowed."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.norm = nn.LayerNorm(y_dim)

    def forward(self, y: Tensor) -> Tensor:
        return self.norm(y)


class Sorted(nn.Module):
    """Sorts each row: continuous with kinks everywhere, constant volume."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return y.sort(-1).values


class Rotation(nn.Module):
    """A learned rotation by the matrix exponential."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.generator = nn.Parameter(torch.randn(y_dim, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y @ torch.linalg.matrix_exp(self.generator - self.generator.T)


class Moebius(nn.Module):
    """A band with a half twist: the plane's direction goes round it, squared, and the radius across."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = 2, 3

    def forward(self, y: Tensor) -> Tensor:
        a, b = y[..., 0], y[..., 1]
        r = torch.sqrt(a * a + b * b + 1e-6)
        c, s = a / r, b / r
        double = torch.stack([c * c - s * s, 2 * c * s], -1)
        across = 0.3 * torch.tanh(r)
        ring = (1 + across * c).unsqueeze(-1) * double
        return torch.cat([ring, (across * s).unsqueeze(-1)], -1)


# --- unusual ones, which are as right ------------------------------------------------------------------------------


class Projected(nn.Module):
    """On the ray along (1, …, 1) z is 0 but for rounding, in every coordinate."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return y - y.mean(-1, keepdim=True)


class Saturated(nn.Module):
    """Far out z rounds to the edge of its range, from where its inverse is infinite."""

    properties = Properties(injective=True, norm_bound=None)

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return torch.sigmoid(6 * y)

    def inverse(self, z: Tensor) -> Tensor:
        return torch.logit(z) / 6

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return (math.log(6) + nn.functional.logsigmoid(6 * y) + nn.functional.logsigmoid(-6 * y)).sum(-1)


class SoftHalves(nn.Module):
    """Two clusters without a steep place, their border learned, and a strength."""

    n_clusters = 2

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.border = nn.Parameter(torch.zeros(()))
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)

    def forward(self, y: Tensor) -> Tensor:
        push = 4 * self.strength * torch.tanh(2 * (y[..., :1] - self.border))
        return torch.cat([y[..., :1] + push, y[..., 1:]], -1)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > self.border).long()

    def proportions(self) -> Tensor:
        left = torch.special.ndtr(self.border)
        return torch.stack([left, 1 - left])


class Parted(nn.Module):
    """Two clusters of unequal shares with a jump between them, as it says."""

    n_clusters = 2
    properties = Properties(continuous=False, clusters=2)

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    def forward(self, y: Tensor) -> Tensor:
        return y + 6 * self.assign(y).unsqueeze(-1).to(y)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., -1] > 0.5).long()

    def proportions(self) -> Tensor:
        right = torch.special.ndtr(torch.tensor(-0.5))
        return torch.stack([1 - right, right])


class Bent(nn.Module):
    """LeakyReLU of a learned triangular matrix, with its inverse."""

    properties = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.below = nn.Parameter(0.3 * torch.randn(y_dim, y_dim))
        self.log_diagonal = nn.Parameter(0.2 * torch.randn(y_dim))

    def matrix(self) -> Tensor:
        return self.below.tril(-1) + torch.diag(self.log_diagonal.exp())

    def forward(self, y: Tensor) -> Tensor:
        return nn.functional.leaky_relu(y @ self.matrix().T, 0.3)

    def inverse(self, z: Tensor) -> Tensor:
        straight = torch.where(z < 0, z / 0.3, z)
        flat = straight.reshape(-1, self.z_dim)
        return torch.linalg.solve_triangular(self.matrix(), flat.T, upper=False).T.reshape(z.shape)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        signs = (y @ self.matrix().T < 0).to(y)
        return (signs * math.log(0.3) + self.log_diagonal).sum(-1)


class Waves(nn.Module):
    """Random Fourier features, with a loss whose parameter g holds constant."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.z_dim = y_dim, 12
        self.directions: Tensor
        self.register_buffer("directions", torch.randn(y_dim, 6))
        self.offset = nn.Parameter(torch.randn(6))

    regularisers: ClassVar[dict[str, float]] = {"spread": 0.1}

    def forward(self, y: Tensor) -> Tensor:
        angles = y @ self.directions + self.offset.detach()
        return torch.cat([angles.cos(), angles.sin()], -1)

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self(y), {"spread": self.offset.square().mean()}


class Iterated(nn.Module):
    """The fixed point of a contraction, by a fixed number of steps."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.weight = nn.Parameter(0.2 * torch.randn(y_dim, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        z = torch.zeros_like(y)
        for _ in range(12):
            z = torch.tanh(z @ self.weight) + y
        return z


ORDINARY: dict[str, Any] = {"plain": Plain, "residual": Residual, "simplex": Simplex, "normed": Normed}
ORDINARY |= {"sorted": Sorted, "rotation": Rotation, "moebius": Moebius}
UNUSUAL: list[Any] = [Projected, Saturated, SoftHalves, Parted, Bent, Waves, Iterated]
