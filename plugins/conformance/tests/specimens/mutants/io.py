"""Which faults must the checks of the group `io` find: shapes, precision, device or the input."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from intel_core.mappings.properties import Properties
from specimens.mutant import Shifted, Sound, Spec, kills


@kills("io.shape")
class SqueezesOneRow(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y).squeeze()


@kills("io.shape")
class WantsTwoDimensions(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return torch.stack([y[:, 0], y[:, 1]], 1) if y.dim() < 3 else self.sound(y)


@kills("io.dtype", dtypes=("float64",))
class ReturnsFloat32(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y).float()


@kills("io.dtype", dtypes=("float32",))
class ReturnsFloat64(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * torch.ones(1, dtype=torch.float64, device=y.device)


@kills("io.float64", dtypes=("float64",))
class Float32Inside(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y.float()).to(y.dtype)


@kills("io.float64", dtypes=("float64",))
class Float32InOneTerm(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.5 * torch.sin(y.float()).to(y.dtype)


@kills("io.float64", dtypes=("float64",))
class Float32InASmallTerm(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return y + 0.01 * torch.sin(y.float()).to(y.dtype)


@kills("io.input")
class ChangesItsInput(Sound):
    def forward(self, y: Tensor) -> Tensor:
        with torch.no_grad():
            y.mul_(0.5)
        return self.sound(y)


@kills("io.layout")
class ReadsMemory(Sound):
    def forward(self, y: Tensor) -> Tensor:
        strides = [math.prod(y.shape[i + 1 :]) for i in range(y.dim())]
        return self.sound(torch.as_strided(y, y.shape, strides))


@kills("io.device")
class StaysOnTheCPU(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) + torch.linspace(0, 1, self.y_dim).to(y.dtype)


@kills("io.device")
class MultipliesOnTheCPU(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) @ torch.eye(self.y_dim, dtype=y.dtype)


@kills("io.dims")
class RaisesKeyError(Spec):
    """A spec that has no answer for most numbers of dimensions."""

    def build(self, y_dim: int) -> Any:
        return Shifted({2: 2}[y_dim], self.shift)


@kills("io.dims")
class WrongInThree(Spec):
    """A spec whose mapping is right in two dimensions only."""

    def build(self, y_dim: int) -> Any:
        return _FirstTwo(y_dim)


@kills("io.dims", 3)
class DeviationOfOneValue(Sound):
    """Each row by its deviation, which is NaN in one dimension."""

    declared = Properties()

    def forward(self, y: Tensor) -> Tensor:
        spread = y.std(-1, correction=1 if y.shape[-1] > 1 else 0, keepdim=True)
        return y + (y - y.mean(-1, keepdim=True)) / spread


class _FirstTwo(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y[..., :2])
