"""Does a prior that is made of encoded inputs see the encoder as it is, and batch normalisation one batch?"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from intel_core.likelihoods.densities import Gaussian
from intel_core.mappings.compose import Identity
from intel_core.model.objectives import ELBO
from intel_core.model.posterior import DiagonalGaussian
from intel_core.model.vae import InteLVAE


class Components(NamedTuple):
    """The mean of the densities of some Gaussians."""

    mean: Tensor
    std: Tensor

    @property
    def noise_dim(self) -> int:
        return self.mean.shape[-1] + 1

    def draw(self, noise: Tensor) -> Tensor:
        k = (torch.special.ndtr(noise[..., 0]) * len(self.mean)).long().clamp(max=len(self.mean) - 1)
        return self.mean[k] + self.std[k] * noise[..., 1:]

    def log_prob(self, y: Tensor) -> Tensor:
        each = torch.distributions.Normal(self.mean, self.std).log_prob(y.unsqueeze(-2)).sum(-1)
        return each.logsumexp(-1) - math.log(len(self.mean))


class OfInputs(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(k, 3, generator=torch.Generator().manual_seed(5)))

    def inputs(self) -> Tensor:
        return self.raw

    def given(self, posterior: DiagonalGaussian) -> Components:
        return Components(posterior.mean, posterior.std)


def model(*, normalised: bool) -> InteLVAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4)) if normalised else nn.Linear(3, 4)
    return InteLVAE(encoder, Identity(2), nn.Linear(2, 3), Gaussian("fixed", 1.0, 0.0), (3,), prior=OfInputs(4))


def test_in_training_data_and_inputs_are_one_batch() -> None:
    vae = model(normalised=True).train()
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    posterior, prior = vae.infer(x)
    together = vae.encode(torch.cat([x, vae.prior.inputs()]))
    assert torch.equal(posterior.mean, together.mean[:6])
    assert torch.equal(prior.mean, together.mean[6:])
    assert int(vae.encoder[0].num_batches_tracked) == 2, "one batch for each call"


def test_afterwards_the_running_statistics_count() -> None:
    vae = model(normalised=True)
    for seed in range(20):
        vae.infer(5 + torch.randn(6, 3, generator=torch.Generator().manual_seed(seed)))
    vae.eval()
    small, large = (vae.infer(torch.full((n, 3), 5.0))[1].mean for n in (1, 50))
    assert torch.equal(small, large), "the prior does not depend on the data that are encoded beside it"


def test_the_inputs_learn() -> None:
    vae = model(normalised=False)
    x, noise = torch.ones(6, 3), torch.ones(1, 6, 2)
    ELBO()(vae, x, noise, {}).loss.backward()
    assert float(vae.prior.raw.grad.abs().min()) > 0


@pytest.mark.parametrize("n", [1, 1000])
def test_draws_are_of_its_components(n: int) -> None:
    vae = model(normalised=False).eval()
    y = vae.sample_prior(n, torch.Generator().manual_seed(0))
    assert y.shape == (n, 2)
    assert bool(torch.isfinite(vae.current_prior().log_prob(y)).all())
