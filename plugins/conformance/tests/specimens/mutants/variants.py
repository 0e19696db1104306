"""Which faults show only in more dimensions than the fewest?"""

from __future__ import annotations

from torch import Tensor

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
