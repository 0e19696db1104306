"""Which faults show only in more dimensions than the fewest?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intel_core.mappings.properties import Properties
from specimens.mutant import Scaled, Sound, kills, norm_of


@kills("variants.dims")
class JumpsInThree(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + (0.5 * (y[..., :1] > 0.3) if self.y_dim == 3 else 0.0)


@kills("variants.dims")
class CentredInMany(Sound):
    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return z - z.mean(0) if self.y_dim >= 8 and z.dim() > 1 else z


@kills("variants.dims")
class UnusedInThree(Scaled):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (self.log_scale if self.y_dim < 3 else self.log_scale.detach()).exp()


@kills("variants.dims")
class NanInThree(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) if self.y_dim == 2 else y / norm_of(y)


@kills("variants.dims")
class JumpsInFour(Sound):
    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return z + 0.5 * (y[..., -1:] > 0.2).to(y) if self.y_dim == 4 else z


@kills("variants.dims")
class OnTheCPUInThree(Sound):
    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y)
        return z + torch.arange(self.y_dim) * 0.1 if self.y_dim > 2 else z


_BY_DIMS: dict[int, nn.Parameter] = {}


@kills("variants.dims")
class SharesAParameterInThree(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        new = nn.Parameter(torch.ones(y_dim))
        self.scale = new if y_dim == 2 else _BY_DIMS.setdefault(y_dim, new)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * self.scale.to(y)


@kills("variants.dims")
class FoldsInFour(Sound):
    declared = Properties(injective=True)

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :-1], y[..., -1:].abs()], -1) if self.y_dim >= 4 else y
