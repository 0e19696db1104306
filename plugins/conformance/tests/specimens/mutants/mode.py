"""Which faults must the checks of the group `mode` find: something beside y and the parameters."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn

from specimens.mutant import Scaled, Sound, kills


@kills("mode.repeat")
class Dropout(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return nn.functional.dropout(self.sound(y), 0.1, self.training)


@kills("mode.repeat")
class HiddenNoise(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self._random = random.Random(0)

    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1 + 1e-3 * self._random.random())


@kills("mode.repeat")
class RemembersTheLastBatch(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.last = 0.0

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y) + 0.01 * self.last
        if y.device.type != "meta" and y.numel():
            self.last = float(y.detach().double().abs().clamp(max=1).mean())
        return z


@kills("mode.repeat")
class ScaledByTheFirstBatch(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.scale: float | None = None

    def forward(self, y: Tensor) -> Tensor:
        if self.scale is None and y.numel() > self.y_dim and y.device.type != "meta":
            self.scale = float(y.detach().std())
        return self.sound(y) / (self.scale or 1.0)


@kills("mode.train_eval")
class LargerInTraining(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.1 if self.training else 1.0)


@kills("mode.state")
class CountsItsCalls(Sound):
    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, y: Tensor) -> Tensor:
        self.calls += 1
        return self.sound(y)


@kills("mode.grad_mode")
class OtherWithoutGradients(Sound):
    def forward(self, y: Tensor) -> Tensor:
        return self.sound(y) * (1.0 if torch.is_grad_enabled() else 1.01)


@kills("mode.side_effects")
class SeedsTheProcess(Sound):
    def forward(self, y: Tensor) -> Tensor:
        torch.manual_seed(0)
        return self.sound(y) + 0.1 * torch.randn(self.y_dim, device="cpu").to(y)


@kills("mode.state")
class FreezesItsParameter(Scaled):
    """After one call it is not learned any more."""

    def forward(self, y: Tensor) -> Tensor:
        z = self.sound(y) * self.log_scale.exp()
        self.log_scale.requires_grad_(False)
        return z


@kills("mode.state")
class ReplacesItsParameter(Scaled):
    """The optimiser keeps the old one."""

    def forward(self, y: Tensor) -> Tensor:
        self.log_scale = nn.Parameter(self.log_scale.detach().clone())
        return self.sound(y) * self.log_scale.exp()


@kills("mode.side_effects")
class SeedsPython(Sound):
    def forward(self, y: Tensor) -> Tensor:
        random.seed(1)
        return self.sound(y) * (1 + random.random())


@kills("mode.side_effects")
class SeedsNumpy(Sound):
    def forward(self, y: Tensor) -> Tensor:
        np.random.seed(0)  # noqa: NPY002
        return self.sound(y) * (1 + float(np.random.rand()))  # noqa: NPY002


@kills("mode.side_effects")
class LeavesGradients(Scaled):
    """Goes backward itself, so that a step adds its gradients to those."""

    def forward(self, y: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            (self.sound(y.detach()) * self.log_scale.exp()).mean().backward()
        return self.sound(y) * self.log_scale.exp()


@kills("mode.process")
class ScaledByTheFirstBatchOfAll(Sound):
    """What the class keeps is the same for every instance of a process, but not in another."""

    scale: float | None = None

    def forward(self, y: Tensor) -> Tensor:
        if ScaledByTheFirstBatchOfAll.scale is None:
            ScaledByTheFirstBatchOfAll.scale = float(y.abs().mean()) + 0.5
        return self.sound(y) * ScaledByTheFirstBatchOfAll.scale
