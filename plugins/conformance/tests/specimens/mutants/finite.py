"""Which faults must the checks of the group `finite` find: a value or a gradient that is not finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_core.mappings.properties import Properties
from specimens.mutant import Sound, kills, norm_of


@kills("finite.values")
class DividesByTheNorm(Sound):
    declared = Properties(continuous=False)

    def forward(self, y: Tensor) -> Tensor:
        return y / norm_of(y)


@kills("finite.values")
class Overflows(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return torch.exp(y) / torch.exp(y).sum(-1, keepdim=True)


@kills("finite.gradients")
class RootOfSquares(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y / (y.square().sum(-1, keepdim=True) ** 0.5 + 1e-7)


@kills("finite.gradients")
class SignedPower(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y + 5 * torch.sign(y) * y.abs() ** 0.2


@kills("finite.gradients")
class InfiniteUnusedBranch(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return torch.where(y > 0, y * torch.log1p(y.sqrt()), y)


@kills("finite.gradients")
class LossOfANorm(Sound):
    regularisers = {"norm": 0.1}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return z, {"norm": z.square().sum(-1).sqrt().mean()}


@kills("finite.gradients")
class NormFromALearnedCentre(Sound):
    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.centre = nn.Parameter(torch.randn(y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.tanh((y - self.centre).square().sum(-1, keepdim=True).sqrt())


@kills("finite.parameter_gradients")
class LearnedPower(Sound):
    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.power = nn.Parameter(torch.tensor(2.0))

    def forward(self, y: Tensor) -> Tensor:
        return y + 1e-3 * torch.exp(self.power * torch.log(y.abs().clamp(max=1)))
