"""A model on conditions is the model whose encoder and decoder are given x and z with the conditions beside them."""

import pytest
import torch
from torch import nn

from intel_core import InteLVAE, SpecError, load_mapping
from intel_core.likelihoods.densities import Bernoulli, Gaussian
from intel_core.model.objectives import ELBO, IWAE, log_importance_weights

N, C, Y = 5, 3, 2


def rows(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4 + C, 2 * Y), nn.Linear(Y + C, 4)
    likelihood = Gaussian("fixed", 1.0, 0.0)
    return InteLVAE(encoder, load_mapping("identity", Y), decoder, likelihood, (4,), condition_dim=C).double()


def test_the_elbo_is_that_computed_by_hand(model):
    x, c, noise = rows(1, N, 4), rows(2, N, C), rows(3, 1, N, Y)
    mean, log_variance = model.encoder(torch.cat([x, c], 1)).chunk(2, 1)
    z = mean + (0.5 * log_variance).exp() * noise[0]
    decoded = model.decoder(torch.cat([z, c], 1))
    log_likelihood = torch.distributions.Normal(decoded, 1.0).log_prob(x).sum(1).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    terms = ELBO()(model.on(c), x, noise, {})
    torch.testing.assert_close(terms.log_likelihood, log_likelihood)
    torch.testing.assert_close(terms.kl, kl)


def test_each_of_several_draws_is_decoded_on_the_conditions_of_its_example(model):
    z, c = rows(4, 7, N, Y), rows(5, N, C)
    together = model.on(c).decode(z)
    alone = torch.stack(
        [torch.stack([model.on(c[i : i + 1]).decode(z[k, i : i + 1])[0] for i in range(N)]) for k in range(7)]
    )
    torch.testing.assert_close(together, alone)


def test_particles_of_one_are_the_bound_on_one_draw(model):
    x, c, noise = rows(1, N, 4), rows(2, N, C), rows(3, 6, N, Y)
    weights = log_importance_weights(model.on(c), x, noise)
    one = torch.stack([log_importance_weights(model.on(c), x, noise[k : k + 1])[0] for k in range(6)])
    torch.testing.assert_close(weights, one)
    assert IWAE(6)(model.on(c), x, noise, {}).others["iwae"] > weights.mean()


def test_images_have_conditions_as_channels():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1 + C, 2, 3), nn.Flatten(), nn.Linear(2 * 4 * 3, 2 * Y))
    decoder = nn.Sequential(nn.Linear(Y + C, 30), nn.Unflatten(1, (1, 6, 5)))
    model = InteLVAE(encoder, load_mapping("identity", Y), decoder, Bernoulli(), (1, 6, 5), condition_dim=C).double()
    x, c = rows(1, N, 1, 6, 5), rows(2, N, C)
    planes = torch.stack([torch.stack([torch.full((6, 5), float(v), dtype=torch.float64) for v in row]) for row in c])
    expected = encoder(torch.cat([x, planes], 1)).chunk(2, 1)[0]
    torch.testing.assert_close(model.on(c).encode(x).mean, expected)
    assert model.on(c).decode(rows(3, 2, N, Y)).shape == (2, N, 1, 6, 5)


def test_weights_are_shared_and_the_model_itself_stays_as_it_was(model):
    bound = model.on(rows(2, N, C))
    bound.encode(rows(1, N, 4)).mean.sum().backward()
    assert model.encoder.weight.grad is not None
    assert model.conditions is None
    with pytest.raises(SpecError, match="conditions"):
        model.encode(rows(1, N, 4))
