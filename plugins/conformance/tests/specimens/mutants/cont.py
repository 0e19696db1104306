"""Which faults must the checks of the group `cont` find: a jump, or a slope that is steeper than declared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_core.mappings.properties import Hoelder, Locus, Properties
from specimens.mutant import Sound, kills, norm_of


@kills("cont.scan")
class JumpsAside(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 0.5 * (y[..., :1] + 0.5 * y[..., 1:2] > 0.3).to(y.dtype)


@kills("cont.scan")
class JumpsALittle(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 1e-3 * (y[..., :1] - y[..., 1:2] > 0.1).to(y.dtype)


@kills("cont.centres", 8)
class JumpsFarOut(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 0.5 * (norm_of(y) > 9).to(y.dtype)


@kills("cont.scan")
class Steps(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.3 * torch.floor(y)


@kills("cont.scan")
class AngleWrapsRound(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        angle = torch.atan2(y[..., 1], y[..., 0] + 1e-30)
        return torch.cat([(angle * torch.linalg.vector_norm(y, dim=-1)).unsqueeze(-1), y[..., 1:]], -1)


@kills("cont.seams")
class SeamDoesNotMeet(Sound):
    declared = Properties(seams=(Locus((0,), (0.7,)),))

    def forward(self, y: Tensor) -> Tensor:
        distance = y[..., :1] - 0.7
        steep = torch.sign(distance) * (distance.abs() + 1e-12) ** 0.3
        return y + steep + 0.5 * (distance > 0).to(y.dtype)


@kills("cont.centres")
class UnitCircleAndOrigin(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        norm = norm_of(y)
        return torch.where(norm > 0, y / torch.where(norm > 0, norm, 1.0), torch.zeros_like(y))


@kills("cont.centres")
class GuardedNorm(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        norm = norm_of(y)
        return torch.where(norm > 1e-12, y / norm.clamp(min=1e-12), torch.zeros_like(y))


@kills("cont.centres")
class HoleAtACentre(Sound):
    declared = Properties(centres=(Locus((0, 1), (1.0, 0.5)),))

    def forward(self, y: Tensor) -> Tensor:
        away = y[..., :2] - y.new_tensor([1.0, 0.5])
        norm = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        unit = torch.where(norm > 0, away / torch.where(norm > 0, norm, 1.0), torch.zeros_like(away))
        return self.sound(y) + torch.cat([unit, torch.zeros_like(y[..., 2:])], -1)


@kills("cont.hoelder")
class SteeperThanItSays(Sound):
    declared = Properties(hoelder=Hoelder(1.2))


@kills("cont.hoelder", 16)
class SteepInOneDirection(Sound):
    declared = Properties(hoelder=Hoelder(2.2))

    def forward(self, y: Tensor) -> Tensor:
        return y * y.new_tensor([3.0] + [1.0] * (self.y_dim - 1))


@kills("cont.hoelder")
class WrongExponent(Sound):
    declared = Properties(hoelder=Hoelder(3.0, 0.9))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.sign(y) * (y.abs() + 1e-18) ** 0.5


@kills("cont.parameters", status="warned")
class BasisByQR(Sound):
    """Turned by the Q of a learned matrix, whose signs jump where a pivot crosses 0."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.root = nn.Parameter(torch.randn(y_dim, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y @ torch.linalg.qr(self.root)[0])


@kills("cont.parameters", status="warned")
class SidesByASign(Sound):
    """A learned number decides by its sign alone on which side the bump is."""

    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.side = nn.Parameter(torch.randn(4))

    def forward(self, y: Tensor) -> Tensor:
        sides = torch.sign(self.side.detach()).sum() + self.side.sum()
        return self.sound(y) + 0.1 * sides * torch.exp(-y.square())
