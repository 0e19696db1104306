"""Which faults show only in float32, only where y wants a gradient, or only after another call?"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from specimens.mutant import Scaled, Sound, kills

ONCE = ("float64",)
"""The check sets precisions of its own."""

# --- values ------------------------------------------------------------------------------------------------------


@kills("io.float32", dtypes=ONCE)
class JumpsInSingle(Sound):
    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return z + 0.5 * (y[..., :1] > 1.5) if y.dtype == torch.float32 else z


@kills("io.float32", dtypes=ONCE)
class SquaresInSingle(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y).square() if y.dtype != torch.float64 else self.sound(y)


@kills("io.float32", dtypes=ONCE)
class NoiseInSingle(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + (0.01 * torch.sin(1e6 * y) if y.dtype == torch.float32 else 0.0)


@kills("io.float32", dtypes=ONCE)
class SumWithALargeConstant(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound((y + 1e4) - 1e4)


@kills("io.float32", dtypes=ONCE)
class VarianceBySquares(Sound):
    """The mean of squares minus the square of the mean, of numbers far from 0."""

    def forward(self, y: Tensor) -> Tensor:
        far = y + 300.0
        variance = far.square().mean(-1, keepdim=True) - far.mean(-1, keepdim=True).square()
        return torch.cat([y[..., 1:], variance], -1)


@kills("io.float32", dtypes=ONCE)
class OnlyInEvaluation(Sound):
    def forward(self, y: Tensor) -> Tensor:
        wrong = y.dtype == torch.float32 and not self.training
        return self.sound(y) * (1.01 if wrong else 1.0)


# --- gradients ---------------------------------------------------------------------------------------------------


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * (2.0 if gradient.dtype == torch.float32 else 1.0)


@kills("grad.float32", dtypes=ONCE)
class GradientOfSingleIsDoubled(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(_Doubled.apply(y))


@kills("grad.float32", dtypes=ONCE)
class ParameterOfSingleIsDoubled(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * _Doubled.apply(self.log_scale).exp()


@kills("grad.paths")
class LearnsOnlyWithoutY(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        scale = self.log_scale.detach() if y.requires_grad else self.log_scale
        return self.sound(y) * scale.exp()


@kills("grad.paths")
class LearnsOnlyFromLeaves(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (self.log_scale if y.is_leaf else self.log_scale.detach()).exp()


@kills("grad.paths")
class HalfTheGradientOfWhatIsComputed(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y if y.is_leaf else 0.5 * y + 0.5 * y.detach())


@kills("grad.paths")
class KeepsWhatNoGradComputed(Scaled):
    kept: tuple[int, Tensor] | None = None

    def forward(self, y: Tensor) -> Tensor:
        version = self.log_scale._version
        if self.kept is None or self.kept[0] != version or self.kept[1].dtype != y.dtype:
            self.kept = (version, self.log_scale.exp())
        scale = self.kept[1] if not self.kept[1].requires_grad or not torch.is_grad_enabled() else self.log_scale.exp()
        return self.sound(y) * scale


@kills("grad.paths")
class KeepsItsGraph(Scaled):
    kept: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self.kept is None or self.kept.dtype != y.dtype:
            self.kept = self.log_scale.exp()
        return self.sound(y) * self.kept

    def __deepcopy__(self, memo: Any) -> KeepsItsGraph:
        other = KeepsItsGraph(self.y_dim)
        other.log_scale = nn.Parameter(self.log_scale.detach().clone())
        return other


# --- what is hidden ----------------------------------------------------------------------------------------------


@kills("mode.settings")
class DependsOnThreads(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1 + 0.01 * torch.get_num_threads())


@kills("mode.settings")
class DependsOnTheSeed(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + (torch.initial_seed() % 97) / 97


@kills("mode.settings")
class DependsOnTheDefault(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + (0.1 if torch.get_default_dtype() == torch.float64 else 0.0)


@kills("mode.converted", dtypes=ONCE)
class KeepsTheFirstDtype(Sound):
    kept: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = torch.full((self.y_dim,), 0.1, dtype=y.dtype)
        return self.sound(y) + self.kept.to(y)


@kills("mode.process")
class DependsOnTheHash(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + hash("mapping") % 1_000_003 / 1_000_003  # two processes seldom agree by chance


@kills("mode.process")
class OrderOfASet(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        order = [*{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}]
        self.factor = 1 + sum(order.index(word) * 0.07**power for power, word in enumerate("ajdgb", 1))

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.factor


# --- gradients that only large batches, particles or large losses show -------------------------------------------


@kills("io.float32", dtypes=ONCE)
class CancelsFourThousand(Sound):
    """Near 0 that is a few thousandths of a per cent, and further out nothing."""

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + (y + 4e3) - 4e3 - y


class WithALoss(Scaled):
    """The size of z is an auxiliary loss."""

    regularisers: ClassVar[dict[str, float]] = {"size": 0.5}

    def term(self, y: Tensor, z: Tensor) -> Tensor:
        return z.square().mean()

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self(y)
        return z, {"size": self.term(y, z)}


@kills("grad.float32", dtypes=ONCE)
class LossDetachedInSingle(WithALoss):
    def term(self, y: Tensor, z: Tensor) -> Tensor:
        given: Tensor = self(y.detach()) if y.dtype == torch.float32 else z
        return given.square().mean()


@kills("grad.float32", dtypes=ONCE)
class LossOfSingleIsLarger(WithALoss):
    def term(self, y: Tensor, z: Tensor) -> Tensor:
        larger = z.square().mean().detach() * 0.2 if y.dtype == torch.float32 else 0.0
        return z.square().mean() + larger


@kills("grad.paths")
class LearnsFromFewRows(Scaled):
    """A path for many rows has no gradient of the parameter."""

    def forward(self, y: Tensor) -> Tensor:
        scale = self.log_scale.exp()
        return self.sound(y) * (scale.detach() if y.shape[:-1].numel() > 500 else scale)


@kills("grad.paths")
class LearnsFromOneParticle(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        scale = self.log_scale.exp()
        return self.sound(y) * (scale.detach() if y.dim() == 3 else scale)


class _Clipped(torch.autograd.Function):
    """Passes values on, and gradients of at most 20."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(-20, 20)


@kills("grad.paths")
class ClipsLargeGradients(Scaled):
    """Which a sum over many pixels has."""

    def forward(self, y: Tensor) -> Tensor:
        z: Tensor = _Clipped.apply(self.sound(y) * self.log_scale.exp())
        return z
