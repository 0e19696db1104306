"""The bounds: against closed forms, against a model whose evidence is known, and against their documentation."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch import distributions, nn

import intel_core.training.scoring
from intel_core import Compose, Identity, InteLVAE, Split, parse_spec
from intel_core.model.objectives import ELBO, IWAE, log_importance_weights
from intel_core.model.posterior import DiagonalGaussian
from intel_core.training.scoring import evaluate


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- the KL term -----------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(mean=st.floats(-50, 50), log_variance=st.floats(-30, 30))
def test_kl_is_that_of_torch(mean, log_variance):
    posterior = DiagonalGaussian(*(torch.tensor([[v]], dtype=torch.float64) for v in (mean, log_variance)))
    q = distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance))
    expected = float(distributions.kl_divergence(q, distributions.Normal(0.0, 1.0)))
    assert float(posterior.kl()) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@settings(max_examples=200)
@given(mean=st.floats(-(2**-10), 2**-10, width=32), log_variance=st.floats(-(2**-7), 2**-7, width=32))
def test_kl_is_never_negative_in_single_precision(mean, log_variance):
    assert float(DiagonalGaussian(torch.tensor([[mean]]), torch.tensor([[log_variance]])).kl()) >= 0


def test_kl_is_the_mean_log_ratio_of_samples():
    """Within 5 standard errors of 400,000 draws."""
    mean, log_variance = torch.tensor([[0.7, -1.2]], dtype=torch.float64), torch.tensor([[-0.9, 0.4]]).double()
    posterior = DiagonalGaussian(mean, log_variance)
    y = posterior.rsample(randn(400_000, 1, 2)).numpy()[:, 0]
    ratio = stats.norm(mean[0].numpy(), np.exp(log_variance[0].numpy() / 2)).logpdf(y) - stats.norm.logpdf(y)
    error = ratio.std(0) / math.sqrt(len(y))
    assert (np.abs(ratio.mean(0) - posterior.kl().numpy()[0]) < 5 * error).all()


def test_samples_of_the_posterior_are_mean_plus_noise_times_deviation():
    posterior, noise = DiagonalGaussian(randn(4, 3, seed=1), randn(4, 3, seed=2)), randn(5, 4, 3, seed=3)
    expected = posterior.mean.numpy() + noise.numpy() * np.sqrt(np.exp(posterior.log_variance.numpy()))
    np.testing.assert_allclose(posterior.rsample(noise), expected, rtol=1e-13, atol=1e-13)


# --- probabilistic PCA: the evidence is known -------------------------------------------------------------------


class Affine(nn.Module):
    """An encoder with a linear mean and one log-variance for all examples."""

    def __init__(self, weight, bias, log_variance):
        super().__init__()
        self.weight, self.bias, self.log_variance = (nn.Parameter(v) for v in (weight, bias, log_variance))

    def forward(self, x):
        mean = x @ self.weight.T + self.bias
        return torch.cat([mean, self.log_variance.expand_as(mean)], -1)


class PCA:
    """x = W y + b + sigma * noise with orthogonal columns of W: the posterior over y is a diagonal Gaussian."""

    x_dim, y_dim, sigma = 5, 2, 0.6

    def __init__(self):
        generator = np.random.default_rng(4)
        basis = np.linalg.qr(generator.normal(size=(self.x_dim, self.y_dim)))[0]
        self.w, self.b = basis * np.array([1.5, 0.7]), generator.normal(size=self.x_dim)
        self.x = generator.normal(size=(6, self.x_dim)) * 1.3 + self.b
        covariance = self.w @ self.w.T + self.sigma**2 * np.eye(self.x_dim)
        self.evidence = stats.multivariate_normal(self.b, covariance).logpdf(self.x)
        self.variance = 1 / (1 + (self.w**2).sum(0) / self.sigma**2)
        self.gain = self.variance[:, None] * self.w.T / self.sigma**2

    def model(self, shift=0.0, stretch=1.0):
        """The model with the exact posterior, or one moved and widened from it."""
        encoder = Affine(
            torch.tensor(self.gain),
            torch.tensor(shift - self.gain @ self.b),
            torch.tensor(np.log(self.variance * stretch)),
        )
        decoder = nn.Linear(self.y_dim, self.x_dim).double()
        with torch.no_grad():
            decoder.weight.copy_(torch.tensor(self.w))
            decoder.bias.copy_(torch.tensor(self.b))
        likelihood = parse_spec("likelihoods", f"gaussian:variance=fixed,scale={self.sigma}").build()
        return InteLVAE(encoder, Identity(self.y_dim), decoder, likelihood, (self.x_dim,))

    def cubature(self):
        """Points ± sqrt(d) e_i: their plain mean is exact for every quadratic function of standard noise."""
        points = math.sqrt(self.y_dim) * np.concatenate([np.eye(self.y_dim), -np.eye(self.y_dim)])
        return torch.tensor(points)

    def elbo(self, model):
        """The exact ELBO, mean over examples."""
        x, values = torch.tensor(self.x), []
        for point in self.cubature():
            terms = ELBO()(model, x, point.expand(1, len(x), -1), {})
            values.append(float(terms.log_likelihood - terms.kl))
            assert float(terms.loss) == pytest.approx(-values[-1], abs=1e-12)
        return float(np.mean(values))


@pytest.fixture(scope="module")
def pca():
    return PCA()


@torch.no_grad()
def test_elbo_at_the_exact_posterior_is_the_evidence(pca):
    assert pca.elbo(pca.model()) == pytest.approx(pca.evidence.mean(), abs=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("particles", [1, 2, 64])
def test_importance_weights_at_the_exact_posterior_are_the_evidence_whatever_the_noise(pca, particles):
    model, x, noise = pca.model(), torch.tensor(pca.x), 3 * randn(particles, 6, 2, seed=9)
    weights = log_importance_weights(model, x, noise).numpy()
    np.testing.assert_allclose(weights, np.broadcast_to(pca.evidence, (particles, 6)), atol=1e-10)
    terms = IWAE(particles)(model, x, noise, {})
    assert float(terms.others["iwae"]) == pytest.approx(pca.evidence.mean(), abs=1e-10)
    assert float(terms.loss) == pytest.approx(-pca.evidence.mean(), abs=1e-10)


@pytest.mark.promptly("-0.3-1.8")
@torch.no_grad()
@pytest.mark.parametrize(("shift", "stretch"), [(0.5, 1.0), (0.0, 3.0), (0.0, 0.4), (-0.3, 1.8)])
def test_elbo_iwae_and_evidence_are_in_order(pca, shift, stretch):
    """Of 10,000 repetitions per example each; "below" means by more than 5 standard errors where it is strict."""
    model, n = pca.model(shift, stretch), 10_000
    elbo, evidence = pca.elbo(model), pca.evidence.mean()
    gap = 0.5 * (stretch - 1 - math.log(stretch)) * 2 + 0.5 * shift**2 * (1 / pca.variance).sum()
    assert elbo == pytest.approx(evidence - gap, abs=1e-10)  # the gap is KL(q || exact posterior), in closed form
    x = torch.tensor(pca.x).repeat(n, 1)
    bounds = []
    for index, particles in enumerate((1, 2, 8, 64)):
        noise = randn(particles, len(x), 2, seed=100 + index)
        bound = float(IWAE(particles)(model, x, noise, {}).others["iwae"])
        log_weights = log_importance_weights(model, x, noise).numpy()
        by_hand = special.logsumexp(log_weights, axis=0) - math.log(particles)
        assert bound == pytest.approx(by_hand.mean(), abs=1e-10)
        per_example = by_hand.reshape(n, 6)
        bounds.append((bound, per_example.mean(1).std() / math.sqrt(n)))
    assert abs(bounds[0][0] - elbo) < 5 * bounds[0][1]
    for (low, e), (high, f) in itertools.pairwise(bounds):
        assert high - low > 5 * math.hypot(e, f)
    assert bounds[-1][0] < evidence + 5 * bounds[-1][1]


@torch.no_grad()
def test_evidence_is_estimated_by_many_particles(pca):
    """Mean weight of 200,000 draws within 5 standard errors, for a posterior that is too wide (bounded weights)."""
    weights = log_importance_weights(pca.model(0.0, 2.0), torch.tensor(pca.x), randn(200_000, 6, 2)).numpy()
    ratio = np.exp(weights - pca.evidence)
    assert (np.abs(ratio.mean(0) - 1) < 5 * ratio.std(0) / math.sqrt(len(ratio))).all()


def test_exact_posterior_is_a_stationary_point_of_the_elbo(pca):
    model, x = pca.model(), torch.tensor(pca.x)
    loss = sum(ELBO()(model, x, point.expand(1, 6, -1), {}).loss for point in pca.cubature())
    loss.backward()
    for parameter in model.encoder.parameters():
        np.testing.assert_allclose(parameter.grad, 0, atol=1e-10)


# --- weights and regularisers ------------------------------------------------------------------------------------


class Curved(nn.Module):
    """A mapping with two auxiliary losses, which counts how it is called."""

    def __init__(self, y_dim, **weights):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.regularisers = weights or {"size": 0.7, "third": 2.0}
        self.plain = self.joint = 0

    def _z(self, y):
        return y + 0.3 * torch.sin(y)

    def forward(self, y):
        self.plain += 1
        return self._z(y)

    def map_with_regularisers(self, y):
        self.joint += 1
        terms = {"size": y.square().sum(-1).mean(), "third": y[..., 0].pow(3).mean()}
        return self._z(y), {name: terms[name] for name in self.regularisers}


def toy_model(mapping=None, y_dim=3, x_dim=4, likelihood="gaussian:variance=fixed,scale=0.8"):
    torch.manual_seed(7)
    mapping = mapping or Curved(y_dim)
    encoder = nn.Sequential(nn.Linear(x_dim, 6), nn.Tanh(), nn.Linear(6, 2 * y_dim))
    decoder = nn.Sequential(nn.Linear(y_dim, 6), nn.Tanh(), nn.Linear(6, x_dim))
    return InteLVAE(encoder, mapping, decoder, parse_spec("likelihoods", likelihood).build(), (x_dim,)).double()


def by_hand(model, x, noise, mapped=True):
    """log p(x|z_k), log p(y_k), log q(y_k|x), the KL and y, with torch.distributions."""
    mean, log_variance = model.encoder(x).chunk(2, -1)
    q = distributions.Normal(mean, torch.exp(0.5 * log_variance))
    prior = distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    y = mean + noise * q.scale
    z = y + 0.3 * torch.sin(y) if mapped else y
    log_likelihood = distributions.Normal(model.decoder(z), 0.8).log_prob(x).sum(-1)
    return log_likelihood, prior.log_prob(y).sum(-1), q.log_prob(y).sum(-1), distributions.kl_divergence(q, prior), y


FACTORS = [{}, {"kl": 0.0}, {"kl": 0.25}, {"size": 0.5}, {"kl": 0.1, "size": 0.0, "third": 3.0}]


@torch.no_grad()
@pytest.mark.parametrize("weights", FACTORS)
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 4.0])
def test_elbo_loss_is_as_documented(weights, beta):
    model, x, noise = toy_model(), randn(5, 4, seed=1), randn(1, 5, 3, seed=2)
    terms = ELBO(beta)(model, x, noise, weights)
    log_likelihood, _, _, kl, y = by_hand(model, x, noise[0])
    size, third = float(y.square().sum(-1).mean()), float(y[..., 0].pow(3).mean())
    assert float(terms.log_likelihood) == pytest.approx(float(log_likelihood.mean()), rel=1e-12)
    assert float(terms.kl) == pytest.approx(float(kl.sum(-1).mean()), rel=1e-12)
    assert {k: float(v) for k, v in terms.others.items()} == pytest.approx({"size": size, "third": third}, rel=1e-12)
    expected = -float(log_likelihood.mean()) + beta * weights.get("kl", 1) * float(kl.sum(-1).mean())
    expected += 0.7 * weights.get("size", 1) * size + 2.0 * weights.get("third", 1) * third
    assert float(terms.loss) == pytest.approx(expected, rel=1e-12)
    assert (model.mapping.joint, model.mapping.plain) == (1, 0)


@torch.no_grad()
@pytest.mark.parametrize("weights", FACTORS)
@pytest.mark.parametrize("particles", [1, 2, 7])
def test_iwae_loss_is_as_documented(weights, particles):
    model, x, noise = toy_model(), randn(5, 4, seed=1), randn(particles, 5, 3, seed=2)
    terms = IWAE(particles)(model, x, noise, weights)
    log_likelihood, prior, posterior, kl, y = by_hand(model, x, noise)

    def bound(weight):
        log_weights = (log_likelihood + weight * (prior - posterior)).numpy()
        return float((special.logsumexp(log_weights, axis=0) - math.log(particles)).mean())

    size, third = float(y.square().sum(-1).mean()), float(y[..., 0].pow(3).mean())
    expected = -bound(weights.get("kl", 1)) + 0.7 * weights.get("size", 1) * size
    expected += 2.0 * weights.get("third", 1) * third
    assert float(terms.loss) == pytest.approx(expected, rel=1e-12)
    assert float(terms.others["iwae"]) == pytest.approx(bound(1), rel=1e-12)
    assert float(terms.log_likelihood) == pytest.approx(float(log_likelihood.mean()), rel=1e-12)
    assert float(terms.kl) == pytest.approx(float(kl.sum(-1).mean()), rel=1e-12)
    assert (model.mapping.joint, model.mapping.plain) == (1, 0)


def test_gradients_are_those_of_the_documented_loss():
    x, noise, weights = randn(5, 4, seed=1), randn(1, 5, 3, seed=2), {"kl": 0.4, "size": 0.5}
    ours, other = toy_model(), toy_model()
    ELBO(2.0)(ours, x, noise, weights).loss.backward()
    log_likelihood, _, _, kl, y = by_hand(other, x, noise[0])
    loss = -log_likelihood.mean() + 2.0 * 0.4 * kl.sum(-1).mean() + 0.7 * 0.5 * y.square().sum(-1).mean()
    (loss + 2.0 * y[..., 0].pow(3).mean()).backward()
    for a, b in zip(ours.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_regularisers_of_a_composition_enter_with_their_own_weights():
    mapping = Compose([Curved(3, size=0.5), Curved(3, size=2.0)])
    model, x, noise = toy_model(mapping), randn(5, 4, seed=1), randn(1, 5, 3, seed=2)
    terms = ELBO()(model, x, noise, {})
    y = by_hand(model, x, noise[0])[-1]
    first = float(y.square().sum(-1).mean())
    second = float((y + 0.3 * torch.sin(y)).square().sum(-1).mean())
    assert sorted(float(v) for v in terms.others.values()) == pytest.approx(sorted([first, second]), rel=1e-12)
    plain = float(terms.kl - terms.log_likelihood)
    assert float(terms.loss) == pytest.approx(plain + 0.5 * first + 2.0 * second, rel=1e-12)


# --- nats per example --------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("text", ["elbo", "elbo:beta=3", "iwae:particles=1", "iwae:particles=5"])
@pytest.mark.parametrize("copies", [2, 5])
def test_repeated_rows_leave_every_number_as_it_is(text, copies):
    objective = parse_spec("objectives", text).build()
    model, x, noise = toy_model(), randn(6, 4, seed=1), randn(objective.particles, 6, 3, seed=2)
    once = objective(model, x, noise, {"kl": 0.5})
    more = objective(model, x.repeat(copies, 1), noise.repeat(1, copies, 1), {"kl": 0.5})
    for name in ("loss", "log_likelihood", "kl"):
        assert float(getattr(more, name)) == pytest.approx(float(getattr(once, name)), rel=1e-12)
    assert {k: float(v) for k, v in more.others.items()} == pytest.approx({k: float(v) for k, v in once.others.items()})


@torch.no_grad()
@pytest.mark.parametrize("text", ["elbo", "iwae:particles=3"])
def test_terms_of_a_batch_are_means_of_the_terms_of_its_rows(text):
    objective = parse_spec("objectives", text).build()
    model, x, noise = toy_model(), randn(6, 4, seed=1), randn(objective.particles, 6, 3, seed=2)
    whole = objective(model, x, noise, {})
    rows = [objective(model, x[i : i + 1], noise[:, i : i + 1], {}) for i in range(6)]
    for name in ("loss", "log_likelihood", "kl"):
        mean = np.mean([float(getattr(row, name)) for row in rows])
        assert float(getattr(whole, name)) == pytest.approx(mean, rel=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("text", ["elbo", "iwae:particles=3"])
def test_values_of_an_image_are_summed(text):
    """The same numbers as an image and as a vector."""
    objective = parse_spec("objectives", text).build()
    model, x, noise = toy_model(), randn(6, 4, seed=1), randn(objective.particles, 6, 3, seed=2)
    vector = objective(model, x, noise, {})
    model.encoder = nn.Sequential(nn.Flatten(), model.encoder)
    model.decoder = nn.Sequential(model.decoder, nn.Unflatten(1, (1, 2, 2)))
    image = objective(model, x.reshape(6, 1, 2, 2), noise, {})
    assert float(image.loss) == pytest.approx(float(vector.loss), rel=1e-12)


# --- one path for training and evaluation ------------------------------------------------------------------------


def certain(model):
    """The same model with a posterior that is so narrow that no noise is left of the samples."""
    last = model.encoder[-1]
    with torch.no_grad():
        last.weight[model.y_dim :] = 0
        last.bias[model.y_dim :] = -200
    return model


@torch.no_grad()
@pytest.mark.parametrize("rows", [1000, 9, 7, 1])
@pytest.mark.parametrize("text", ["elbo", "elbo:beta=2.5", "iwae:particles=3"])
def test_evaluation_is_the_training_objective_over_batches_of_unequal_size(text, rows, monkeypatch):
    """23 examples, the last batch smaller than the others; without noise the result is known in closed form."""
    objective, model = parse_spec("objectives", text).build(), certain(toy_model()).float()
    monkeypatch.setattr(intel_core.training.scoring, "_ROWS", rows)
    x = randn(23, 4, seed=5).float()
    found = evaluate(model, objective, Split(x), seed=0)

    mean = model.encoder(x)[:, :3].double().numpy()
    z = torch.as_tensor(mean + 0.3 * np.sin(mean))
    output = model.decoder(z.float()).double().numpy()
    log_likelihood = stats.norm(output, 0.8).logpdf(x.numpy()).sum(1).mean()
    kl = 0.5 * (mean**2 + math.exp(-200) - 1 + 200)
    size, third = (mean**2).sum(1).mean(), (mean[:, 0] ** 3).mean()
    assert found["log_likelihood"] == pytest.approx(log_likelihood, rel=1e-5)
    assert found["kl"] == pytest.approx(kl.sum(1).mean(), rel=1e-5)
    assert found["elbo"] == pytest.approx(log_likelihood - kl.sum(1).mean(), rel=1e-5)
    assert found["kl_per_dim"] == pytest.approx(kl.mean(0).tolist(), rel=1e-5)
    assert (found["size"], found["third"]) == (pytest.approx(size, rel=1e-5), pytest.approx(third, rel=1e-4))
    assert found["active_units"] == int((mean.var(0) > 0.01).sum())
    regularised = 0.7 * size + 2.0 * third
    if text.startswith("elbo"):
        expected = -log_likelihood + getattr(objective, "beta", 1) * kl.sum(1).mean() + regularised
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
    else:
        assert found["loss"] == pytest.approx(-found["iwae"] + regularised, rel=1e-5)
    assert model.mapping.plain == 0


@torch.no_grad()
@pytest.mark.parametrize("text", ["elbo", "iwae:particles=4"])
def test_evaluation_with_noise_estimates_the_same_number(text, monkeypatch):
    """4,000 copies of 5 examples against one call of the objective with other noise, within 6 standard errors."""
    objective, model = parse_spec("objectives", text).build(), toy_model().float()
    x = randn(5, 4, seed=5).float().repeat(4000, 1)
    found = evaluate(model, objective, Split(x), seed=0)
    losses = [
        float(objective(model, x, torch.randn(objective.particles, len(x), 3), {}).loss)
        for _ in range(10)  # seeded by toy_model
    ]
    assert abs(found["loss"] - np.mean(losses)) < 6 * np.std(losses, ddof=1) * math.sqrt(1.1)


@torch.no_grad()
def test_evaluation_depends_on_the_seed_alone_and_leaves_the_model_as_it_was():
    model, split, objective = toy_model().float(), Split(randn(40, 4).float()), ELBO()
    model.train()
    before = torch.get_rng_state()
    first, again, other = (evaluate(model, objective, split, seed) for seed in (1, 1, 2))
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    assert first == again
    assert first["log_likelihood"] != other["log_likelihood"]
    assert first["kl"] == other["kl"]
