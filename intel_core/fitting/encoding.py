"""Where do the examples of a split lie in y? The means of q(y|x), and its standard deviations."""

from __future__ import annotations

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.model.vae import InteLVAE

__all__ = ["posterior_means", "posterior_moments"]

_ROWS = 1000


@torch.no_grad()
def posterior_moments(model: InteLVAE, split: Split) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(y|x) of each example, ``(n, y_dim)`` twice, where the weights are.

    The model is in evaluation mode.

    Raises:
        DataError: if examples lie on disk and one cannot be read.
    """
    device = next(model.parameters()).device
    rows = torch.split(torch.arange(len(split)), _ROWS)
    found = [model.encode(to_float(split.read(some).to(device))) for some in rows]
    return torch.cat([posterior.mean for posterior in found]), torch.cat([posterior.std for posterior in found])


def posterior_means(model: InteLVAE, split: Split) -> Tensor:
    """The means of `posterior_moments` alone."""
    return posterior_moments(model, split)[0]
