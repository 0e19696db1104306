"""Which faults pass a look at values and gradients, and end a run or change its result?"""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from intel_core.mappings.contract import MappingSpec
from intel_core.mappings.properties import Hoelder, Locus, Properties
from intel_core.schedules import ConstantScheduleSpec
from specimens.mutant import Scaled, Sound, kills, norm_of


@kills("deploy.tensors")
class HasExtraState(Scaled):
    def get_extra_state(self) -> Any:
        return {"version": 3}

    def set_extra_state(self, state: Any) -> None:
        assert state["version"] == 3


@kills("deploy.tensors")
class ComplexParameter(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.factor = nn.Parameter(torch.ones(y_dim, dtype=torch.complex64))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.factor.abs().to(y)


_SHARED = nn.Parameter(torch.zeros(2))


@kills("deploy.tensors")
class SharesAParameter(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.shift = _SHARED

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.shift.to(y)


class Regularised(Scaled):
    """With a loss of the size of z."""

    name = "size"

    @property
    def regularisers(self) -> dict[str, float]:
        return {self.name: 1.0}

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {self.name: z.square().mean()}


@kills("structure.schedules")
class LossCalledKL(Regularised):
    name = "kl"


@kills("structure.schedules")
class AdvisesTheRateSpec(MappingSpec):
    """A spec that advises what is not its own."""

    shift: float = Field(0.25, description="what is added")

    def advised_schedules(self, steps: int, settled: Any) -> dict[str, Any]:
        return {"lr": ConstantScheduleSpec()}

    def build(self, y_dim: int) -> Any:
        return Sound(y_dim)


@kills("deploy.fit")
class RaisesInTheThirdStep(Scaled):
    """As what counts its calls, or has a buffer of a fixed length, does."""

    calls = 0

    def forward(self, y: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.calls += 1
            if self.calls > 2:
                raise IndexError("no third value")
        return self.sound(y) * self.log_scale.exp()


@kills("deploy.fit")
class LearnsOutsideItsState(Sound):
    """Follows the data, in a number that no checkpoint holds."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.log_scale = nn.Parameter(torch.zeros(y_dim))
        self.seen = 0

    def forward(self, y: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen += len(y)
        return self.sound(y) * self.log_scale.exp() + 1e-4 * self.seen


@kills("deploy.fit")
class NoGradientOfItsLoss(Regularised):
    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z, terms = super().map_with_regularisers(y)
        return z, {name: term.expand(2) for name, term in terms.items()}


# --- what cannot be checked --------------------------------------------------------------------------------------


@kills("io.preflight")
class WrongZDim(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = y_dim + 1


@kills("io.preflight")
class PropertiesIsAMethod(Sound):
    def properties(self) -> Properties:  # type: ignore[override]
        return Properties()


@kills("io.preflight")
class SeamsAreNumbers(Sound):
    declared = Properties(seams=(0.5,))  # type: ignore[arg-type]


@kills("io.preflight")
class ClustersIsAText(Sound):
    declared = Properties(clusters="two")  # type: ignore[arg-type]


# --- declarations that look away, and what is far out ------------------------------------------------------------


@kills("structure.seams")
class EightHundredDecoys(Sound):
    @property
    def properties(self) -> Properties:
        return Properties(seams=tuple(Locus((0,), (i / 100 - 4,)) for i in range(800)))


@kills("structure.seams")
class DecoyRays(Sound):
    @property
    def properties(self) -> Properties:
        ways = [(math.cos(i / 50), math.sin(i / 50)) for i in range(300)]
        return Properties(seams=tuple(Locus((0, 1), (0.0, 0.0), (way,)) for way in ways))


class HalfDetached(Sound):
    """Among decoys, the gradients are wrong."""

    @property
    def properties(self) -> Properties:
        return Properties(seams=tuple(Locus((0,), (i / 100 - 4,)) for i in range(800)))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(0.5 * y + 0.5 * y.detach())


kills("grad.input")(HalfDetached)


@kills("cont.hoelder")
class CubicFarOut(Sound):
    declared = Properties(hoelder=Hoelder(40.0))

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.01 * y**3


@kills("thm1.injective")
class FoldsAtSix(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        far = (norm_of(y) - 6).clamp(min=0)
        return y * (1 - far / 4)


@kills("thm1.injective")
class FoldsOneCoordinateAtFive(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        first = y[..., :1]
        return torch.cat([first - 2 * (first - 5).clamp(min=0), y[..., 1:]], -1)


# --- tensors that are not their own, losses and diagnoses that are other in evaluation ---------------------------


@kills("deploy.tensors")
class ParametersOverlap(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        flat = torch.zeros(2 * y_dim)
        self.log_scale, self.shift = nn.Parameter(flat[:y_dim]), nn.Parameter(flat[y_dim - 1 : -1])

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.exp() + self.shift


@kills("io.preflight")
class ParameterIsExpanded(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.shift = nn.Parameter(torch.zeros(1).expand(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + self.shift


@kills("structure.regularisers")
class LossOtherInEvaluation(Regularised):
    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z, terms = super().map_with_regularisers(y)
        return z, {name: term * (1 if self.training else 3) for name, term in terms.items()}


@kills("structure.regularisers")
class NoLossInEvaluation(Regularised):
    @property
    def regularisers(self) -> dict[str, float]:
        return {self.name: 1.0} if self.training else {}


@kills("structure.diagnose")
class DiagnosisLeavesEvaluation(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        self.eval()
        return {"mean": float(self(y).mean())}


@kills("structure.diagnose")
class DiagnosisDraws(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {"share": float((self(y) > torch.randn(self.y_dim)).float().mean())}


@kills("structure.diagnose")
class DiagnosisCentresY(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        y -= y.mean(0)
        return {"spread": float(y.abs().mean())}
