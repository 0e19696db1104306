"""Where do the examples of a split lie in y? The means of q(y|x)."""

from __future__ import annotations

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.model.vae import InteLVAE

__all__ = ["posterior_means"]

_ROWS = 1000


@torch.no_grad()
def posterior_means(model: InteLVAE, split: Split) -> Tensor:
    """The mean of q(y|x) of each example, ``(n, y_dim)``, where the weights are; the model is in evaluation mode.

    Raises:
        DataError: if examples lie on disk and one cannot be read.
    """
    device = next(model.parameters()).device
    rows = torch.split(torch.arange(len(split)), _ROWS)
    return torch.cat([model.encode(to_float(split.read(some).to(device))).mean for some in rows])
