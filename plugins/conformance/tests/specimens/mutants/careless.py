"""Which faults do authors make who know the contract: in a loss, a capability, what a call keeps, long training?"""

from __future__ import annotations

import math
import random
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from intel_core.mappings.contract import MappingSpec
from intel_core.mappings.properties import Properties
from specimens.mutant import Scaled, Sound, kills


class Strong(Sound):
    """Its bias grows with a strength, which is a buffer."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.register_buffer("strength", torch.ones(()))

    def set_strength(self, strength: float) -> None:
        self.strength.fill_(strength)

    def forward(self, y: Tensor) -> Tensor:
        return y + 2 * self.strength.to(y) * torch.tanh(4 * y)


class Losing(Scaled):
    """With a loss that is computed from z."""

    regularisers: ClassVar[dict[str, float]] = {"of z": 0.5}

    def loss(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {"of z": self.loss(z)}


class Halves(Sound):
    """Two clusters, on either side of a border in the first dimension."""

    n_clusters = 2
    border: Any = 0.0

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1] + 3 * torch.tanh(10 * (y[..., :1] - self.border)), y[..., 1:]], -1)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > self.border).long()

    def proportions(self) -> Tensor:
        left = torch.special.ndtr(torch.as_tensor(self.border, dtype=torch.float64))
        return torch.stack([left, 1 - left])


# --- losses --------------------------------------------------------------------------------------------------------


@kills("structure.regularisers")
class LossOverParticles(Losing):
    def loss(self, z: Tensor) -> Tensor:
        return z.mean(0).square().mean()


@kills("structure.regularisers")
class LossIsAVectorForParticles(Losing):
    def loss(self, z: Tensor) -> Tensor:
        return z.square().sum(-1).mean(0)


@kills("structure.regularisers")
class LossOfItsOwnGenerator(Losing):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.random = np.random.default_rng(0)

    def loss(self, z: Tensor) -> Tensor:
        return (z @ z.new_tensor(self.random.standard_normal(self.z_dim))).square().mean()


@kills("structure.regularisers")
class LossOfCounts(Losing):
    def loss(self, z: Tensor) -> Tensor:
        return ((z > 0).to(z).mean() - 0.5).square()


@kills("structure.regularisers", status="warned")
class LossIsANormOfTheBatch(Losing):
    def loss(self, z: Tensor) -> Tensor:
        return torch.linalg.vector_norm(z)


@kills("structure.regularisers", status="warned")
class LossIsDividedTwice(Losing):
    def loss(self, z: Tensor) -> Tensor:
        rows = z.flatten(0, -2)
        return rows.square().mean() / len(rows)


@kills("structure.regularisers", status="warned")
class LossIsASumOverPairs(Losing):
    def loss(self, z: Tensor) -> Tensor:
        rows = z.flatten(0, -2)
        return torch.exp(-(rows[:, None] - rows).square().sum(-1)).sum()


@kills("io.device")
class LossOnTheCPU(Losing):
    def loss(self, z: Tensor) -> Tensor:
        rows = z.flatten(0, -2)
        return (rows.T @ rows / len(rows) - torch.eye(self.z_dim, dtype=z.dtype)).square().sum()


# --- a strength ----------------------------------------------------------------------------------------------------


@kills("structure.strength")
class LossIsInfiniteAtStrength0(Strong):
    regularisers: ClassVar[dict[str, float]] = {"moved": 0.1}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {"moved": (z - y).square().mean().log().square()}


@kills("structure.strength")
class WeightsOfTheStrength(Strong):
    @property
    def regularisers(self) -> dict[str, float]:
        return {"size": 10 * float(self.strength)}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {"size": z.square().mean()}


@kills("structure.strength")
class BoundOfFullStrength(Strong):
    declared = Properties(norm_bound=2.0)

    def forward(self, y: Tensor) -> Tensor:
        return (1 - self.strength.to(y)) * y + self.strength.to(y) * torch.tanh(y)


@kills("structure.strength")
class ReversesGradually(Strong):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return (1 - self.strength.to(y)) * y + self.strength.to(y) * y.flip(-1)


@kills("structure.strength")
class SharesOfFullStrength(Strong):
    n_clusters = 2

    def forward(self, y: Tensor) -> Tensor:
        x, strength = y[..., :1], self.strength.to(y)
        return torch.cat([x + 3 * strength * torch.tanh(10 * (x - strength)), y[..., 1:]], -1)

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > self.strength).long()

    def proportions(self) -> Tensor:
        left = torch.special.ndtr(torch.ones((), dtype=torch.float64))
        return torch.stack([left, 1 - left])


@kills("structure.strength")
class DensityOfFullStrength(Strong):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        strength = self.strength.to(y)
        return (1 - strength) * y + strength * y.abs()

    @property
    def pushed(self) -> tuple[int, ...]:
        return tuple(range(self.y_dim))

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        both = [-0.5 * ((v - mean).square() * torch.exp(-log_variance) + log_variance) for v in (y, -y)]
        return (torch.logaddexp(*both) - 0.5 * math.log(2 * math.pi)).sum(-1)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return self.pushforward_log_prob(y, torch.zeros_like(y), torch.zeros_like(y))


@kills("structure.strength", status="warned")
class StrengthIsNotUsed(Strong):
    def forward(self, y: Tensor) -> Tensor:
        return y + torch.tanh(4 * y)


@kills("structure.strength")
class StrengthFollowsItsOwnLoading(Strong):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.now = 1.0

    def set_strength(self, strength: float) -> None:
        super().set_strength(strength)
        self.now = float(strength)

    def load_state_dict(self, state: Any, *arguments: Any, **named: Any) -> Any:
        found = super().load_state_dict(state, *arguments, **named)
        self.now = float(self.strength)
        return found

    def forward(self, y: Tensor) -> Tensor:
        return y + 2 * self.now * torch.tanh(4 * y)


@kills("io.device")
class StrengthOnTheCPU(Strong):
    def set_strength(self, strength: float) -> None:
        self.strength = torch.tensor([float(strength)])

    def forward(self, y: Tensor) -> Tensor:
        return y + 2 * self.strength.to(y.dtype) * torch.tanh(4 * y)


# --- clusters ------------------------------------------------------------------------------------------------------


@kills("io.device")
class AssignsOnTheCPU(Halves):
    def assign(self, y: Tensor) -> Tensor:
        return torch.bucketize(y[..., 0].contiguous(), torch.tensor([self.border], dtype=y.dtype))


@kills("structure.proportions")
class SharesAreKeptAndTheBorderStays(Halves):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.register_buffer("shares", torch.tensor([0.5, 0.5], dtype=torch.float64))

    def set_proportions(self, proportions: Tensor) -> None:
        self.shares.copy_(proportions)

    def proportions(self) -> Tensor:
        return self.shares.double() / self.shares.double().sum()


@kills("structure.proportions")
class SharesInAnotherOrder(Halves):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.register_buffer("at", torch.zeros(()))

    @property
    def border(self) -> Tensor:
        return self.at

    def set_proportions(self, proportions: Tensor) -> None:
        self.at.copy_(torch.special.ndtri(proportions.double()[1]))


@kills("structure.proportions", status="warned")
class OneClusterIsEmpty(Halves):
    n_clusters = 3

    def proportions(self) -> Tensor:
        return torch.cat([super().proportions(), torch.zeros(1, dtype=torch.float64)])


@kills("structure.assigned")
class PushedTowardsEachOther(Halves):
    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1] - 1.5 * torch.tanh(10 * y[..., :1]), y[..., 1:]], -1)


class Turning(Halves):
    """The cut can be turned."""

    kept = True
    transposed = False

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        if self.kept:
            self.register_buffer("turn", torch.eye(y_dim))
        else:
            self.turn = torch.eye(y_dim)

    def turn_towards(self, centres: Tensor) -> None:
        way = nn.functional.normalize(centres[1] - centres[0], dim=0)
        basis = torch.eye(self.y_dim).to(way)
        basis[:, 0] = way
        q, r = torch.linalg.qr(basis)
        found = q * r.diagonal().sign()
        self.put(found if self.transposed else found.T)

    def put(self, turn: Tensor) -> None:
        self.turn = turn.to(self.turn)

    def directions(self) -> Tensor | None:
        return self.turn[:1]

    def turn_back(self) -> None:
        self.put(torch.eye(self.y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return super().forward(y @ self.turn.to(y).T) @ self.turn.to(y)

    def assign(self, y: Tensor) -> Tensor:
        return super().assign(y @ self.turn.to(y).T)


@kills("structure.turns")
class TurnIsNotSaved(Turning):
    kept = False


@kills("structure.turns")
class TurnsTheOtherWay(Turning):
    transposed = True


@kills("structure.turns")
class DoesNotTurnBack(Turning):
    def turn_back(self) -> None:
        pass


@kills("structure.turns")
class DirectionsAreNotOfLength1(Turning):
    def directions(self) -> Tensor | None:
        return 2 * self.turn[:1]


# --- inverses ------------------------------------------------------------------------------------------------------


class Logarithmic(Sound):
    """A learned scale, with its inverse and its volume."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.log_scale = nn.Parameter(torch.zeros(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y * self.log_scale.to(y).exp()

    def inverse(self, z: Tensor) -> Tensor:
        return z * torch.exp(-self.log_scale.to(z))

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return self.log_scale.to(y).sum().expand(y.shape[:-1])


