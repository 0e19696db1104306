"""Which faults must the checks of the group `thm1` find: two mappings instead of one, or two y with the same z."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor

from intel_core.mappings.properties import Properties
from specimens.mutant import Sound, kills


@kills("thm1.same_map")
class OtherWithItsLoss(Sound):
    regularisers = {"size": 0.1}  # noqa: RUF012

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.sound(y)
        return 1.01 * z, {"size": z.square().mean()}


@kills("thm1.same_map")
class LooksAtX(Sound):
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


@kills("thm1.inequality")
class MovesByX(LooksAtX):
    shift = 0.5


@kills("thm1.inequality")
class MuchLargerInTraining(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.5 if self.training else 1.0)


@kills("thm1.inequality", 100)
class LargerInTrainingOfMany(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.3 if self.training else 1.0)


@kills("thm1.injective")
class Folds(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1].abs(), y[..., 1:]], -1)


@kills("thm1.injective")
class ComplexSquare(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        a, b = y[..., 0], y[..., 1]
        return torch.stack([a * a - b * b, 2 * a * b], -1)


@kills("thm1.injective")
class Wiggles(Sound):
    def sound(self, y: Tensor) -> Tensor:
        return y + 1.5 * torch.sin(y)


@kills("thm1.injective")
class Clamps(Sound):
    """Further out than draws of the prior get."""

    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y.clamp(-6, 6))


@kills("thm1.injective", 3)
class ClampsTheLength(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        return y * (length.clamp(max=9) / length.clamp(min=1e-9))


@kills("thm1.injective", 3)
class DropsADimension(Sound):
    declared = Properties(injective=True)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = y_dim - 1

    def forward(self, y: Tensor) -> Tensor:
        return y[..., :-1]


@kills("thm1.injective")
class Projects(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return y * y.new_tensor([1.0] + [0.0] * (self.y_dim - 1))
