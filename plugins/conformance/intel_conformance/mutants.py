"""Which faults must the checks find? Small faulty mappings, at least one for every check.

Each is a correct mapping with one fault that somebody has made or could make. A check that lets its own mutants live
is worth nothing, which is what the tests of this project hold against every one of them.
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from intel_core.mappings.contract import MappingSpec
from intel_core.mappings.properties import Hoelder, Locus, Properties

__all__ = ["MUTANTS", "Mutant"]

BOTH = ("float32", "float64")


@dataclass(frozen=True)
class Mutant:
    """A faulty mapping.

    Attributes:
        name: of the fault.
        kills: the id of the check that is meant to find it.
        what: builds the mapping from a number of dimensions, or its spec.
        y_dim: in how many dimensions.
        dtypes: the precisions in which the fault can be seen.
        registered: whether its spec has to be registered as a plugin's would be.
    """

    name: str
    kills: str
    what: Callable[[int], Any] | MappingSpec
    y_dim: int = 2
    dtypes: tuple[str, ...] = BOTH
    registered: bool = False


MUTANTS: list[Mutant] = []
"""All of them."""


def _kills(
    check: str, y_dim: int = 2, dtypes: tuple[str, ...] = BOTH, *, registered: bool = False
) -> Callable[[type], type]:
    """Class decorator: a mutant that the check has to find."""

    def add(mutant: type) -> type:
        what = mutant() if issubclass(mutant, MappingSpec) else mutant
        MUTANTS.append(Mutant(mutant.__name__, check, what, y_dim, dtypes, registered))
        return mutant

    return add


def _norm(y: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    return norm


class _Sound(nn.Module):
    """A smooth mapping without a fault, for the others to break: y + sin(y)/2."""

    declared = Properties(injective=True, hoelder=Hoelder(1.5))

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim

    @property
    def properties(self) -> Properties:
        return self.declared

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y)

    def sound(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y)


class _Scaled(_Sound):
    """With a parameter, the logarithm of a scale."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.log_scale = nn.Parameter(torch.zeros(y_dim))

    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.exp()


# --- io --------------------------------------------------------------------------------------------------------


@_kills("io.shape")
class SqueezesOneRow(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y).squeeze()


