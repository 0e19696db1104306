"""Which faults must the checks of the group `structure` find: a declaration that is not true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intel_core.mappings.properties import Locus, Properties
from specimens.mutant import Sound, kills, norm_of


@kills("structure.protocols")
class PropertiesRaise(Sound):
    @property
    def properties(self) -> Properties:
        return Properties(norm_bound=self.bound)  # type: ignore[arg-type]


@kills("structure.places")
class SeamOutOfSpace(Sound):
    declared = Properties(seams=(Locus((7,), (0.0,)),))


@kills("structure.places")
class PlaneOfOneDimension(Sound):
    declared = Properties(planes=((1, 1),))


@kills("structure.places")
class CentreThatSeparates(Sound):
    declared = Properties(centres=(Locus((0,), (0.0,)),))


@kills("structure.norm_bound")
class BoundTooSmall(Sound):
    declared = Properties(norm_bound=1.0)

    def forward(self, y: Tensor) -> Tensor:
        return 1.001 * y / (norm_of(y) + 1e-3)


@kills("structure.norm_bound")
class BoundHereOnly(Sound):
    declared = Properties(norm_bound=3.0)

    def forward(self, y: Tensor) -> Tensor:
        return 2 * torch.tanh(y) + 2 * torch.exp(-(y - 2.0).square().sum(-1, keepdim=True))


@kills("structure.clusters")
class TwoOfThreeClusters(Sound):
    """As in the code that the authors of the paper released, where k=3 gives two clusters."""

    declared = Properties(clusters=3)

    def forward(self, y: Tensor) -> Tensor:
        first = y[..., :1]
        return torch.cat([first + 5 * first / (first.abs() + 0.01), y[..., 1:]], -1)


@kills("structure.clusters")
class NoClusters(Sound):
    declared = Properties(clusters=2)


@kills("structure.proportions")
class WrongShares(Sound):
    n_clusters = 2

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0.3).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])


@kills("structure.proportions")
class ClusterTooMany(Sound):
    n_clusters = 2

    def assign(self, y: Tensor) -> Tensor:
        return (y[..., 0] > 0).long() + (y[..., 0] > 1.5).long()

    def proportions(self) -> Tensor:
        return torch.tensor([0.5, 0.5])


@kills("structure.betti")
class SaysALoop(Sound):
    declared = Properties(betti=(1, 1))


@kills("structure.betti")
class SaysTwoLoops(Sound):
    declared = Properties(betti=(1, 2))

    def forward(self, y: Tensor) -> Tensor:
        return y / (norm_of(y) + 1e-3)


@kills("structure.sparsity", 10)
class SaysSparse(Sound):
    declared = Properties(sparsity=(0.6, 1.0))


@kills("structure.inverse")
class WrongInverse(Sound):
    def inverse(self, z: Tensor) -> Tensor:
        return z - 0.5 * torch.sin(z)

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.log1p(0.5 * torch.cos(y)).sum(-1)


@kills("structure.volume")
class WrongVolume(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y * 2.0

    def inverse(self, z: Tensor) -> Tensor:
        return z / 2.0

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.full_like(y[..., 0], math.log(2.0))


@kills("structure.volume")
class VolumeOfAGraph(Sound):
    """Into one more dimension, with log det(J^T J) and not the half of it."""

    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = y_dim + 1

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y, 0.5 * y.square().sum(-1, keepdim=True)], -1)

    def inverse(self, z: Tensor) -> Tensor:
        return z[..., :-1]

    def log_abs_det_jacobian(self, y: Tensor) -> Tensor:
        return torch.log1p(y.square().sum(-1))


@kills("structure.levels")
class LevelsOverlap(Sound):
    levels = ((0,), (0, 1))


@kills("structure.levels")
class LevelsInReverse(Sound):
    levels = ((1,), (0,))

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.cat([torch.zeros_like(y[..., :1]), torch.sin(y[..., :-1])], -1)


@kills("structure.regularisers")
class NegativeWeight(Sound):
    regularisers = {"size": -1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"size": z.square().mean()}


@kills("structure.regularisers")
class RepelsEqualRows(Sound):
    """Finite but where two rows are one and the same."""

    regularisers = {"spread": 1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        apart = torch.nn.functional.pdist(z.reshape(-1, z.shape[-1]))
        return z, {"spread": (1 / apart).mean() if apart.numel() else z.new_zeros(())}


@kills("structure.regularisers")
class DistanceOfEqualRows(Sound):
    """The loss is finite, its gradient is not."""

    regularisers = {"spread": 1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"spread": (z[1:] - z[:-1]).square().sum(-1).sqrt().sum() / len(z)}


@kills("structure.regularisers")
class LossPerRow(Sound):
    regularisers = {"size": 1.0}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"size": z.square().sum(-1)}


@kills("structure.strength")
class StrengthIsNotSaved(Sound):
    strength = 1.0

    def set_strength(self, strength: float) -> None:
        self.strength = strength

    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * self.strength * torch.sin(y)


@kills("structure.diagnose")
class DiagnosesTensors(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {"mean": y.mean()}


@kills("structure.diagnose")
class DiagnosesArrays(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {"spread": float(np.abs(y.numpy()).mean())}


@kills("structure.diagnose")
class CountsLabelsAsArrays(Sound):
    def diagnose(self, y: Tensor, labels: Tensor | None) -> dict[str, Any]:
        return {} if labels is None else {"kinds": len(np.unique(np.asarray(labels)))}
