"""Which faults of priors and posteriors must the checks find? At least one for each check of each kind."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from intel_core.model.contract import PosteriorSpec, PriorSpec
from intel_core.model.posterior import DiagonalGaussian
from intel_core.model.prior import StandardNormal
from specimens.rival import RIVALS, Rival, kills, spec_faults

_LOG_2PI = math.log(2 * math.pi)


# --- without a fault ---------------------------------------------------------------------------------------------


class Bumps(nn.Module):
    """Two Gaussians at ±2 on the diagonal, their log-deviations learned."""

    k = 2

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim, self.noise_dim = y_dim, y_dim + 1
        self.log_std = nn.Parameter(torch.full((y_dim,), -0.4))

    def signs(self, like: Tensor) -> Tensor:
        return torch.tensor([-2.0, 2.0], dtype=like.dtype, device=like.device)

    def draw(self, noise: Tensor) -> Tensor:
        side = torch.where(noise[..., :1] < 0, -2.0, 2.0)
        return side + noise[..., 1:] * self.log_std.exp()

    def joint(self, y: Tensor) -> Tensor:
        """By component and dimension, ``(..., 2, y_dim)``."""
        off = (y.unsqueeze(-2) - self.signs(y)[:, None]) * torch.exp(-self.log_std)
        return -0.5 * (off.square() + _LOG_2PI) - self.log_std

    def log_prob(self, y: Tensor) -> Tensor:
        return torch.logsumexp(self.joint(y).sum(-1), -1) - math.log(2)

    def log_responsibilities(self, y: Tensor) -> Tensor:
        return torch.log_softmax(self.joint(y).sum(-1), -1)


class Family(nn.Module):
    """Diagonal Gaussians, their means shifted by a learned parameter."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.features, self.noise_dim = 2 * y_dim, y_dim
        self.shift = nn.Parameter(torch.full((y_dim,), 0.1))

    def forward(self, features: Tensor) -> Any:
        mean, log_variance = features.chunk(2, -1)
        return self.of(mean + self.shift, log_variance)

    def of(self, mean: Tensor, log_variance: Tensor) -> Any:
        return Q(mean, log_variance)


class Q(NamedTuple):
    mean: Tensor
    log_variance: Tensor

    @property
    def std(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    def rsample(self, noise: Tensor) -> Tensor:
        return self.mean + noise * torch.exp(0.5 * self.log_variance)

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise)


def gaussian_log_q(q: Any, noise: Tensor) -> Tensor:
    return -0.5 * (noise.square() + q.log_variance + _LOG_2PI).sum(-1)


# --- priors: calls -----------------------------------------------------------------------------------------------


@kills("prior", "io.shape")
class KeepsADimension(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y)[..., None]


@kills("prior", "io.shape")
class OnlyMatrices(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise).reshape(noise.shape[0], -1)


@kills("prior", "io.dtype")
class AlwaysDouble(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y.double())


@kills("prior", "io.precision")
class AlwaysSingle(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y.float().double()).float().to(y.dtype)