@kills("grad.volume")
class VolumeIsDetached(Logarithmic):
    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return super().log_abs_det_jacobian(y).detach()


@kills("structure.fresh")
class InverseOfTheLastVersion(Logarithmic):
    key: Any = None

    def inverse(self, z: Tensor) -> Tensor:
        if self.key != (self.log_scale._version, z.dtype):
            self.key, self.scale = (self.log_scale._version, z.dtype), self.log_scale.detach().to(z).exp()
        return z / self.scale


@kills("structure.inverse")
class InverseWithinTen(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.tanh(2 * y)

    def inverse(self, z: Tensor) -> Tensor:
        low, high = torch.full_like(z, -10), torch.full_like(z, 10)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self(middle) < z
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.log1p(2 / torch.cosh(2 * y).square()).sum(-1)


# --- what is left behind -------------------------------------------------------------------------------------------


@kills("mode.memory")
class KeepsWhatItMapped(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.seen: list[Tensor] = []

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        self.seen.append(z.detach())
        return z


@kills("mode.memory")
class KeepsItInATensor(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.seen = torch.zeros(0)

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        self.seen = torch.cat([self.seen.to(z), z.detach().flatten()])
        return z


@kills("mode.memory")
class KeepsItsLosses(Losing):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.curve: list[Tensor] = []

    def loss(self, z: Tensor) -> Tensor:
        self.curve.append(z.square().mean())
        return self.curve[-1]


@kills("mode.building")
class IsQuickEverywhere(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        torch.set_float32_matmul_precision("medium")


@kills("mode.building")
class SeedsEverything(Scaled):
    def __init__(self, y_dim: int) -> None:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        super().__init__(y_dim)


@kills("mode.building")
class OneMappingForEverySeed(Sound):
    """Seeds torch, so that five seeds of a study have one mapping."""

    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        torch.manual_seed(0)
        self.net = nn.Linear(y_dim, y_dim)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + torch.tanh(self.net(y))


@kills("mode.side_effects")
class SetsThreads(Sound):
    def forward(self, y: Tensor) -> Tensor:
        torch.set_num_threads(1)
        return self.sound(y)


@kills("mode.side_effects")
class SetsTheMatrixProducts(Sound):
    def forward(self, y: Tensor) -> Tensor:
        torch.set_float32_matmul_precision("medium")
        return self.sound(y)


@kills("io.device")
class MovesItselfOnly(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.corners = torch.linspace(1, 2, y_dim)

    def to(self, *arguments: Any, **named: Any) -> Any:
        found = super().to(*arguments, **named)
        self.corners = self.corners.to(*arguments, **named)
        return found

    def forward(self, y: Tensor) -> Tensor:
        return y * self.corners.to(y.dtype) + torch.sin(y)


@kills("rows.alone")
class LosesTheRestOfALargeBatch(Sound):
    def forward(self, y: Tensor) -> Tensor:
        if y.dim() != 2 or len(y) <= 16_384:
            return self.sound(y)
        z = torch.zeros_like(y)
        for first in range(0, len(y) - 16_383, 16_384):
            z[first : first + 16_384] = self.sound(y[first : first + 16_384])
        return z


# --- long training -------------------------------------------------------------------------------------------------


@kills("variants.trained")
class LogarithmOfAParameter(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.power = nn.Parameter(torch.ones(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return torch.asinh(y) + y * (1 + 0.3 * torch.log(self.power.to(y))).exp()


@kills("variants.trained", y_dim=8)
class BendsWithoutABound(Sound):
    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.by = nn.Parameter(torch.full((y_dim,), -0.1))
        self.slope = nn.Parameter(torch.full((y_dim,), 0.1))

    def forward(self, y: Tensor) -> Tensor:
        return y + self.by.to(y) * torch.tanh(y * self.slope.to(y))


# --- specs ---------------------------------------------------------------------------------------------------------


@kills("io.dims")
class NanInOneDimensionSpec(MappingSpec):
    """Divides by the deviation of each row."""

    def build(self, y_dim: int) -> Any:
        """The mapping."""
        return NormalisesRows(y_dim)


class NormalisesRows(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return (y - y.mean(-1, keepdim=True)) / (y.std(-1, keepdim=True) + 1) + y


@kills("plugin.settings", status="warned")
class IgnoresItsSettingSpec(MappingSpec):
    """A sound one."""

    turns: float = Field(1.0, gt=0, le=1.5, description="how far, which nobody passes on")

    def build(self, y_dim: int) -> Any:
        """The mapping."""
        return Sound(y_dim)


@kills("plugin.settings", status="warned")
class WeightsItsLossTwiceSpec(MappingSpec):
    """Multiplies its loss by the weight, as the run does."""

    weight: float = Field(0.1, gt=0, description="of the loss")

    def build(self, y_dim: int) -> Any:
        """The mapping."""
        return Weighted(y_dim, self.weight)


class Weighted(Losing):
    def __init__(self, y_dim: int, weight: float) -> None:
        super().__init__(y_dim)
        self.weight = weight

    @property
    def regularisers(self) -> dict[str, float]:  # type: ignore[override]
        return {"of z": self.weight}

    def loss(self, z: Tensor) -> Tensor:
        return self.weight * z.square().mean()
