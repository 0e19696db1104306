"""Likelihoods against torch.distributions, scipy.stats and quadrature; nothing here is copied from our own output."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import distributions

from intel_core.components.spec import parse_spec
from intel_core.model.likelihood import Likelihood


class CB:
    """The continuous Bernoulli as a (mirrored) truncated exponential of scipy."""

    def __init__(self, eta: float) -> None:
        self.eta = eta
        self.size = abs(eta)
        self.base = stats.truncexpon(b=self.size, scale=1 / self.size) if eta else stats.uniform()

    def _mirror(self, x):
        return 1 - np.asarray(x) if self.eta > 0 else np.asarray(x)

    def logpdf(self, x):
        if self.size > 1e-4:
            inside = self.base.logpdf(self._mirror(np.clip(x, 1e-12, 1 - 1e-12)))  # scipy's interval may be open
            return inside + self.eta * (np.asarray(x) - np.clip(x, 1e-12, 1 - 1e-12))
        return (np.asarray(x) - 0.5) * self.eta - self.eta**2 / 24  # the next term is eta**4 / 2880

    def cdf(self, x):
        return 1 - self.base.cdf(1 - np.asarray(x)) if self.eta > 0 else self.base.cdf(x)

    def mean(self):
        if self.size < 1e-4:
            return 0.5 + self.eta / 12
        return float(self._mirror(self.base.mean()))


@dataclass(frozen=True)
class Case:
    """One configuration: its text, parameters per value, and the same distribution twice over."""

    text: str
    params: tuple[tuple[float, ...], ...]
    scipy: Callable
    torch: Callable
    support: str
    close: float = 1e-10

    def build(self) -> Likelihood:
        return parse_spec("likelihoods", self.text).build().double()


REAL = tuple((m,) for m in (-3.0, 0.0, 0.25, 100.0))
LEARNED = tuple((m, v) for m in (-2.0, 0.0, 7.5) for v in (-9.0, -1.0, 0.0, 3.0))
# The last few lie on both sides of where a series could take over from the closed form.
ETAS = (-40.0, -5.0, -1.0, -0.58, 0.0, 0.8, 2.5, 30.0)
SWITCH = tuple(s * (b + d) for b in (1e-3, 0.01, 0.1, 0.2, 0.4) for d in (-1e-9, 0.0, 1e-9) for s in (-1, 1))


def _normal(scale):
    return (lambda m: stats.norm(m, scale)), (lambda m: distributions.Normal(m, scale))


def _learned(floor):
    def deviation(v):
        return math.sqrt(floor**2 + math.exp(v))

    return (lambda m, v: stats.norm(m, deviation(v))), (lambda m, v: distributions.Normal(m, deviation(v)))


CASES = [
    Case(
        "bernoulli",
        tuple((e,) for e in (-30.0, -3.0, 0.0, 0.4, 8.0)),
        lambda e: stats.bernoulli(special.expit(e)),
        lambda e: distributions.Bernoulli(logits=torch.tensor(e, dtype=torch.float64)),
        "binary",
    ),
    Case(
        "continuous_bernoulli",
        tuple((e,) for e in (*ETAS, *SWITCH)),
        CB,
        # torch takes a series of low order within 0.001 of probability one half.
        lambda e: distributions.ContinuousBernoulli(logits=torch.tensor(e, dtype=torch.float64)),
        "unit",
        close=2e-9,
    ),
    Case("gaussian:variance=fixed", REAL, *_normal(1.0), "real"),
    Case("gaussian:variance=fixed,scale=0.05", REAL, *_normal(0.05), "real"),
    # A shared log-variance starts as a float32.
    Case("gaussian:variance=shared,scale=0.5,floor=0", REAL, *_normal(0.5), "real", close=1e-6),
    Case("gaussian:variance=shared,scale=0.4,floor=0.3", REAL, *_normal(0.5), "real", close=1e-6),
    # The logarithm of the floor is a float32, too.
    Case("gaussian", LEARNED, *_learned(1e-3), "real", close=1e-6),
    Case("gaussian:floor=0", LEARNED, *_learned(0.0), "real"),
    Case("gaussian:floor=0.5", LEARNED, *_learned(0.5), "real", close=1e-6),
    Case("laplace", REAL, lambda m: stats.laplace(m, 1.0), lambda m: distributions.Laplace(m, 1.0), "real"),
    Case("laplace:scale=0.1", REAL, lambda m: stats.laplace(m, 0.1), lambda m: distributions.Laplace(m, 0.1), "real"),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[case.text for case in CASES])


def log_density(likelihood, params, x):
    """Log densities of some scalars under one set of parameters."""
    x = torch.as_tensor(np.atleast_1d(x), dtype=torch.float64).reshape(-1, 1)
    return likelihood.log_prob(torch.tensor(params, dtype=torch.float64).expand(len(x), -1), x).detach().numpy()


def moment(case, likelihood, params, function):
    """The expectation of a function under our own density, by summation or quadrature."""
    if case.support == "binary":
        x = np.array([0.0, 1.0])
        return float((np.exp(log_density(likelihood, params, x)) * function(x)).sum())

    def integrand(x):
        return np.exp(log_density(likelihood, params, x)) * function(x)

    if case.support == "unit":
        middle = min(0.5, 10 / max(abs(params[0]), 1e-9))
        breaks = [0.0, middle, 1 - middle, 1.0]
    else:
        reference = case.scipy(*params)
        breaks = [reference.mean() + k * reference.std() for k in (-45, -10, -3, 0, 3, 10, 45)]
    return sum(integrate.fixed_quad(integrand, a, b, n=100)[0] for a, b in itertools.pairwise(breaks))


# --- densities -------------------------------------------------------------------------------------------------


@each_case
def test_total_mass_is_one_and_mean_is_the_integrated_mean(case):
    likelihood = case.build()
    for params in case.params:
        assert moment(case, likelihood, params, np.ones_like) == pytest.approx(1, abs=1e-9)
        mean = float(likelihood.mean(torch.tensor([params], dtype=torch.float64)))
        scale = max(1.0, abs(mean))
        assert mean == pytest.approx(moment(case, likelihood, params, lambda x: x), abs=5e-9 * scale), params
        assert mean == pytest.approx(float(case.scipy(*params).mean()), abs=5e-9 * scale), params


@each_case
def test_density_is_that_of_scipy_and_of_torch(case):
    likelihood = case.build()
    for params in case.params:
        reference = case.scipy(*params)
        if case.support == "binary":
            x = np.array([0.0, 1.0])
            expected = reference.logpmf(x)
        else:
            unit = np.array([0.0, 0.13, 0.5, 0.77, 1.0])
            x = unit if case.support == "unit" else reference.mean() + reference.std() * 6 * (2 * unit - 1)
            expected = reference.logpdf(x)
        ours = log_density(likelihood, params, x)
        np.testing.assert_allclose(ours, expected, rtol=max(case.close, 1e-10), atol=case.close, err_msg=str(params))
        if abs(params[0]) > 10 and case.support == "unit":
            continue  # torch clamps probabilities there
        theirs = case.torch(*params).log_prob(torch.as_tensor(x, dtype=torch.float64)).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6, err_msg=str(params))


def test_bernoulli_on_values_between_zero_and_one_is_the_cross_entropy():
    x, eta = 0.3, 1.7
    p = special.expit(eta)
    expected = x * math.log(p) + (1 - x) * math.log(1 - p)
    assert log_density(parse_spec("likelihoods", "bernoulli").build(), (eta,), x) == pytest.approx(expected, abs=1e-12)


# --- samples ---------------------------------------------------------------------------------------------------


@each_case
def test_samples_follow_the_distribution(case):
    """Mean and variance within 5 standard errors of 100,000 draws, and a Kolmogorov-Smirnov test."""
    likelihood, n = case.build(), 100_000
    generator = torch.Generator().manual_seed(11)
    for params in case.params[:: max(1, len(case.params) // 6)]:
        reference = case.scipy(*params)
        repeated = torch.tensor(params, dtype=torch.float64).expand(n, -1)
        x = likelihood.sample(repeated, generator).detach().numpy()[:, 0]
        assert x.shape == (n,)
        mean = moment(case, likelihood, params, lambda x: x)
        second, fourth = (moment(case, likelihood, params, lambda x, p=p, m=mean: (x - m) ** p) for p in (2, 4))
        assert abs(x.mean() - mean) <= 5 * math.sqrt(second / n) + 1e-12, params
        # The second part is what the error of the mean does to the variance.
        allowed = 5 * math.sqrt(max(fourth - second**2, 0) / n) + 25 * second / n
        assert abs(x.var() - second) <= allowed + 1e-12, params
        if case.support == "binary":
            assert set(np.unique(x)) <= {0.0, 1.0}
        else:
            assert stats.kstest(x, reference.cdf).pvalue > 1e-4, params
        if case.support == "unit":
            assert x.min() >= 0
            assert x.max() <= 1


def test_no_laplace_sample_is_further_away_than_so_many_make_likely():
    likelihood = parse_spec("likelihoods", "laplace").build()
    draws = likelihood.sample(torch.zeros(30_000_000), torch.Generator().manual_seed(0))
    assert float(draws.abs().max()) < math.log(30_000_000) + 14  # but for one time in a million


@pytest.mark.parametrize("eta", [-0.0099, -0.0101, 0.0099, 0.0101])
def test_continuous_bernoulli_samples_keep_their_mean_close_to_zero(eta):
    """16 million draws see a bias of 3e-4; the distribution is not quite uniform there."""
    likelihood = parse_spec("likelihoods", "continuous_bernoulli").build()
    generator = torch.Generator().manual_seed(3)
    n, total = 4_000_000, 0.0
    for _ in range(4):
        total += float(likelihood.sample(torch.full((n, 1), eta), generator).double().mean()) / 4
    error = math.sqrt(1 / 12 / (4 * n))
    assert abs(total - CB(eta).mean()) < 5 * error


@each_case
def test_samples_are_decided_by_the_generator_alone(case):
    likelihood = case.build()
    params = torch.tensor(case.params[:2], dtype=torch.float64).repeat(50, 1)
    before = torch.get_rng_state()
    draws = [likelihood.sample(params, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(before, torch.get_rng_state())


# --- extremes --------------------------------------------------------------------------------------------------

LOGITS = (-1e4, -500.0, -90.0, -89.0, -1e-6, 0.0, 1e-30, 1e-6, 88.0, 90.0, 500.0, 1e4)
LOG_VARIANCES = (-1e4, -200.0, -104.0, -89.0, -20.0, 0.0, 20.0, 80.0)
LARGE_LOG_VARIANCES = (89.0, 104.0, 200.0, 1e4)


def _cb_log_density(eta, x):
    """In Python floats, without overflow: log(eta e^{eta x} / (e^eta - 1))."""
    if abs(eta) < 1e-4:
        return (x - 0.5) * eta - eta**2 / 24
    if eta < 0:
        return _cb_log_density(-eta, 1 - x)
    return math.log(eta) + eta * (x - 1) - math.log1p(-math.exp(-eta))


EXTREMES = [
    *[("bernoulli", (e,), x, x * e - float(np.logaddexp(0, e))) for e in LOGITS for x in (0.0, 0.5, 1.0)],
    *[("continuous_bernoulli", (e,), x, _cb_log_density(e, x)) for e in LOGITS for x in (0.0, 0.5, 1.0)],
    *[
        ("gaussian", (m, v), 0.0, float(stats.norm(m, math.sqrt(1e-6 + math.exp(v))).logpdf(0.0)))
        for m in (0.0, 1.0, -50.0)
        for v in LOG_VARIANCES
    ],
    # The variance of 1e-6 is lost beside e**89 in any precision.
    *[
        ("gaussian", (m, v), 0.0, -0.5 * (m * m * math.exp(-v) + v + math.log(2 * math.pi)))
        for m in (0.0, 1.0)
        for v in LARGE_LOG_VARIANCES
    ],
    *[("laplace:scale=0.1", (m,), 0.0, -abs(m) / 0.1 - math.log(0.2)) for m in (0.0, 1e-30, -1e4, 1e30)],
    *[("gaussian:variance=fixed", (m,), 0.0, float(stats.norm(m, 1).logpdf(0.0))) for m in (0.0, 1e-30, -1e4, 1e15)],
]


@pytest.mark.parametrize(("text", "params", "x", "expected"), EXTREMES)
def test_extreme_parameters_are_exact_in_single_precision(text, params, x, expected):
    likelihood = parse_spec("likelihoods", text).build()
    given = torch.tensor([params], requires_grad=True)
    value = likelihood.log_prob(given, torch.tensor([[x]]))
    assert float(value.detach()) == pytest.approx(expected, rel=2e-5, abs=2e-5)
    value.sum().backward()
    assert torch.isfinite(given.grad).all()


@pytest.mark.parametrize("text", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("eta", LOGITS)
def test_mean_and_sample_of_extreme_logits(text, eta):
    likelihood = parse_spec("likelihoods", text).build()
    params = torch.full((2000, 1), eta, requires_grad=True)
    mean = likelihood.mean(params)
    expected = special.expit(eta) if text == "bernoulli" else CB(eta).mean()
    np.testing.assert_allclose(mean.detach().numpy(), expected, atol=2e-5)
    draws = likelihood.sample(params.detach(), torch.Generator().manual_seed(0))
    assert torch.isfinite(draws).all()
    assert float(draws.mean()) == pytest.approx(expected, abs=0.05)
    mean.sum().backward()
    assert torch.isfinite(params.grad).all()


# --- gradients -------------------------------------------------------------------------------------------------


@each_case
def test_gradient_is_that_of_finite_differences(case):
    likelihood = case.build()
    for params in case.params:
        reference = case.scipy(*params)
        x = 1.0 if case.support == "binary" else 0.3 if case.support == "unit" else reference.mean() + 0.7
        given = torch.tensor([params], dtype=torch.float64, requires_grad=True)
        target = torch.tensor([[x]], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda p, t=target: likelihood.log_prob(p, t), (given,)), params


@pytest.mark.parametrize("text", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("eta", [*ETAS, *SWITCH])
def test_exponential_families_have_gradient_x_minus_mean(text, eta):
    likelihood = parse_spec("likelihoods", text).build()
    given = torch.tensor([[eta]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(likelihood.log_prob(given, torch.tensor([[0.25]], dtype=torch.float64)), given)
    expected = special.expit(eta) if text == "bernoulli" else CB(eta).mean()
    assert float(gradient) == pytest.approx(0.25 - expected, abs=2e-9)
    assert float(likelihood.mean(given.detach())) == pytest.approx(expected, abs=2e-9)


def test_shared_variance_is_learned_and_its_gradient_vanishes_at_the_sample_variance():
    likelihood = parse_spec("likelihoods", "gaussian:variance=shared,scale=2,floor=0").build().double()
    (parameter,) = likelihood.parameters()
    x = torch.randn(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        parameter.fill_(math.log(float(x.square().mean())))
    likelihood.log_prob(torch.zeros_like(x), x).mean().backward()
    assert float(parameter.grad) == pytest.approx(0, abs=1e-12)


# --- shapes ----------------------------------------------------------------------------------------------------

TEXTS = [case.text for case in CASES]


def _params_and_data(text, leading, event, n=4):
    likelihood = parse_spec("likelihoods", text).build().double()
    generator = torch.Generator().manual_seed(1)
    channels = likelihood.params_per_value * event[0]
    params = torch.randn(*leading, n, channels, *event[1:], dtype=torch.float64, generator=generator)
    return likelihood, params, torch.rand(n, *event, dtype=torch.float64, generator=generator).round()


def _flat(likelihood, params, event):
    """Parameters of one example as one row per value, worked out by index."""
    return params.reshape(likelihood.params_per_value, *event).flatten(1).T


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("event", [(3,), (2, 4, 5)])
@pytest.mark.parametrize("leading", [(), (6,), (2, 3)])
def test_log_prob_sums_over_an_example_and_keeps_leading_dimensions(text, event, leading):
    likelihood, params, x = _params_and_data(text, leading, event)
    found = likelihood.log_prob(params, x).detach()
    assert found.shape == (*leading, 4)
    for index in np.ndindex(*found.shape):
        rows = _flat(likelihood, params[index], event)
        values = x[index[-1]].reshape(-1, 1)
        expected = sum(float(likelihood.log_prob(p[None], v[None]).detach()) for p, v in zip(rows, values, strict=True))
        assert float(found[index]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("event", [(3,), (2, 4, 5)])
def test_mean_log_prob_is_the_mean_over_examples(text, event):
    likelihood, params, x = _params_and_data(text, (), event, n=7)
    expected = float(likelihood.log_prob(params, x).detach().numpy().sum()) / 7
    assert float(likelihood.mean_log_prob(params, x).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("event", [(3,), (2, 4, 5)])
def test_mean_and_sample_have_the_shape_of_the_data(text, event):
    likelihood, params, x = _params_and_data(text, (), event)
    assert likelihood.mean(params).shape == x.shape
    assert likelihood.sample(params, torch.Generator().manual_seed(0)).shape == x.shape
    for row, mean in zip(params, likelihood.mean(params), strict=True):
        rows = _flat(likelihood, row, event)
        np.testing.assert_allclose(likelihood.mean(rows).detach().flatten(), mean.detach().flatten(), rtol=1e-12)
