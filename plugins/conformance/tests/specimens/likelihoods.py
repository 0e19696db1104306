"""Which faults of likelihoods must the checks find? At least one for each check."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intel_core import DataError, Likelihood, LikelihoodSpec
from specimens.rival import kills, spec_faults

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_builds = itertools.count(1)


# --- without a fault ---------------------------------------------------------------------------------------------


class Noise(Likelihood):
    """Gaussian noise: the decoder gives a mean, which a parameter shifts, and a log-deviation between -2 and 2."""

    params_per_value = 2

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.1))

    def split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        mean, raw = params.chunk(2, -event_dims)
        return mean + self.shift, 2 * torch.tanh(raw / 2)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        mean, log_std = self.split(params, x.dim() - 1)
        return -0.5 * ((x - mean) * torch.exp(-log_std)).square() - log_std - _HALF_LOG_2PI

    def mean(self, params: Tensor) -> Tensor:
        return self.split(params, params.dim() - 1)[0]

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, log_std = self.split(params, params.dim() - 1)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + torch.exp(log_std) * noise


class Counts(Likelihood):
    """Counts of a geometric distribution; the decoder gives the logarithm of their mean, between e^-4 and e^4."""

    def log_mean(self, params: Tensor) -> Tensor:
        return 4 * torch.tanh(params / 4)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        log_mean = self.log_mean(params)
        return x * log_mean - (x + 1) * torch.nn.functional.softplus(log_mean)

    def mean(self, params: Tensor) -> Tensor:
        return torch.exp(self.log_mean(params))

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        u = torch.empty_like(params).uniform_(generator=generator).clamp_min(1e-300)
        return torch.floor(torch.log(u) / -torch.nn.functional.softplus(-self.log_mean(params)))


class LogNormal(Likelihood):
    """Positive values, whose logarithm has a mean by the decoder and a deviation of 0.5."""

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        log_x = torch.log(x)
        return -2 * (log_x - self.middle(params)).square() - log_x - _HALF_LOG_2PI + math.log(2)

    def middle(self, params: Tensor) -> Tensor:
        return 3 * torch.tanh(params / 3)

    def mean(self, params: Tensor) -> Tensor:
        return torch.exp(self.middle(params) + 0.125)

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(params.shape, generator=generator, dtype=params.dtype, device=params.device)
        return torch.exp(self.middle(params) + 0.5 * noise)


class Levels(Likelihood):
    """256 levels of grey, k / 255, with probabilities as of a Gaussian around the decoder's output in [0, 1]."""

    def logits(self, params: Tensor) -> Tensor:
        grid = torch.arange(256, dtype=params.dtype, device=params.device) / 255
        return torch.log_softmax(-20 * (torch.sigmoid(params)[..., None] - grid).square(), -1)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        logits = self.logits(params)
        place = (x * 255).round().nan_to_num(0).clamp(0, 255).long().expand(logits.shape[:-1])[..., None]
        return logits.gather(-1, place)[..., 0]

    def mean(self, params: Tensor) -> Tensor:
        logits = self.logits(params)
        return (logits.exp() * torch.arange(256, dtype=params.dtype, device=params.device) / 255).sum(-1)

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        share = self.logits(params).exp()
        place = torch.multinomial(share.flatten(0, -2), 1, generator=generator)
        return place.reshape(params.shape).to(params) / 255


class NoiseSpec(LikelihoodSpec):
    """Gaussian noise of a learned size."""

    supports: ClassVar[Any] = ("real",)

    def build(self) -> Likelihood:
        return Noise()


# --- calls -------------------------------------------------------------------------------------------------------


