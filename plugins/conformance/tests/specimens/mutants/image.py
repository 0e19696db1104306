"""Which faults must the checks of the group `image` find: a density that is not that of the image.

The correct mappings that they are made from, one that keeps a direction and one that forgets signs, are here too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intel_core.helpers.projected_normal import direction_log_prob, log_sphere_area
from intel_core.mappings.properties import Properties
from specimens.mutant import Sound, kills, norm_of


def normal_log_prob(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log N(y; mean, exp(log_variance)) of each dimension."""
    squares: Tensor = (y - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2 * math.pi))


class Direction(Sound):
    """A sphere without a fault."""

    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y / (norm_of(y) + 1e-7)

    @property
    def pushed(self) -> tuple[int, ...]:
        return tuple(range(self.y_dim))

    @property
    def scale_free(self) -> tuple[tuple[int, ...], ...]:
        return (tuple(range(self.y_dim)),)

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return direction_log_prob(y, mean, log_variance)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return y.new_full((), -log_sphere_area(self.y_dim))


class Folded(Sound):
    """The magnitude of each dimension, without a fault."""

    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y.abs()

    @property
    def pushed(self) -> tuple[int, ...]:
        return tuple(range(self.y_dim))

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        both = [normal_log_prob(value, mean, log_variance) for value in (y, -y)]
        return torch.logaddexp(*both).sum(-1)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return self.pushforward_log_prob(y, torch.zeros_like(y), torch.zeros_like(y))


# --- the contract -------------------------------------------------------------------------------------------------


@kills("image.contract")
class PushesADimensionThatIsNone(Direction):
    @property
    def pushed(self) -> tuple[int, ...]:
        return tuple(range(1, self.y_dim + 1))

    scale_free = ()


@kills("image.contract")
class PushesADimensionTwice(Direction):
    @property
    def pushed(self) -> tuple[int, ...]:
        return (0, 0)

    scale_free = ()


@kills("image.contract", 3)
class OneDensityForEachDimension(Folded):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().pushforward_log_prob(y, mean, log_variance).unsqueeze(-1)


@kills("image.float32")
class MultipliesSquaresOut(Folded):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        precision = torch.exp(-log_variance)
        squares, product = (y.square() + mean.square()) * precision, 2 * y * mean * precision
        both = torch.logaddexp(-0.5 * (squares - product), -0.5 * (squares + product))
        return (both - 0.5 * (log_variance + math.log(2 * math.pi))).sum(-1)


@kills("image.contract", 2, ("float32",))
class AreaInFloat64(Direction):
    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return torch.full(y.shape[:-1], -log_sphere_area(self.y_dim), dtype=torch.float64)


@kills("image.contract", 3)
class DirectionOfNothing(Direction):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().pushforward_log_prob(y / norm_of(y), mean, log_variance)


@kills("image.contract")
class LogarithmOfASum(Folded):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        both = [normal_log_prob(value, mean, log_variance).exp() for value in (y, -y)]
        return torch.log(both[0] + both[1]).sum(-1)


@kills("image.gradients")
class StopsTheGradientOfTheDraw(Direction):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().pushforward_log_prob(y.detach(), mean, log_variance)


@kills("image.gradients")
class StopsTheGradientOfTheSpread(Folded):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().pushforward_log_prob(y, mean, log_variance.detach())


# --- densities ----------------------------------------------------------------------------------------------------


@kills("image.mass", 3)
class TermLeftOut(Direction):
    """Of what depends on the posterior alone, so that the shape of the density is right."""

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        missing = 0.2 * (mean.square() * torch.exp(-log_variance)).sum(-1).clamp(max=2.0)
        return super().pushforward_log_prob(y, mean, log_variance) - missing


@kills("image.mass")
class TermLeftOutFarAway(Direction):
    """A hundredth of a nat, and only where the mean is more than eight deviations away."""

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        away = norm_of(mean * torch.exp(-0.5 * log_variance)).squeeze(-1)
        return super().pushforward_log_prob(y, mean, log_variance) - 0.01 * (away > 8)


@kills("image.kl", 3)
class DensityOfAnotherPrior(Direction):
    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        log_variance = torch.linspace(-0.3, 0.3, self.y_dim).to(y)
        return direction_log_prob(y, torch.zeros_like(log_variance), log_variance)


@kills("image.kl", 3)
class FormulaForLargeMeansIsWrong(Direction):
    """As if exp(D²/2) had been counted twice where the mean is many deviations away."""

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        away = (mean.square() * torch.exp(-log_variance)).sum(-1)
        more = 0.5 * torch.where(away > 100, away, 0.0)
        return super().pushforward_log_prob(y, mean, log_variance) + more


@kills("image.histogram")
class CapsTheMean(Direction):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        away = norm_of(mean * torch.exp(-0.5 * log_variance))
        return super().pushforward_log_prob(y, mean * 1.5 / away.clamp(min=1.5), log_variance)


@kills("image.histogram", 3)
class OneSpreadForAllWhereTheyDiffer(Direction):
    """The mean variance, if the mean is more than a deviation away."""

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        away = norm_of(mean * torch.exp(-0.5 * log_variance))
        even = log_variance.mean(-1, keepdim=True).expand_as(log_variance)
        return super().pushforward_log_prob(y, mean, torch.where(away > 1.1, even, log_variance))


# --- a function of z ----------------------------------------------------------------------------------------------


@kills("image.same_z")
class ForgetsTheOtherSign(Folded):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return normal_log_prob(y, mean, log_variance).sum(-1)


@kills("image.same_z")
class OneTurnOfMany(Folded):
    """An angle of which all turns but one are forgotten."""

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = 2 * y_dim

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y.cos(), y.sin()], -1)

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return normal_log_prob(y, mean, log_variance).sum(-1)


@kills("image.scale_free", 3)
class ClampsTheSpread(Direction):
    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return super().pushforward_log_prob(y, mean, log_variance.clamp(min=-8.0))


@kills("image.scale_free")
class SaysThatScaleIsFree(Folded):
    scale_free = ((0, 1),)


@kills("image.scale_free", 3)
class BlocksOverlap(Direction):
    scale_free = ((0, 1), (1, 2))


@kills("image.scale_free", 3)
class FreesWhatItKeeps(Direction):
    """A circle, whose last dimension is kept, and yet said to be free of scale."""

    scale_free = ((0, 1, 2),)

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([super().forward(y[..., :2]), y[..., 2:]], -1)

    @property
    def pushed(self) -> tuple[int, ...]:
        return (0, 1)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return y.new_full((), -log_sphere_area(2))


@kills("image.directions", 3)
class LeavesADimensionOut(Direction):
    kept_directions = ((0, 1),)


@kills("image.directions")
class KeepsLessThanDirections(Direction):
    """Each direction is the same as its opposite."""

    def forward(self, y: Tensor) -> Tensor:
        z = super().forward(y)
        return torch.stack([z[..., 0].square(), z[..., 1].square(), z[..., 0] * z[..., 1]], -1)

    @property
    def kept_directions(self) -> tuple[tuple[int, ...], ...]:
        return self.scale_free

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        both = [super(KeepsLessThanDirections, self).pushforward_log_prob(x, mean, log_variance) for x in (y, -y)]
        return torch.logaddexp(*both)

    def pushforward_log_prior(self, y: Tensor) -> Tensor:
        return super().pushforward_log_prior(y) + math.log(2)