@_kills("io.shape")
class WantsTwoDimensions(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return torch.stack([y[:, 0], y[:, 1]], 1) if y.dim() < 3 else self.sound(y)


@_kills("io.dtype", dtypes=("float64",))
class ReturnsFloat32(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y).float()


@_kills("io.dtype", dtypes=("float32",))
class ReturnsFloat64(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * torch.ones(1, dtype=torch.float64, device=y.device)


@_kills("io.float64", dtypes=("float64",))
class Float32Inside(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y.float()).to(y.dtype)


@_kills("io.float64", dtypes=("float64",))
class Float32InOneTerm(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y.float()).to(y.dtype)


@_kills("io.float64", dtypes=("float64",))
class Float32InASmallTerm(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.01 * torch.sin(y.float()).to(y.dtype)


@_kills("io.input")
class ChangesItsInput(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        with torch.no_grad():
            y.mul_(0.5)
        return self.sound(y)


@_kills("io.layout")
class ReadsMemory(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        strides = [math.prod(y.shape[i + 1 :]) for i in range(y.dim())]
        return self.sound(torch.as_strided(y, y.shape, strides))


@_kills("io.device")
class StaysOnTheCPU(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + torch.linspace(0, 1, self.y_dim).to(y.dtype)


@_kills("io.device")
class MultipliesOnTheCPU(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) @ torch.eye(self.y_dim, dtype=y.dtype)


class _Spec(MappingSpec):
    """A spec without a fault, for the others to break."""

    shift: float = Field(0.25, ge=-5, le=5, description="what is added")

    def build(self, y_dim: int) -> Any:
        return _Shifted(y_dim, self.shift)


class _Shifted(_Sound):
    def __init__(self, y_dim: int, shift: float) -> None:
        super().__init__(y_dim)
        self.shift = shift

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.shift


@_kills("io.dims")
class RaisesKeyError(_Spec):
    """A spec that has no answer for most numbers of dimensions."""

    def build(self, y_dim: int) -> Any:
        return _Shifted({2: 2}[y_dim], self.shift)


@_kills("io.dims")
class WrongInThree(_Spec):
    """A spec whose mapping is right in two dimensions only."""

    def build(self, y_dim: int) -> Any:
        return _FirstTwo(y_dim)


class _FirstTwo(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y[..., :2])


# --- rows ------------------------------------------------------------------------------------------------------


@_kills("rows.replace_others")
class BatchNormed(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.norm = nn.BatchNorm1d(y_dim)

    def forward(self, y: Tensor) -> Tensor:
        z: Tensor = self.norm(self.sound(y).reshape(-1, self.y_dim))
        return z.reshape(y.shape)


@_kills("rows.replace_others")
class MeanSubtracted(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        return self.sound(y) - 0.1 * rows.mean(0) if len(rows) else self.sound(y)


@_kills("rows.replace_others")
class DetachedMean(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        return self.sound(y) - 0.1 * rows.detach().mean(0) if len(rows) else self.sound(y)


@_kills("rows.replace_others")
class ClampedByBatchSpread(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.detach().reshape(-1, self.y_dim)
        most = 5 * rows.std(0) if len(rows) > 1 else rows.new_full((self.y_dim,), math.inf)
        return torch.maximum(torch.minimum(self.sound(y), most), -most)


@_kills("rows.replace_others")
class Ranked(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        ranks = rows.argsort(0).argsort(0).to(y.dtype) / max(len(rows), 1)
        return self.sound(y) + 0.1 * ranks.reshape(y.shape)


@_kills("rows.permute")
class RowIndex(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        rows = y.reshape(-1, self.y_dim)
        index = torch.arange(len(rows), dtype=y.dtype, device=y.device).unsqueeze(-1)
        return self.sound(y) + 0.01 * index.expand_as(rows).reshape(y.shape)


@_kills("rows.alone")
class OtherWhenAlone(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if y.dim() < 2 or len(y) == 1 else 1.0)


@_kills("rows.alone")
class OtherInACrowd(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.001 if y.numel() > 64 * self.y_dim else 1.0)


@_kills("rows.reshape")
class MeanOverTheSecondAxis(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) - 0.1 * y.mean(1, keepdim=True) if y.dim() > 2 and y.shape[1] else self.sound(y)


# --- mode ------------------------------------------------------------------------------------------------------


@_kills("mode.repeat")
class Dropout(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return nn.functional.dropout(self.sound(y), 0.1, self.training)


@_kills("mode.repeat")
class HiddenNoise(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self._random = random.Random(0)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1 + 1e-3 * self._random.random())


@_kills("mode.repeat")
class RemembersTheLastBatch(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.last = 0.0

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y) + 0.01 * self.last
        if y.device.type != "meta" and y.numel():
            self.last = float(y.detach().double().abs().clamp(max=1).mean())
        return z


@_kills("mode.repeat")
class ScaledByTheFirstBatch(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.scale: float | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self.scale is None and y.numel() > self.y_dim and y.device.type != "meta":
            self.scale = float(y.detach().std())
        return self.sound(y) / (self.scale or 1.0)


@_kills("mode.train_eval")
class LargerInTraining(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.1 if self.training else 1.0)


@_kills("mode.state")
class CountsItsCalls(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, y: Tensor) -> Tensor:
        self.calls += 1
        return self.sound(y)


@_kills("mode.grad_mode")
class OtherWithoutGradients(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.0 if torch.is_grad_enabled() else 1.01)


@_kills("mode.side_effects")
class SeedsTheProcess(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        torch.manual_seed(0)
        return self.sound(y) + 0.1 * torch.randn(self.y_dim, device="cpu").to(y)


# --- finite ----------------------------------------------------------------------------------------------------


@_kills("finite.values")
class DividesByTheNorm(_Sound):
    declared = Properties(continuous=False)

    def forward(self, y: Tensor) -> Tensor:
        return y / _norm(y)


@_kills("finite.values")
class Overflows(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return torch.exp(y) / torch.exp(y).sum(-1, keepdim=True)


@_kills("finite.gradients")
class RootOfSquares(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y / (y.square().sum(-1, keepdim=True) ** 0.5 + 1e-7)


@_kills("finite.gradients")
class SignedPower(_Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y + 5 * torch.sign(y) * y.abs() ** 0.2


@_kills("finite.gradients")
class InfiniteUnusedBranch(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return torch.where(y > 0, y * torch.log1p(y.sqrt()), y)


@_kills("finite.gradients")
class LossOfANorm(_Sound):
    regularisers = {"norm": 0.1}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"norm": z.square().sum(-1).sqrt().mean()}


@_kills("finite.gradients")
class NormFromALearnedCentre(_Sound):
    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.centre = nn.Parameter(torch.randn(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.tanh((y - self.centre).square().sum(-1, keepdim=True).sqrt())


@_kills("finite.parameter_gradients")
class LearnedPower(_Sound):
    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.power = nn.Parameter(torch.tensor(2.0))

    def forward(self, y: Tensor) -> Tensor:
        return y + 1e-3 * torch.exp(self.power * torch.log(y.abs().clamp(max=1)))


# --- continuity ------------------------------------------------------------------------------------------------


@_kills("cont.scan")
class JumpsAside(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 0.5 * (y[..., :1] + 0.5 * y[..., 1:2] > 0.3).to(y.dtype)


@_kills("cont.scan")
class JumpsALittle(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 1e-3 * (y[..., :1] - y[..., 1:2] > 0.1).to(y.dtype)


@_kills("cont.centres", 8)
class JumpsFarOut(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + 0.5 * (_norm(y) > 9).to(y.dtype)


@_kills("cont.scan")
class Steps(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.3 * torch.floor(y)


@_kills("cont.scan")
class AngleWrapsRound(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        angle = torch.atan2(y[..., 1], y[..., 0] + 1e-30)
        return torch.cat([(angle * torch.linalg.vector_norm(y, dim=-1)).unsqueeze(-1), y[..., 1:]], -1)


@_kills("cont.seams")
class SeamDoesNotMeet(_Sound):
    declared = Properties(seams=(Locus((0,), (0.7,)),))

    def forward(self, y: Tensor) -> Tensor:
        distance = y[..., :1] - 0.7
        steep = torch.sign(distance) * (distance.abs() + 1e-12) ** 0.3
        return y + steep + 0.5 * (distance > 0).to(y.dtype)


@_kills("cont.centres")
class UnitCircleAndOrigin(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        norm = _norm(y)
        return torch.where(norm > 0, y / torch.where(norm > 0, norm, 1.0), torch.zeros_like(y))


@_kills("cont.centres")
class GuardedNorm(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        norm = _norm(y)
        return torch.where(norm > 1e-12, y / norm.clamp(min=1e-12), torch.zeros_like(y))


@_kills("cont.centres")
class HoleAtACentre(_Sound):
    declared = Properties(centres=(Locus((0, 1), (1.0, 0.5)),))

    def forward(self, y: Tensor) -> Tensor:
        away = y[..., :2] - y.new_tensor([1.0, 0.5])
        norm = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        unit = torch.where(norm > 0, away / torch.where(norm > 0, norm, 1.0), torch.zeros_like(away))
        return self.sound(y) + torch.cat([unit, torch.zeros_like(y[..., 2:])], -1)


@_kills("cont.hoelder")
class SteeperThanItSays(_Sound):
    declared = Properties(hoelder=Hoelder(1.2))


@_kills("cont.hoelder", 16)
class SteepInOneDirection(_Sound):
    declared = Properties(hoelder=Hoelder(2.2))

    def forward(self, y: Tensor) -> Tensor:
        return y * y.new_tensor([3.0] + [1.0] * (self.y_dim - 1))


@_kills("cont.hoelder")
class WrongExponent(_Sound):
    declared = Properties(hoelder=Hoelder(3.0, 0.9))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.sign(y) * (y.abs() + 1e-18) ** 0.5


# --- gradients -------------------------------------------------------------------------------------------------


@_kills("grad.input")
class DetachesAPart(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y.detach())


@_kills("grad.input")
class StraightThrough(_Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y + (torch.tanh(5 * y) - y).detach()


@_kills("grad.parameters")
class DetachesAParameter(_Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return y * self.log_scale.exp() + 0.5 * torch.sin(y) * self.log_scale.detach().exp()


@_kills("grad.reach")
class DataOfAParameter(_Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.data.exp()


@_kills("grad.reach")
class UnusedParameter(_Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.forgotten = nn.Parameter(torch.zeros(3))


@_kills("grad.reach")
class ParameterInADict(_Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.others = {"shift": torch.full((y_dim,), 0.5, requires_grad=True)}

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.exp() + self.others["shift"].to(y)


@_kills("grad.fresh")
class KeepsTheFirstScale(_Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self._scale: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self._scale is None:
            self._scale = self.log_scale.exp()
        return self.sound(y) * self._scale


# --- deployment ------------------------------------------------------------------------------------------------


@_kills("deploy.state")
class OffsetIsNotSaved(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset = torch.randn(y_dim).tolist()

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + y.new_tensor(self.offset)


@_kills("deploy.state")
class BufferIsNotPersistent(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset: Tensor
        self.register_buffer("offset", torch.randn(y_dim), persistent=False)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.offset


@_kills("deploy.copy")
class SharesItsParameters(_Scaled):
    def __deepcopy__(self, memo: Any) -> SharesItsParameters:
        other = SharesItsParameters(self.y_dim)
        other.log_scale = self.log_scale
        return other


@_kills("deploy.pickle")
class ForgetsWhenPickled(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.strength = 1.5

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "strength": 1.0}

    def __deepcopy__(self, memo: Any) -> ForgetsWhenPickled:
        return ForgetsWhenPickled(self.y_dim)

    def forward(self, y: Tensor) -> Tensor:
        return self.strength * self.sound(y)


@_kills("deploy.spec")
class FieldIsNotWritten(_Spec):
    """A spec with a field that its JSON leaves out."""

    more: float = Field(0.0, description="added as well", exclude=True)

    def build(self, y_dim: int) -> Any:
        return _Shifted(y_dim, self.shift + self.more)


MUTANTS[-1] = Mutant("FieldIsNotWritten", "deploy.spec", FieldIsNotWritten(more=1.0))


@_kills("deploy.spec")
class BuildChangesTheSpec(_Spec):
    """A spec whose build() appends to its own list."""

    shifts: list[float] = Field([0.5], description="what is added, all of them")

    def build(self, y_dim: int) -> Any:
        self.shifts.append(0.25)
        return _Shifted(y_dim, sum(self.shifts[:1]))


@_kills("deploy.seeded")
class DrawsElsewhere(_Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset: Tensor
        self.register_buffer("offset", torch.tensor([random.random() for _ in range(y_dim)]))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.offset


@_kills("deploy.vmap")
class RowsHaveTwoAxes(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) if y.dim() > 1 else self.sound(y) * 1.01


@_kills("deploy.compile")
class OtherWhenCompiled(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.01 if torch.compiler.is_compiling() else 1.0)


@_kills("deploy.bfloat16")
class WidensAndStaysWide(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y.float() if y.dtype in (torch.bfloat16, torch.float16) else y)


# --- Theorem 1 -------------------------------------------------------------------------------------------------


@_kills("thm1.same_map")
class OtherWithItsLoss(_Sound):
    regularisers = {"size": 0.1}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return 1.01 * z, {"size": z.square().mean()}


@_kills("thm1.same_map")
class LooksAtX(_Sound):
    """It looks for x in whoever called it."""

    shift = 0.01

    def forward(self, y: Tensor) -> Tensor:
        frame = inspect.currentframe()
        while frame is not None:
            x = frame.f_locals.get("x")
            if isinstance(x, Tensor) and x.dim() == 2 and y.dim() > 1 and x.shape[0] == y.shape[-2]:
                return self.sound(y) + self.shift * x[:, : self.y_dim]
            frame = frame.f_back
        return self.sound(y)


@_kills("thm1.inequality")
class MovesByX(LooksAtX):
    shift = 0.5


@_kills("thm1.inequality")
class MuchLargerInTraining(_Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.5 if self.training else 1.0)


@_kills("thm1.injective")
class Folds(_Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1].abs(), y[..., 1:]], -1)


@_kills("thm1.injective")
class ComplexSquare(_Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        a, b = y[..., 0], y[..., 1]
        return torch.stack([a * a - b * b, 2 * a * b], -1)


@_kills("thm1.injective")
class Wiggles(_Sound):
    def sound(self, y: Tensor) -> Tensor:
        return y + 1.5 * torch.sin(y)


@_kills("thm1.injective", 3)
class DropsADimension(_Sound):
    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = y_dim - 1

    def forward(self, y: Tensor) -> Tensor:
        return y[..., :-1]


@_kills("thm1.injective")
class Projects(_Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y * y.new_tensor([1.0] + [0.0] * (self.y_dim - 1))


# --- what is declared ------------------------------------------------------------------------------------------


@_kills("structure.protocols")
class PropertiesRaise(_Sound):
    @property
    def properties(self) -> Properties:
        return Properties(norm_bound=self.bound)  # type: ignore[arg-type]


@_kills("structure.places")
class SeamOutOfSpace(_Sound):
    declared = Properties(seams=(Locus((7,), (0.0,)),))


@_kills("structure.places")
class PlaneOfOneDimension(_Sound):
    declared = Properties(planes=((1, 1),))


@_kills("structure.places")
class CentreThatSeparates(_Sound):
    declared = Properties(centres=(Locus((0,), (0.0,)),))


@_kills("structure.norm_bound")
class BoundTooSmall(_Sound):
    declared = Properties(norm_bound=1.0)

    def forward(self, y: Tensor) -> Tensor:
        return 1.001 * y / (_norm(y) + 1e-3)


@_kills("structure.norm_bound")
class BoundHereOnly(_Sound):
    declared = Properties(norm_bound=3.0)

    def forward(self, y: Tensor) -> Tensor:
        return 2 * torch.tanh(y) + 2 * torch.exp(-(y - 2.0).square().sum(-1, keepdim=True))


@_kills("structure.clusters")
class TwoOfThreeClusters(_Sound):
    """As in the authors' first release, where k=3 gives two."""

    declared = Properties(clusters=3)

    def forward(self, y: Tensor) -> Tensor:
        first = y[..., :1]
        return torch.cat([first + 5 * first / (first.abs() + 0.01), y[..., 1:]], -1)


@_kills("structure.clusters")
class NoClusters(_Sound):
    declared = Properties(clusters=2)


@_kills("structure.proportions")
class WrongShares(_Sound):
    n_clusters = 2

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0.3).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])


@_kills("structure.proportions")
class ClusterTooMany(_Sound):
    n_clusters = 2

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0).long() + (y[..., 0] > 1.5).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])


@_kills("structure.betti")
class SaysALoop(_Sound):
    declared = Properties(betti=(1, 1))


@_kills("structure.betti")
class SaysTwoLoops(_Sound):
    declared = Properties(betti=(1, 2))

    def forward(self, y: Tensor) -> Tensor:
        return y / (_norm(y) + 1e-3)


@_kills("structure.sparsity", 10)
class SaysSparse(_Sound):
    declared = Properties(sparsity=(0.6, 1.0))


@_kills("structure.inverse")
class WrongInverse(_Sound):
    def inverse(self, z: Tensor) -> Tensor:
        return z - 0.5 * torch.sin(z)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.log1p(0.5 * torch.cos(y)).sum(-1)


@_kills("structure.volume")
class WrongVolume(_Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y * 2.0

    def inverse(self, z: Tensor) -> Tensor:
        return z / 2.0

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.full_like(y[..., 0], math.log(2.0))


@_kills("structure.levels")
class LevelsOverlap(_Sound):
    levels = ((0,), (0, 1))


@_kills("structure.levels")
class LevelsInReverse(_Sound):
    levels = ((1,), (0,))

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.cat([torch.zeros_like(y[..., :1]), torch.sin(y[..., :-1])], -1)


@_kills("structure.regularisers")
class NegativeWeight(_Sound):
    regularisers = {"size": -1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"size": z.square().mean()}


@_kills("structure.regularisers")
class LossPerRow(_Sound):
    regularisers = {"size": 1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"size": z.square().sum(-1)}


@_kills("structure.strength")
class StrengthIsNotSaved(_Sound):
    strength = 1.0

    def set_strength(self, strength: float) -> None:
        self.strength = strength

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * self.strength * torch.sin(y)


@_kills("structure.diagnose")
class DiagnosesTensors(_Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {"mean": y.mean()}


# --- plugins ---------------------------------------------------------------------------------------------------


@_kills("plugin.text", registered=True)
class ShiftGrows(_Spec):
    """A spec whose validator changes its value each time."""

    @field_validator("shift")
    @classmethod
    def _grow(cls, value: float) -> float:
        return min(value + 0.5, 5.0)


@_kills("plugin.fields")
class SilentField(_Spec):
    """A spec with a field that nobody explains."""

    mystery: int = 3


@_kills("plugin.fields")
class TakesAnything(_Spec, extra="allow"):
    """A spec that takes any key."""


@_kills("plugin.schedules")
class AdvisesText(_Spec):
    """A spec whose advice is no schedule."""

    def advised_schedules(self, steps: int, settled: Any) -> Any:
        return {"strength": "linear"}


@_kills("plugin.light", registered=True)
class ImportsTorch(_Spec):
    """A spec in a module that imports torch: this one."""