@kills("prior", "io.precision")
class CancelsInSingle(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return (super().draw(noise) + 1e6) - 1e6


@kills("prior", "io.input")
class InPlace(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        found = super().log_prob(y)
        with torch.no_grad():
            y.clamp_(-1, 1)
        return found


@kills("prior", "io.device")
class OnTheCPU(Bumps):
    def signs(self, like: Tensor) -> Tensor:
        return torch.tensor([-2.0, 2.0], dtype=like.dtype)


@kills("prior", "rows.alone")
class CentredByTheBatch(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        flat = y.reshape(-1, self.y_dim)
        return super().log_prob(y - 0.01 * flat.mean(0) if len(flat) > 1 else y)


@kills("prior", "mode.repeat")
class RandomInside(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise) + 1e-3 * torch.randn(self.y_dim).to(noise)


@kills("prior", "mode.train_eval")
class WiderInTraining(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise) * (1.05 if self.training else 1.0)


@kills("prior", "mode.state")
class Counts(Bumps):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def draw(self, noise: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return super().draw(noise)


# --- priors: numbers ---------------------------------------------------------------------------------------------


@kills("prior", "finite.values")
class LogOfASum(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return self.joint(y).sum(-1).exp().sum(-1).log() - math.log(2)


@kills("prior", "finite.gradients")
class NormAtTheOrigin(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y.square().sum(-1, keepdim=True).sqrt() * 1e-9 + y)


@kills("prior", "density.mass")
class ForgetsLog2Pi(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) + 0.5 * self.y_dim * _LOG_2PI


@kills("prior", "density.mass", y_dim=1)
class ForgetsTheShares(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) + math.log(2)


@kills("prior", "density.mass", y_dim=4)
class DeviationCountedOnce(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) + self.log_std[:-1].sum()


class OneAndAHalfTimes(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) + math.log(1.5)


for _dims in (3, 10, 40):
    kills("prior", "density.mass", _dims)(OneAndAHalfTimes)


@kills("prior", "density.mass", y_dim=10)
class OtherSharesThanDrawn(Bumps):
    """Normalised, and right but for the shares."""

    def log_prob(self, y: Tensor) -> Tensor:
        shares = torch.tensor([0.3, 0.7], dtype=y.dtype, device=y.device)
        return torch.logsumexp(self.joint(y).sum(-1) + shares.log(), -1)


@kills("prior", "density.characteristic", y_dim=10)
class WiderThanDrawn(Bumps):
    """Normalised, of other deviations."""

    def joint(self, y: Tensor) -> Tensor:
        off = (y.unsqueeze(-2) - self.signs(y)[:, None]) * torch.exp(-self.log_std) / 1.3
        return -0.5 * (off.square() + _LOG_2PI) - self.log_std - math.log(1.3)


@kills("prior", "density.draws", y_dim=10)
class ShiftedAgainstDraws(Bumps):
    """Normalised, of other means."""

    def joint(self, y: Tensor) -> Tensor:
        return super().joint(y + 0.25)


class SpikesSpec(PriorSpec):
    """Each dimension is 0 with probability 0.7, else N(0, 1)."""

    measure = "atom0"

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        return Spikes(y_dim)


class Spikes(nn.Module):
    at_zero = 0.7

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.noise_dim = 2 * y_dim

    def draw(self, noise: Tensor) -> Tensor:
        which, values = noise.chunk(2, -1)
        return torch.where(torch.special.ndtr(which) < 0.3, values, 0.0)

    def log_prob(self, y: Tensor) -> Tensor:
        slab = math.log(0.3) - 0.5 * (y.square() + _LOG_2PI)
        return torch.where(y == 0, torch.full_like(y, math.log(self.at_zero)), slab).sum(-1)


@kills("prior", "density.mass")
class ForgetsTheSpikeSpec(SpikesSpec):
    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        prior = Spikes(y_dim)
        prior.at_zero = 0.3
        return prior


@kills("prior", "density.mass", y_dim=10)
class TooDenseSpikesSpec(SpikesSpec):
    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        prior = Spikes(y_dim)
        prior.at_zero = 0.7 * 1.5**0.1
        return prior


@kills("prior", "density.characteristic")
class SumOfLogsByDimension(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return (torch.logsumexp(self.joint(y), -2) - math.log(2)).sum(-1)


@kills("prior", "density.draws", y_dim=1)
class DrawsTooWide(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return torch.where(noise[..., :1] < 0, -2.0, 2.0) + 1.3 * noise[..., 1:] * self.log_std.exp()


@kills("prior", "density.draws")
class DrawsFromOneBump(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return torch.where(noise[..., :1] < 0.5, -2.0, 2.0) + noise[..., 1:] * self.log_std.exp()


@kills("prior", "density.responsibilities")
class Unnormalised(Bumps):
    def log_responsibilities(self, y: Tensor) -> Tensor:
        return self.joint(y).sum(-1)


@kills("prior", "kl.closed_form")
class HalfForgotten(StandardNormal):
    def kl(self, posterior: DiagonalGaussian) -> Tensor:
        return 2 * posterior.kl()


@kills("prior", "bound.evidence")
class DrawsOfAnother(Bumps):
    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise) * 0.5


@kills("prior", "grad.input")
class DetachesY(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(0.5 * y + 0.5 * y.detach())


@kills("prior", "grad.parameters")
class DetachesItsParameters(Bumps):
    def joint(self, y: Tensor) -> Tensor:
        log_std = self.log_std.detach()
        return -0.5 * (((y.unsqueeze(-2) - self.signs(y)[:, None]) / log_std.exp()).square() + _LOG_2PI) - log_std


# --- priors: state -----------------------------------------------------------------------------------------------


@kills("prior", "deploy.state")
class PlacesOutsideTheState(Bumps):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.scale = [float(value) for value in torch.rand(y_dim)]

    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise) * torch.tensor(self.scale, dtype=noise.dtype)


@kills("prior", "deploy.copy")
class SharesItsWeights(Bumps):
    def __deepcopy__(self, memo: Any) -> Any:
        return self


class Unlike(nn.Module):
    """Multiplies by what is forgotten when it is pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.5

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "factor": 1.0}

    def __deepcopy__(self, memo: Any) -> Any:
        return Unlike()


@kills("prior", "deploy.pickle")
class ForgetsWhenPickled(Bumps):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.unlike = Unlike()

    def draw(self, noise: Tensor) -> Tensor:
        return super().draw(noise) * self.unlike.factor


@kills("prior", "deploy.vmap")
class OthersByDimension(Bumps):
    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) * (1.0 if y.dim() > 1 else 1.01)


_builds = iter(range(10**9))


@kills("prior", "deploy.spec")
class CountsBuildsSpec(PriorSpec):
    """A prior that is another each time."""

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        prior = Bumps(y_dim)
        with torch.no_grad():
            prior.log_std.add_(1e-3 * next(_builds))
        return prior


class _Described(PriorSpec):
    """Two bumps."""

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Any:
        return Bumps(y_dim)


spec_faults("prior", _Described)


# --- posteriors --------------------------------------------------------------------------------------------------


def family(id: str, kind_of_q: Any = None, y_dim: int = 2, **changes: Any) -> None:
    """Register a family of another Q, or with methods replaced."""

    def build(y_dim: int, q: Any = kind_of_q) -> Any:
        found = type("Changed", (Family,), changes)(y_dim)
        if q is not None:
            found.of = q
        return found

    build.__name__ = f"{id.replace('.', '_')}_{sum(rival.kills == id for rival in RIVALS)}"
    RIVALS.append(Rival(build.__name__, "posterior", id, build, y_dim))


class _KeepsADimension(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise)[..., None]


class _Double(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise).double()


class _Single(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return super().rsample(noise.float().double()).float().to(noise.dtype)


class _InPlace(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        found = super().rsample(noise)
        with torch.no_grad():
            noise.mul_(0.5)
        return found


class _OnTheCPU(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return super().rsample(noise) + torch.ones(self.mean.shape[-1], dtype=noise.dtype)


class _ByTheBatch(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return super().rsample(noise) + 0.01 * (self.mean.mean(0) - self.mean[:1].mean(0))


class _Random(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return super().rsample(noise) + 1e-3 * torch.randn(self.mean.shape[-1]).to(noise)


class _Overflows(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return self.mean + noise * torch.exp(self.log_variance.exp())


class _Norm(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return super().rsample(noise) + 1e-9 * self.log_variance.square().sum(-1, keepdim=True).sqrt()


class _AnotherDraw(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean + 1.1 * (self.rsample(noise) - self.mean), gaussian_log_q(self, noise)


class _WrongSign(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), -0.5 * (noise.square() - self.log_variance + _LOG_2PI).sum(-1)


class _NoConstant(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), -0.5 * (noise.square() + self.log_variance).sum(-1)


class _TooSmall(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise) - 1.0


class _OneAndAHalfTimes(Q):
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise) + math.log(1.5)


class _VarianceForStd(Q):
    @property
    def std(self) -> Tensor:
        return 100 * torch.exp(0.5 * self.log_variance)


class _DetachedMean(Q):
    def rsample(self, noise: Tensor) -> Tensor:
        return self.mean.detach() + noise * torch.exp(0.5 * self.log_variance)


class _WrongKL(DiagonalGaussian):
    """What the prior standard takes for a Gaussian of half the variance."""

    def rsample(self, noise: Tensor) -> Tensor:
        return self.mean + math.sqrt(0.5) * noise * self.std

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.rsample(noise), gaussian_log_q(self, noise) + 0.5 * math.log(2) * self.mean.shape[-1]


class _NoTuple:
    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.q = Q(mean, log_variance)
        self.mean, self.std = self.q.mean, self.q.std

    def rsample(self, noise: Tensor) -> Tensor:
        return self.q.rsample(noise)

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.q.draw(noise)


def _training(self: Any, features: Tensor) -> Any:
    mean, log_variance = features.chunk(2, -1)
    return Q(mean + self.shift * (2 if self.training else 1), log_variance)


def _counting(self: Any, features: Tensor) -> Any:
    with torch.no_grad():
        self.shift.add_(1e-3)
    return Family.forward(self, features)


def _detached(self: Any, features: Tensor) -> Any:
    mean, log_variance = features.chunk(2, -1)
    return Q(mean + self.shift.detach(), log_variance)


def _unused(self: Any, features: Tensor) -> Any:
    mean, log_variance = features.chunk(2, -1)
    return Q(mean + self.shift, 0 * log_variance.detach())


def _by_size(self: Any, features: Tensor) -> Any:
    mean, log_variance = features.chunk(2, -1)
    return Q(mean + self.shift * (1.0 if len(features) > 1 else 1.01), log_variance)


class _Kept(Family):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.offset = float(torch.rand(()))

    def of(self, mean: Tensor, log_variance: Tensor) -> Any:
        return Q(mean + self.offset, log_variance)


class _Shares(Family):
    def __deepcopy__(self, memo: Any) -> Any:
        return self


class _Pickled(Family):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.unlike = Unlike()

    def of(self, mean: Tensor, log_variance: Tensor) -> Any:
        return Q(mean * self.unlike.factor, log_variance)


for _id, _q in {
    "io.shape": _KeepsADimension,
    "io.dtype": _Double,
    "io.precision": _Single,
    "io.input": _InPlace,
    "io.tensors": _NoTuple,
    "io.device": _OnTheCPU,
    "rows.alone": _ByTheBatch,
    "mode.repeat": _Random,
    "finite.values": _Overflows,
    "finite.gradients": _Norm,
    "density.rsample": _AnotherDraw,
    "density.jacobian": _WrongSign,
    "density.mass": _NoConstant,
    "density.moments": _VarianceForStd,
    "kl.closed_form": _WrongKL,
    "bound.evidence": _TooSmall,
    "grad.input": _DetachedMean,
}.items():
    family(_id, _q)
for _dims in (10, 40):
    family("density.mass", _OneAndAHalfTimes, _dims)
for _id, _forward in {
    "mode.train_eval": _training,
    "mode.state": _counting,
    "grad.parameters": _detached,
    "grad.features": _unused,
    "deploy.vmap": _by_size,
}.items():
    family(_id, forward=_forward)
for _id, _class in {"deploy.state": _Kept, "deploy.copy": _Shares, "deploy.pickle": _Pickled}.items():
    RIVALS.append(Rival(_class.__name__, "posterior", _id, _class))


class _Family(PosteriorSpec):
    """Diagonal Gaussians."""

    def build(self, y_dim: int) -> Any:
        return Family(y_dim)


@kills("posterior", "deploy.spec")
class CountsFamiliesSpec(PosteriorSpec):
    """A family that is another each time."""

    def build(self, y_dim: int) -> Any:
        found = Family(y_dim)
        with torch.no_grad():
            found.shift.add_(1e-3 * next(_builds))
        return found


spec_faults("posterior", _Family)