@kills("likelihood", "io.shape")
class KeepsADimension(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(params, x)[..., None]


@kills("likelihood", "io.shape")
class VectorsOnly(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self.log_density(params, x).sum(-1)


@kills("likelihood", "io.shape")
class CountIsAFraction(Noise):
    params_per_value = 2.0  # type: ignore[assignment]


@kills("likelihood", "io.particles")
class MixesParticles(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        found = super().log_prob(params, x)
        return found.mean(0, keepdim=True).expand_as(found) if params.dim() > x.dim() else found


@kills("likelihood", "io.dtype")
class AlwaysDouble(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x).double()


@kills("likelihood", "io.precision")
class Cancels(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return (super().log_density(params, x) + 1e6) - 1e6


@kills("likelihood", "io.precision")
class AlwaysSingle(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params.float().double(), x.float().double()).float().to(params.dtype)


@kills("likelihood", "io.input")
class InPlace(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        found = super().log_prob(params, x)
        with torch.no_grad():
            params.clamp_(-1, 1)
        return found


@kills("likelihood", "io.device")
class OnTheCPU(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x) + torch.zeros(x.shape[-1], dtype=x.dtype)


@kills("likelihood", "io.support")
class SaysUnitSpec(NoiseSpec):
    """Real values, of which it says that they lie between 0 and 1."""

    supports: ClassVar[Any] = ("binary", "unit")


@kills("likelihood", "io.support")
class SaysNothingSpec(NoiseSpec):
    """Real values."""

    supports: ClassVar[Any] = ()


@kills("likelihood", "io.support")
class RefusesItsDrawsSpec(NoiseSpec):
    """Real values, of which the negative ones are refused."""

    def check_data(self, dataset: Any) -> None:
        if bool((dataset.train.x < 0).any()):
            raise DataError("a value is negative")


@kills("likelihood", "rows.alone")
class CentredByTheBatch(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(params, x - 0.01 * x.mean(0))


@kills("likelihood", "mode.repeat")
class RandomInside(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x + 1e-3 * torch.rand(x.shape).to(x))


@kills("likelihood", "mode.train_eval")
class WiderInTraining(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params * (1.01 if self.training else 1), x)


@kills("likelihood", "mode.state")
class CountsCalls(Noise):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def mean(self, params: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return super().mean(params)


@kills("likelihood", "mode.draws")
class OwnRandomness(Noise):
    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(params)


@kills("likelihood", "mode.draws")
class DrawsTheMean(Noise):
    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.mean(params)


@kills("likelihood", "finite.values")
class Overflows(Noise):
    def split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        mean, raw = params.chunk(2, -event_dims)
        return mean + self.shift, raw


@kills("likelihood", "finite.gradients")
class NormOfOutputs(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(params, x) - 1e-9 * params.flatten(1 - x.dim()).square().sum(-1).sqrt()


@kills("likelihood", "finite.equal")
class SpreadOfTheBatch(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, (x - x.mean(0)) / x.std(0))


@kills("likelihood", "finite.equal")
class RootOfTheError(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        error = (x - self.split(params, x.dim() - 1)[0]).square().sqrt()
        return super().log_density(params, x) - 0 * error


# --- densities ---------------------------------------------------------------------------------------------------


@kills("likelihood", "density.mass")
class NoConstant(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x) + _HALF_LOG_2PI


@kills("likelihood", "density.mass")
class CountsFromOne(Counts):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x - 1)


@kills("likelihood", "density.mass")
class NoJacobian(LogNormal):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x) + torch.log(x)


@kills("likelihood", "density.mass")
class DensityOfLevels(Levels):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x) + math.log(255)


@kills("likelihood", "density.values")
class MeanOverValues(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(params, x) / (x[0].numel())


@kills("likelihood", "density.values")
class ConstantOfOneValue(Noise):
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(params, x) + _HALF_LOG_2PI * (x[0].numel() - 1)


@kills("likelihood", "density.draws")
class WiderDraws(Noise):
    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean = self.mean(params)
        return mean + 1.3 * (super().sample(params, generator) - mean)


@kills("likelihood", "density.draws")
class RoundsUp(Counts):
    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        found = super().sample(params, generator)
        return found + (found > 3)


@kills("likelihood", "density.mean")
class ModeForMean(Counts):
    def mean(self, params: Tensor) -> Tensor:
        return 0.5 * super().mean(params)


@kills("likelihood", "density.mean")
class MedianForMean(LogNormal):
    def mean(self, params: Tensor) -> Tensor:
        return torch.exp(self.middle(params))


@kills("likelihood", "density.mean_log_prob")
class SumOverRows(Noise):
    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self.log_prob(params, x).sum()


@kills("likelihood", "density.mean_log_prob")
class MeanOfAllValues(Noise):
    def mean_log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self.log_density(params, x).mean()


@kills("likelihood", "density.mean_log_prob")
class WrongGradient(Noise):
    def mean_log_prob_and_gradient(self, params: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean_log_prob(params, x), torch.zeros_like(params)


# --- gradients and state -----------------------------------------------------------------------------------------


@kills("likelihood", "grad.input")
class DetachedMean(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        half = params.shape[1 - x.dim()] // 2
        return super().log_density(torch.cat([params[..., :half].detach(), params[..., half:]], -1), x)


@kills("likelihood", "grad.parameters")
class DetachedShift(Noise):
    def split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        mean, log_std = super().split(params, event_dims)
        return mean - self.shift + self.shift.detach(), log_std


@kills("likelihood", "grad.features", status="warned")
class IgnoresDeviations(Noise):
    def split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        mean, log_std = super().split(params, event_dims)
        return mean, 0 * log_std


@kills("likelihood", "deploy.state")
class KeptOutside(Noise):
    def __init__(self) -> None:
        super().__init__()
        self.offset = float(torch.rand(()))

    def split(self, params: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        mean, log_std = super().split(params, event_dims)
        return mean + self.offset, log_std


@kills("likelihood", "deploy.copy")
class Shares(Noise):
    def __deepcopy__(self, memo: Any) -> Any:
        return self


@kills("likelihood", "deploy.pickle", status="warned")
class HoldsAFunction(Noise):
    def __init__(self) -> None:
        super().__init__()
        self.squash = lambda raw: 2 * torch.tanh(raw / 2)


@kills("likelihood", "deploy.vmap", status="warned")
class BranchesOnValues(Noise):
    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return super().log_density(params, x) if float(x.max()) < 1e9 else x


class _CountsBuilds(Noise):
    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.shift.add_(1e-3 * next(_builds))


@kills("likelihood", "deploy.spec")
class CountsBuildsSpec(NoiseSpec):
    """Noise that is another each time."""

    def build(self) -> Likelihood:
        return _CountsBuilds()


spec_faults("likelihood", NoiseSpec)
SOUND = {"noise": NoiseSpec(), "counts": Counts, "positive": LogNormal, "levels": Levels}
