"""Which faults of networks must the checks find? At least one for each check."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy
import torch
from pydantic import Field
from torch import Tensor, nn

from intel_core import NetworkSpec
from specimens.rival import kills, spec_faults

_builds = itertools.count(1)


# --- without a fault ---------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """Two dense layers with batch normalisation between them, from one shape to another."""

    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__()
        self.given, self.shape = given, out
        self.first, self.last = nn.Linear(math.prod(given), 12), nn.Linear(12, math.prod(out))
        self.norm = nn.BatchNorm1d(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.of(x.flatten(1)).unflatten(1, self.shape)

    def of(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.tanh(self.norm(self.first(x))))
        return found


class Plain(NetworkSpec):
    """Dense layers."""

    def layers(self, given: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
        return Layers(given, out)

    def build_encoder(self, x_shape: tuple[int, ...], out_features: int) -> nn.Module:
        return self.layers(x_shape, (out_features,))

    def build_decoder(self, in_features: int, out_shape: tuple[int, ...]) -> nn.Module:
        return self.layers((in_features,), out_shape)


class Lazy(Plain):
    """Layers that get their sizes by a call, and dropout, for vectors alone."""

    width: int = Field(9, ge=1, description="units of the hidden layer")

    def layers(self, given: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
        if len(given) > 1 or len(out) > 1:
            raise ValueError("lazy layers take vectors")
        return nn.Sequential(nn.LazyLinear(self.width), nn.ReLU(), nn.Dropout(0.2), nn.LazyLinear(out[0]))


# --- with one ----------------------------------------------------------------------------------------------------


def fault(id: str, *, status: str = "failed") -> Callable[[type[Layers]], type[Layers]]:
    """Class decorator for layers that the check has to find in a network of them."""

    def add(layers: type[Layers]) -> type[Layers]:
        class Mutant(Plain):
            """Dense layers with a fault."""

            def layers(self, given: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
                return layers(given, out)

        Mutant.__name__ = layers.__name__
        kills("network", id, status=status)(Mutant)
        return layers

    return add


@fault("io.shape")
class FlatOutput(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.of(x.flatten(1))


@fault("io.shape")
class SqueezesOne(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


@kills("network", "io.shape")
class IndexErrorSpec(Plain):
    """Dense layers for images, which vectors make raise an IndexError."""

    def layers(self, given: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
        shape = given if len(given) > 1 else out
        if shape == (2, 7, 5):
            raise IndexError("odd sides")
        return Layers(given, out)


@fault("io.dtype")
class AlwaysDouble(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x).double()


@fault("io.precision")
class RoundsToSingle(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x).float().to(x.dtype)


@fault("io.input")
class InPlace(Layers):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x.clamp_(-1, 1)
        return super().forward(x)


@fault("io.device")
class OnTheCPU(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + torch.zeros(math.prod(self.shape), dtype=x.dtype)


@fault("rows.alone")
class CentredByTheBatch(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x - 0.01 * x.mean(0))


@fault("mode.repeat")
class NoiseInEvaluation(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + 1e-3 * torch.rand(1, dtype=x.dtype).to(x)


@fault("mode.state")
class StatisticsInEvaluation(Layers):
    def of(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.norm.running_mean.add_(1e-3)  # type: ignore[union-attr]
        return super().of(x)


@fault("mode.training")
class NumpyDropout(Layers):
    def of(self, x: Tensor) -> Tensor:
        keep = torch.from_numpy(numpy.random.rand(x.shape[-1]) > 0.5).to(x)  # noqa: NPY002 - the fault
        return super().of(x * keep if self.training else x)


@fault("mode.training")
class OverflowsInTraining(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + (torch.log(x[:, :1] - 100) if self.training else 0)


@fault("mode.statistics")
class GrowsABuffer(Layers):
    def of(self, x: Tensor) -> Tensor:
        if self.training:
            self.register_buffer("seen", x.detach())
        return super().of(x)


@fault("finite.values")
class Exponential(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + 1e-9 * torch.exp(x).sum(-1, keepdim=True)


@fault("finite.gradients")
class Norm(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + 1e-9 * x.square().sum(-1, keepdim=True).sqrt()


@fault("grad.input")
class Detached(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + x.detach().sum(-1, keepdim=True)


@fault("grad.parameters")
class UnusedLayer(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__(given, out)
        self.other = nn.Linear(2, 2)


@fault("grad.reach")
class IgnoresTheLast(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(torch.cat([x[:, :-1], torch.zeros_like(x[:, -1:])], -1))


@fault("deploy.seeds")
class CountsBuilds(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__(given, out)
        with torch.no_grad():
            self.last.bias.add_(1e-3 * next(_builds))


@fault("deploy.seeds")
class DrawsFromNumpy(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__(given, out)
        with torch.no_grad():
            self.last.bias.fill_(float(numpy.random.rand()))  # noqa: NPY002 - the fault


@fault("deploy.seeds", status="warned")
class SeedOfItsOwn(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            super().__init__(given, out)


@fault("deploy.state")
class KeptOutside(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__(given, out)
        self.offset = float(torch.rand(()))

    def of(self, x: Tensor) -> Tensor:
        return super().of(x) + self.offset


@fault("deploy.copy")
class Shares(Layers):
    def __deepcopy__(self, memo: Any) -> Any:
        return self


@fault("deploy.pickle", status="warned")
class HoldsAFunction(Layers):
    def __init__(self, given: tuple[int, ...], out: tuple[int, ...]) -> None:
        super().__init__(given, out)
        self.squash = lambda x: torch.tanh(x)


@fault("deploy.vmap", status="warned")
class BranchesOnValues(Layers):
    def of(self, x: Tensor) -> Tensor:
        return super().of(x) if float(x.max()) < 1e9 else super().of(-x)


@fault("deploy.spec")
class CountsBuildsToo(CountsBuilds):
    pass


spec_faults("network", Plain)
SOUND = {"plain": Plain(), "lazy": Lazy()}
