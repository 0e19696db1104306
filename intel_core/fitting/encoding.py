"""Where do the examples of a split lie in y? The means of q(y|x), and its standard deviations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from intel_core.data.dataset import Split
from intel_core.data.values import to_float
from intel_core.model.posterior import Posterior
from intel_core.model.vae import InteLVAE

__all__ = ["posterior_means", "posterior_moments"]

_ROWS = 1000


@torch.no_grad()
def posterior_means(model: InteLVAE, split: Split) -> Tensor:
    """The mean of q(y|x) of each example, ``(n, y_dim)``, where the weights are; the model is in evaluation mode.

    Raises:
        DataError: if examples lie on disk and one cannot be read.
    """
    return torch.cat([posterior.mean for posterior in _posteriors(model, split)])


@torch.no_grad()
def posterior_moments(model: InteLVAE, split: Split) -> tuple[Tensor, Tensor]:
    """As `posterior_means`, and the standard deviations, ``(n, y_dim)``.

    Raises:
        DataError: as there.
    """
    both = [(posterior.mean, posterior.std) for posterior in _posteriors(model, split)]
    return torch.cat([mean for mean, _ in both]), torch.cat([std for _, std in both])


def _posteriors(model: InteLVAE, split: Split) -> Iterator[Posterior]:
    device = next(model.parameters()).device
    for rows in torch.split(torch.arange(len(split)), _ROWS):
        part = split.part(rows)
        yield model.on(part.conditions).encode(to_float(part.x.to(device)))
