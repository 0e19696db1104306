"""Which faults of capabilities show only for other shapes, dtypes, modes, strengths, or where g is looked at?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intel_core.mappings.properties import Properties
from specimens.mutant import Sound, kills


class Line(Sound):
    """2 y + 1, with its inverse and its volume."""

    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return 2 * y + 1

    def inverse(self, z: Tensor) -> Tensor:
        return (z - 1) / 2

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.full_like(y[..., 0], self.y_dim * 0.6931471805599453)


@kills("structure.calls")
class InverseOfMatrices(Line):
    def inverse(self, z: Tensor) -> Tensor:
        return torch.stack([(z[:, i] - 1) / 2 for i in range(self.y_dim)], -1)


@kills("structure.calls", dtypes=("float32",))
class InverseInDouble(Line):
    def inverse(self, z: Tensor) -> Tensor:
        return (z.double() - 1) / 2


@kills("structure.calls", dtypes=("float32",))
class InverseOfSingleIsWrong(Line):
    def inverse(self, z: Tensor) -> Tensor:
        return (z - 1) / (2 if z.dtype == torch.float64 else 2.1)


@kills("structure.calls")
class InverseInEvaluation(Line):
    def inverse(self, z: Tensor) -> Tensor:
        return (z - 1) / (2 if self.training else 2.2)


@kills("structure.calls")
class InverseByTheBatch(Line):
    def inverse(self, z: Tensor) -> Tensor:
        return (z - 1) / 2 + (0.1 * z.shape[0] / 120 - 0.1)


@kills("structure.calls")
class VolumeOfTheBatch(Line):
    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return super().log_abs_det_jacobian(y) if y.dim() == 2 else super().log_abs_det_jacobian(y).sum()


class Halves(Sound):
    """Two clusters: the sides of y0 = 0."""

    n_clusters = 2

    def forward(self, y: Tensor) -> Tensor:
        return y + 3 * torch.tanh(10 * y[..., :1])

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])


@kills("structure.calls")
class AssignsInEvaluation(Halves):
    def assign(self, y: Tensor) -> Tensor:
        return super().assign(y if self.training else -y)


@kills("structure.calls")
class AssignsMatrices(Halves):
    def assign(self, y: Tensor) -> Tensor:
        return (y[:, 0] > 0).long()


@kills("structure.assigned")
class AssignsAnotherDimension(Halves):
    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 1] > 0).long()


@kills("structure.assigned")
class MakesNoClusters(Halves):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y)


@kills("structure.assigned")
class CutsElsewhere(Halves):
    def forward(self, y: Tensor) -> Tensor:
        return y + 3 * torch.tanh(10 * (y[..., :1] - 0.6))


class Growing(Sound):
    """y + sin(y)/2 at strength 1, y at 0."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)

    @property
    def between(self) -> Tensor:
        return self.strength * (1 - self.strength)

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * self.strength * torch.sin(y)


@kills("structure.strength")
class JumpsBetween(Growing):
    def forward(self, y: Tensor) -> Tensor:
        return super().forward(y) + self.between * (y[..., :1] > 0.3)


@kills("structure.strength")
class CentredBetween(Growing):
    def forward(self, y: Tensor) -> Tensor:
        z = super().forward(y)
        return z - self.between * z.reshape(-1, self.y_dim).mean(0)


@kills("structure.strength")
class CentredAtFirst(Growing):
    def forward(self, y: Tensor) -> Tensor:
        z = super().forward(y)
        return z - (self.strength < 0.1) * z.reshape(-1, self.y_dim).mean(0)


@kills("structure.strength")
class OnTheCPUBetween(Growing):
    at = 1.0

    def set_strength(self, strength: float) -> None:
        super().set_strength(strength)
        self.at = strength

    def forward(self, y: Tensor) -> Tensor:
        z = super().forward(y)
        return z if self.at in (0.0, 1.0) else z + torch.tensor([self.at] * self.y_dim) * 0.1


@kills("rows.alone")
class OtherForAHundred(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if y.shape[:-1] == (100,) else 1.0)


@kills("rows.alone")
class OtherForAThousand(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if y.shape[:-1] == (1024,) else 1.0)


@kills("rows.alone")
class OtherAfterFortyRows(Sound):
    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return torch.cat([z[:40], 1.001 * z[40:]]) if y.dim() == 2 else z


@kills("rows.alone")
class ShakenByTheBatch(Sound):
    """What neighbours do to a row looks like a steep place, if a row is not perturbed alone."""

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return z if y.dim() < 2 or len(y) < 2 else z + 0.01 * torch.sin(1e14 * y.mean(0))


def diagnosis(y: Tensor) -> dict[str, Any]:
    return {"spread": float(y.std(0).mean())}


@kills("structure.diagnose")
class NanOfOneRow(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return diagnosis(y)
