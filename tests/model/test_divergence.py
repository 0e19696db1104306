"""Is the KL divergence right for priors and posteriors that are not the usual ones, and unchanged for those?"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from intel_core.likelihoods.densities import Gaussian
from intel_core.mappings.compose import Identity
from intel_core.model.divergence import draw, knows, mean_kl, weigh
from intel_core.model.objectives import ELBO, IWAE, log_importance_weights
from intel_core.model.posterior import DiagonalFamily, DiagonalGaussian
from intel_core.model.prior import StandardNormal
from intel_core.model.vae import InteLVAE


class Shifted(nn.Module):
    """N(m, s² I), without a closed form."""

    def __init__(self, m: float, s: float, y_dim: int) -> None:
        super().__init__()
        self.m, self.s, self.noise_dim = m, s, y_dim

    def draw(self, noise: Tensor) -> Tensor:
        return self.m + self.s * noise

    def log_prob(self, y: Tensor) -> Tensor:
        return torch.distributions.Normal(self.m, self.s).log_prob(y).sum(-1)


class KnownShifted(Shifted):
    """The same with a closed form, taken from torch.distributions."""

    def knows(self, posterior: object) -> bool:
        return isinstance(posterior, DiagonalGaussian)

    def kl(self, posterior: DiagonalGaussian) -> Tensor:
        q = torch.distributions.Normal(posterior.mean, posterior.std)
        return torch.distributions.kl_divergence(q, torch.distributions.Normal(self.m, self.s))


class Correlated(NamedTuple):
    """A Gaussian in the plane with a lower triangular factor."""

    mean: Tensor
    factor: Tensor

    @property
    def std(self) -> Tensor:
        return self.factor.square().sum(-1).sqrt()

    def rsample(self, noise: Tensor) -> Tensor:
        return self.mean + (self.factor @ noise.unsqueeze(-1)).squeeze(-1)

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        y = self.rsample(noise)
        q = torch.distributions.MultivariateNormal(self.mean, scale_tril=self.factor)
        return y, q.log_prob(y)


class CorrelatedFamily(nn.Module):
    features, noise_dim = 5, 2

    def forward(self, features: Tensor) -> Correlated:
        mean, diagonal, below = features.split((2, 2, 1), -1)
        factor = torch.diag_embed(diagonal.exp())
        return Correlated(mean, factor + torch.nn.functional.pad(below.unsqueeze(-1), (0, 1, 1, 0)))


def gaussian(n: int = 5, y_dim: int = 2, seed: int = 0) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    return DiagonalGaussian(*(torch.randn(2, n, y_dim, generator=generator, dtype=torch.float64)))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_usual_pair_needs_no_density_of_a_draw() -> None:
    q = gaussian()
    y, log_q = draw(StandardNormal(2), q, noise(5, 2))
    assert log_q is None
    assert mean_kl(StandardNormal(2), q, y, None) == q.mean_kl()


def test_the_density_of_a_draw_is_that_of_a_normal() -> None:
    q = gaussian()
    y, log_q = q.draw(noise(3, 5, 2))
    expected = torch.distributions.Normal(q.mean, q.std).log_prob(y).sum(-1)
    torch.testing.assert_close(log_q, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (1.5, 0.5), (-3.0, 2.0)])
def test_the_estimate_by_draws_is_the_closed_form_on_average(m: float, s: float) -> None:
    q = gaussian()
    many = noise(100_000, 5, 2)
    y, log_q = draw(Shifted(m, s, 2), q, many)
    assert log_q is not None
    values = (log_q - Shifted(m, s, 2).log_prob(y)).mean(-1)
    exact = mean_kl(KnownShifted(m, s, 2), q, y, None)
    assert abs(values.mean() - exact) < 5 * values.std() / math.sqrt(len(values))
    assert mean_kl(Shifted(m, s, 2), q, y, log_q) == pytest.approx(float(values.mean()), rel=1e-9)


def test_a_closed_form_is_used_only_for_posteriors_that_the_prior_knows() -> None:
    other = CorrelatedFamily()(noise(4, 5))
    assert knows(KnownShifted(0, 1, 2), gaussian())
    assert not knows(KnownShifted(0, 1, 2), other)
    assert not knows(StandardNormal(2), other)
    assert not knows(Shifted(0, 1, 2), gaussian())


def test_weights_of_the_usual_pair_are_those_of_the_densities() -> None:
    q, many = gaussian(), noise(7, 5, 2)
    y, usual = weigh(StandardNormal(2), q, many)
    torch.testing.assert_close(usual, StandardNormal(2).log_prob(y) - q.draw(many)[1], rtol=1e-12, atol=1e-12)


# --- against the exact evidence of a linear Gaussian model --------------------------------------------------------


def linear_model(prior: Shifted | StandardNormal, family: nn.Module) -> tuple[InteLVAE, Tensor]:
    """x = W y + noise of deviation 0.7; the encoder gives the same wide posterior for every x."""
    torch.manual_seed(3)
    encoder, decoder = nn.Linear(3, family.features), nn.Linear(2, 3)
    with torch.no_grad():
        encoder.weight.mul_(0.1)
        encoder.bias.zero_()[2:4].fill_(0.5)  # a proposal that is too narrow would underestimate the evidence
    model = InteLVAE(encoder, Identity(2), decoder, Gaussian("fixed", 0.7, 0.0), (3,), prior=prior, family=family)
    return model.double().eval(), noise(6, 3, seed=9)


def evidence(model: InteLVAE, x: Tensor, m: float, s: float) -> Tensor:
    w, b = model.decoder.weight, model.decoder.bias
    covariance = s**2 * w @ w.T + 0.49 * torch.eye(3, dtype=torch.float64)
    mean = w @ torch.full((2,), m, dtype=torch.float64) + b
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)


@pytest.mark.parametrize("family", [DiagonalFamily(2), CorrelatedFamily()], ids=["diagonal", "correlated"])
@pytest.mark.parametrize(("prior", "m", "s"), [(StandardNormal(2), 0, 1), (Shifted(0.5, 0.8, 2), 0.5, 0.8)])
@torch.no_grad()
def test_every_pair_brackets_the_exact_evidence(prior: Shifted, m: float, s: float, family: nn.Module) -> None:
    model, x = linear_model(prior, family)
    exact = evidence(model, x, m, s).mean()
    estimate = (torch.logsumexp(log_importance_weights(model, x, noise(50_000, 6, 2)), 0) - math.log(50_000)).mean()
    assert float(estimate) == pytest.approx(float(exact), abs=0.01)
    elbo = -ELBO()(model, x.repeat(4000, 1), noise(1, 24_000, 2), {}).loss
    iwae = -IWAE(16)(model, x.repeat(500, 1), noise(16, 3000, 2), {}).loss
    assert elbo < iwae < exact + 0.01


@torch.no_grad()
def test_samples_come_from_the_models_own_prior() -> None:
    model, _ = linear_model(Shifted(3.0, 0.5, 2), DiagonalFamily(2))
    y = model.sample_prior(20_000, torch.Generator().manual_seed(0))
    assert float(y.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(y.std()) == pytest.approx(0.5, abs=0.02)
