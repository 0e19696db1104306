"""Which faults must the checks of the group `grad` find: gradients that are wrong, missing or stale."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from intel_core.mappings.properties import Properties
from specimens.mutant import Scaled, Sound, kills


@kills("grad.input")
class DetachesAPart(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y.detach())


@kills("grad.input")
class StraightThrough(Sound):
    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        return y + (torch.tanh(5 * y) - y).detach()


@kills("grad.parameters")
class DetachesAParameter(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return y * self.log_scale.exp() + 0.5 * torch.sin(y) * self.log_scale.detach().exp()


@kills("grad.reach")
class DataOfAParameter(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.data.exp()


@kills("grad.reach")
class UnusedParameter(Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.forgotten = nn.Parameter(torch.zeros(3))


@kills("grad.reach")
class ParameterInADict(Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.others = {"shift": torch.full((y_dim,), 0.5, requires_grad=True)}

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.log_scale.exp() + self.others["shift"].to(y)


@kills("grad.fresh")
class KeepsTheFirstScale(Scaled):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self._scale: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self._scale is None:
            self._scale = self.log_scale.exp()
        return self.sound(y) * self._scale


@kills("grad.parameters")
class TrainedOnAnotherPath(Sound):
    """Softly drawn to three learned centres; training has code of its own."""

    declared = Properties()
    regularisers: ClassVar[dict[str, float]] = {"size": 0.25}

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.centres = nn.Parameter(2 * torch.randn(3, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.softmax(y @ self.centres.T, -1) @ self.centres

    def map_with_regularisers(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        centres = self.centres.detach()
        return y + torch.softmax(y @ centres.T, -1) @ centres, {"size": y.square().mean()}


@kills("grad.symmetry")
class CentresBeginAsOne(Sound):
    declared = Properties()

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.centres = nn.Parameter(torch.zeros(3, y_dim))

    def forward(self, y: Tensor) -> Tensor:
        return y + torch.softmax(4 * (y @ self.centres.T), -1) @ self.centres
