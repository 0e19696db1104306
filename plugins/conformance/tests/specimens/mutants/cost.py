"""Which mappings are right and take long, or much memory?"""

from __future__ import annotations

import torch
from torch import Tensor

from specimens.mutant import Sound, kills


@kills("deploy.cost", dtypes=("float32",), status="warned")
class ThousandsOfSteps(Sound):
    def forward(self, y: Tensor) -> Tensor:
        for _ in range(1500):
            y = y + 1e-3 * torch.sin(y)
        return y


@kills("deploy.cost", dtypes=("float32",), status="warned")
class KeepsMuch(Sound):
    """Thirty thousand features of each row."""

    def forward(self, y: Tensor) -> Tensor:
        waves = torch.arange(1, 30_001, dtype=y.dtype, device=y.device)
        return y + 0.1 * torch.sin(y[..., :1] * waves / 30_000).mean(-1, keepdim=True)
