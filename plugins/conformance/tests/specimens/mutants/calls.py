"""Which faults of capabilities show only for other shapes, dtypes, modes, strengths, or where g is looked at?"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

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


@kills("structure.assigned")
class CutsElsewhereFarOut(Halves):
    def assign(self, y: Tensor) -> Tensor:
        far = torch.linalg.vector_norm(y, dim=-1) > 6
        return torch.where(far, y[..., 1] > 0, y[..., 0] > 0).long()


@kills("structure.assigned")
class NamesOthersFarOut(Halves):
    def assign(self, y: Tensor) -> Tensor:
        far = torch.linalg.vector_norm(y, dim=-1) > 5
        return ((y[..., 0] > 0) ^ far).long()


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


# --- what was right until the parameters changed, for more rows, or at another strength --------------------------


class Learned(Line):
    """A learned line."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.log_scale, self.shift = nn.Parameter(torch.full((y_dim,), 0.3)), nn.Parameter(torch.ones(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y * self.log_scale.exp() + self.shift

    def inverse(self, z: Tensor) -> Tensor:
        return (z - self.shift) * torch.exp(-self.log_scale)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return self.log_scale.sum().expand(y.shape[:-1])


@kills("structure.fresh")
class KeepsItsInverse(Learned):
    kept: Tensor | None = None

    def inverse(self, z: Tensor) -> Tensor:
        if self.kept is None or self.kept.dtype != z.dtype:
            self.kept = torch.exp(-self.log_scale).detach()
        return (z - self.shift) * self.kept


@kills("structure.fresh")
class KeepsItsVolume(Learned):
    kept: Tensor | None = None

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        if self.kept is None or self.kept.dtype != y.dtype:
            self.kept = self.log_scale.sum().detach()
        return self.kept.expand(y.shape[:-1])


@kills("structure.fresh")
class KeepsItsShares(Halves):
    kept: Tensor | None = None

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.border = nn.Parameter(torch.tensor(0.2))

    def forward(self, y: Tensor) -> Tensor:
        return y + 3 * torch.tanh(10 * (y[..., :1] - self.border))

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > self.border).long()

    def proportions(self) -> Tensor:
        if self.kept is None:
            left = torch.special.ndtr(self.border.detach())
            self.kept = torch.stack([left, 1 - left])
        return self.kept


@kills("structure.calls")
class InvertsFiveHundredRows(Line):
    def inverse(self, z: Tensor) -> Tensor:
        y = super().inverse(z)
        return torch.cat([y[:500], z[500:]]) if z.dim() == 2 and len(z) > 500 else y


@kills("structure.calls")
class InverseChangesItsState(Learned):
    def inverse(self, z: Tensor) -> Tensor:
        y = super().inverse(z)
        with torch.no_grad():
            self.shift.add_(1e-5)
        return y


@kills("structure.strength")
class InverseOfTheWholeStrength(Growing):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y * (1 + self.strength)

    def inverse(self, z: Tensor) -> Tensor:
        return z / 2

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.full_like(y[..., 0], self.y_dim * 0.6931471805599453)


@kills("structure.strength")
class NeverWeaker(Growing):
    def set_strength(self, strength: float) -> None:
        super().set_strength(max(strength, float(self.strength)) if strength > 0 else 0)


@kills("structure.strength")
class StrengthOfTheClass(Sound):
    now: ClassVar[list[float]] = [1.0]

    def set_strength(self, strength: float) -> None:
        self.now[0] = float(strength)

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * self.now[0] * torch.sin(y)


@kills("structure.strength")
class NanAtFirst(Growing):
    """Where a warm-up begins."""

    def forward(self, y: Tensor) -> Tensor:
        rounded = (1e3 * self.strength).floor()
        return super().forward(y) * (rounded / rounded if 0 < float(self.strength) < 0.1 else 1)


@kills("structure.strength")
class AssignsElsewhereBetween(Halves):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)

    def forward(self, y: Tensor) -> Tensor:
        return y + 3 * self.strength * torch.tanh(10 * y[..., :1])

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0.8 * (self.strength < 1)).long()


@kills("structure.gradual")
class JumpsNearTheEnd(Growing):
    """A mapping of its own between the strengths 0.93 and 1, where nothing else looks."""

    def forward(self, y: Tensor) -> Tensor:
        late = ((self.strength > 0.93) & (self.strength < 1)).to(y)
        return super().forward(y) + 0.2 * late * (y[..., :1] > 0.3).to(y)
