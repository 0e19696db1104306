"""Does each prior's density integrate to one, and do its draws follow it?"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from intel_core import parse_spec

# Priors in one dimension; gmvae needs two.
LINE = [
    "mog:k=3,radius=2,std=0.4",
    "mog:preset=as_coded",
    "mog:k=1,std=2",
    "mog:preset=learned,k=4",
    "sparse_mixture",
    "sparse_mixture:gamma=0,scale=0.2",
    "sparse_mixture:gamma=1,scale=0.2",
    "flow:hidden=[16]",
    "flow:form=nsf,transforms=2,hidden=[16]",
    "flow:form=maf,hidden=[16]",
]
PLANE = [
    "mog:k=5,radius=2,std=0.5",
    "mog:k=3,means=simplex,preset=learned",
    "gmvae:k=3,w=1,hidden=20",
    "sparse_mixture:gamma=0.5,scale=0.3",
    "flow:hidden=[16]",
    "flow:form=nsf,transforms=2,hidden=[16]",
    "flow:form=maf,hidden=[16]",
]


def built(text, y_dim, seed=0):
    """In float64; what it learns is away from where it begins."""
    torch.manual_seed(seed)
    prior = parse_spec("priors", text).build(y_dim, (1, 4, 4)).double()
    for parameter in prior.parameters():
        parameter.data += (0.03 if "flow" in text else 0.2) * torch.randn_like(parameter)
    return prior.requires_grad_(False)


def draws(prior, n, seed=1):
    noise = torch.randn(n, prior.noise_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return prior.draw(noise)


@pytest.mark.parametrize("text", LINE)
def test_on_a_line_the_density_integrates_to_one_and_draws_follow_it(text):
    prior = built(text, 1)
    y = torch.linspace(-30, 30, 240_001, dtype=torch.float64)
    density = prior.log_prob(y.unsqueeze(-1)).exp().numpy()
    cumulated = integrate.cumulative_trapezoid(density, y.numpy(), initial=0)
    assert cumulated[-1] == pytest.approx(1, abs=1e-5)
    found = draws(prior, 20_000)[:, 0].numpy()
    test = stats.kstest(found, lambda at: np.interp(at, y.numpy(), cumulated))
    assert test.pvalue > 1e-3


@pytest.mark.parametrize("text", PLANE)
def test_in_a_plane_the_density_integrates_to_one_and_has_the_means_of_draws(text):
    prior = built(text, 2)
    y = torch.linspace(-15, 15, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(y, y)
    mass = torch.cat([prior.log_prob(rows) for rows in grid.split(20_000)]).exp() * float(y[1] - y[0]) ** 2
    assert float(mass.sum()) == pytest.approx(1, abs=2e-3)
    # Characteristic functions see the shape, which the mass alone does not.
    waves = torch.tensor([[0.5, 0.0], [0.0, 0.7], [1.0, 1.0], [-1.0, 1.5], [2.0, -0.5]], dtype=torch.float64)
    first, second = (torch.exp(1j * wave[:, None] * y) for wave in waves.T)
    expected = torch.einsum("wi,ij,wj->w", first, mass.reshape(601, 601).to(torch.complex128), second)
    found = torch.exp(1j * (draws(prior, 40_000) @ waves.T)).mean(0)
    assert float((found - expected).abs().max()) < 5 / math.sqrt(40_000) + 2e-3


@pytest.mark.parametrize(
    "text", ["mog:k=4,means=simplex,preset=learned", "gmvae:k=3,w=2,hidden=20", "flow:hidden=[16]"]
)
def test_in_more_dimensions_the_mass_is_one_by_importance_sampling(text):
    prior = built(text, 5)
    wide = torch.distributions.StudentT(torch.tensor(3.0, dtype=torch.float64), scale=2.0)
    torch.manual_seed(0)
    y = wide.sample((200_000, 5))
    weights = (prior.log_prob(y) - wide.log_prob(y).sum(-1)).exp()
    error = float(weights.std()) / math.sqrt(len(weights))
    assert error < 0.05
    assert abs(float(weights.mean()) - 1) < 4 * error


@pytest.mark.parametrize("text", [*PLANE, "spike_slab"])
def test_numbers_and_gradients_are_finite_far_away_and_types_are_kept(text):
    prior = parse_spec("priors", text).build(2, (1,))
    for size in (0.0, 1.0, 30.0, 1e4):
        y = torch.tensor([[size, -size], [-size, size]], requires_grad=True)
        value = prior.log_prob(y)
        assert value.dtype == torch.float32
        assert bool(torch.isfinite(value).all())
        (gradient,) = torch.autograd.grad(value.sum(), y)
        assert bool(torch.isfinite(gradient).all())
        assert bool(torch.isfinite(prior.draw(torch.full((3, prior.noise_dim), min(size, 9.0)))).all())


@pytest.mark.parametrize("text", [*PLANE, "spike_slab"])
def test_leading_dimensions_are_kept_and_rows_are_alone(text):
    prior = built(text, 2)
    y = draws(prior, 12).reshape(3, 2, 2, 2)
    value = prior.log_prob(y)
    assert value.shape == (3, 2, 2)
    torch.testing.assert_close(value[1, 0, 1], prior.log_prob(y[1, 0, 1]))
    assert prior.log_prob(y[:0]).shape == (0, 2, 2)
    assert prior.draw(torch.zeros(0, prior.noise_dim, dtype=torch.float64)).shape == (0, 2)


def test_a_transformation_of_the_flow_has_the_volume_that_autograd_finds():
    for form in ("realnvp", "nsf", "maf"):
        prior = built(f"flow:form={form},transforms=3,hidden=[16]", 3)
        noise = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        y = prior.draw(noise)
        for row, u in zip(y, noise, strict=True):
            volume = torch.linalg.slogdet(torch.autograd.functional.jacobian(prior.draw, u)).logabsdet
            expected = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum() - volume
            assert float(prior.log_prob(row)) == pytest.approx(float(expected), abs=1e-4)
