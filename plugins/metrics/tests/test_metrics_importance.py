"""Is log p(x) right where it is known in closed form or by quadrature?"""

import math

import numpy as np
import pytest
import torch
from intel_metrics.importance import estimates, log_likelihood
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from intel_core import InteLVAE, load_mapping
from intel_core.likelihoods.densities import Bernoulli, Gaussian

SCALE = 0.7
WEIGHT = np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.2]])
BIAS = np.array([0.3, -0.1, 0.5])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def linear(weight, bias):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    layer.weight.data = torch.tensor(weight)
    layer.bias.data = torch.tensor(bias)
    return layer


def gaussian_model(wrong=0.0):
    """x = W y + b + noise; q(y|x) is the true posterior where `wrong` is 0, else moved and widened."""
    precision = np.eye(2) + WEIGHT.T @ WEIGHT / SCALE**2
    to_mean = np.linalg.solve(precision, WEIGHT.T) / SCALE**2
    # A diagonal posterior is exact only where the precision is diagonal: rotate y so that it is.
    values, vectors = np.linalg.eigh(precision)
    encode = np.concatenate([vectors.T @ to_mean, np.zeros((2, 3))])
    bias = np.concatenate([-vectors.T @ to_mean @ BIAS + wrong, -np.log(values) + wrong])
    networks = linear(encode, bias), linear(WEIGHT @ vectors, BIAS)
    model = InteLVAE(networks[0], load_mapping("identity", 2), networks[1], Gaussian("fixed", SCALE, 0.0), (3,))
    return model.eval()


def wide_model(mapping, y_dim, factor):
    """Much noise, and a posterior that is the prior, widened: no weight is large."""
    encoder = linear(np.zeros((2 * y_dim, 3)), np.repeat([0.0, math.log(1.5)], y_dim))
    decoder = linear(factor * WEIGHT[:, :y_dim], BIAS)
    return InteLVAE(encoder, load_mapping(mapping, y_dim), decoder, Gaussian("fixed", 2.0, 0.0), (3,)).eval()


def data(n):
    return torch.tensor(np.random.default_rng(0).normal(size=(n, 3)) * 1.3)


def evidence(x):
    return multivariate_normal(BIAS, WEIGHT @ WEIGHT.T + SCALE**2 * np.eye(3)).logpdf(x.numpy())


@pytest.mark.parametrize("particles", [2, 3, 50])
def test_the_exact_posterior_gives_the_evidence_with_any_number_of_particles(particles):
    model = gaussian_model()
    x = data(20)
    found = log_likelihood(model, x, particles, generator=seeded(0))
    for values in (found.log_p, found.half, found.elbo):
        assert values.numpy() == pytest.approx(evidence(x), abs=1e-9)
    assert found.ess.numpy() == pytest.approx(particles, rel=1e-9)


def test_a_wrong_posterior_is_unbiased_in_p_and_not_in_log_p():
    model = gaussian_model(wrong=0.6)
    x, repeats = data(1), 4000
    truth = float(evidence(x))
    found = log_likelihood(model, x.expand(repeats, -1), 4, generator=seeded(1))
    ratio = torch.exp(found.log_p - truth)
    error = float(ratio.std()) / math.sqrt(repeats)
    assert abs(float(ratio.mean()) - 1) < 4 * error
    assert error < 0.05
    # Jensen: in the logarithm it lies below
    assert float(found.log_p.mean()) - truth < -0.02
    assert float(found.elbo.mean()) < float(found.half.mean()) < float(found.log_p.mean())


def test_it_rises_to_the_evidence_with_the_particles():
    model = gaussian_model(wrong=0.6)
    x = data(30)
    errors = [
        float(np.abs(log_likelihood(model, x, k, generator=seeded(2)).log_p.numpy() - evidence(x)).mean())
        for k in (2, 50, 5000)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.03


@pytest.mark.parametrize(
    ("mapping", "y_dim", "factor"),
    [("cluster:k=3,c1=5", 2, 0.4), ("circle", 2, 2.0), ("holes:h=2", 2, 2.0), ("cluster:k=2,c1=5", 1, 0.4)],
)
def test_with_a_mapping_it_is_the_integral_over_y(mapping, y_dim, factor):
    model, x, particles = wide_model(mapping, y_dim, factor), data(8), 20_000
    side = np.linspace(-7, 7, 701 if y_dim == 2 else 100_001)
    y = torch.tensor(np.stack(np.meshgrid(*[side] * y_dim), -1).reshape(-1, y_dim))
    with torch.no_grad():
        params = model.decode(model.mapping(y))
        prior = -0.5 * y.square().sum(-1)
        log_joint = [(model.likelihood.log_prob(params, row.expand(1, 3)) + prior).numpy() for row in x]
    cell = y_dim * (math.log(side[1] - side[0]) - 0.5 * math.log(2 * math.pi))
    truth = np.array([logsumexp(row) + cell for row in log_joint])
    found = log_likelihood(model, x, particles, generator=seeded(3))
    error = (1 / found.ess - 1 / particles).sqrt().numpy()
    assert (np.abs(found.log_p.numpy() - truth) < 5 * error + 2e-3).all()
    assert error.max() < 0.04
    # at g(y) and not at y: the identity gives something else
    other = log_likelihood(wide_model("identity", y_dim, factor), x, particles, generator=seeded(3))
    assert float((other.log_p - found.log_p).abs().max()) > 0.2


def test_chunks_of_examples_and_of_particles_change_nothing(monkeypatch):
    from intel_metrics import importance

    model = gaussian_model(wrong=0.3)
    x = data(7)
    whole = log_likelihood(model, x, 6000, generator=seeded(4)).log_p
    for values in (3, 600, 3 * 6000 * 2):
        monkeypatch.setattr(importance, "_VALUES", values)
        if values == 3:
            assert log_likelihood(model, x[:1], 5, generator=seeded(4)).log_p.shape == (1,)
            continue
        parts = log_likelihood(model, x, 6000, generator=seeded(4)).log_p
        assert parts.numpy() == pytest.approx(whole.numpy(), abs=0.05)
        assert not torch.equal(parts, whole)


def test_the_estimates_of_weights_by_hand():
    weights = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
    found = estimates(torch.tensor(np.log(weights)))
    assert found.log_p.tolist() == pytest.approx([math.log(2), math.log(5)])
    assert found.elbo.tolist() == pytest.approx([math.log(6) / 3, math.log(5)])
    assert found.ess.tolist() == pytest.approx([36 / 14, 3])
    assert found.half.tolist() == pytest.approx([math.log(2) / 2, math.log(5)])
    # neither overflow nor underflow
    for shift in (-1e5, 1e5):
        moved = estimates(torch.tensor(np.log(weights)) + shift)
        assert moved.log_p.numpy() - shift == pytest.approx(found.log_p.numpy(), abs=1e-9)
        assert moved.ess.numpy() == pytest.approx(found.ess.numpy(), abs=1e-6)


def test_bytes_stand_for_parts_of_255():
    networks = torch.nn.Linear(4, 4), torch.nn.Linear(2, 4)
    model = InteLVAE(networks[0], load_mapping("identity", 2), networks[1], Bernoulli(), (4,))
    x = torch.tensor([[0, 255, 51, 102]], dtype=torch.uint8)
    found = log_likelihood(model, x, 10, generator=seeded(0)).log_p
    assert torch.equal(found, log_likelihood(model, x.float() / 255, 10, generator=seeded(0)).log_p)


def test_one_particle_is_refused():
    with pytest.raises(ValueError, match="at least 2 particles, not 1"):
        log_likelihood(gaussian_model(), data(2), 1)
