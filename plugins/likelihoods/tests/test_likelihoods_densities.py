"""Are the densities those of scipy, with its moments and their own gradients, and safe in float32?"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from intel_core.components.discovery import available
from intel_core.components.spec import parse_spec
from intel_core.model.likelihood import Likelihood

FLOOR = 1e-4


@dataclass(frozen=True)
class Case:
    """A configuration, the parameters of a value, and the distribution of scipy that they stand for."""

    text: str
    params: tuple[tuple[float, ...], ...]
    scipy: Callable

    @property
    def is_discrete(self) -> bool:
        return not self.text.startswith("student_t")

    def build(self) -> Likelihood:
        return parse_spec("likelihoods", self.text).build().double()


def nb(log_mean, theta):
    return stats.nbinom(theta, theta / (theta + math.exp(log_mean)))


LOG_MEANS = tuple((m,) for m in (-6.0, -1.0, 0.0, 2.0, 6.5))
CASES = [
    Case("poisson", LOG_MEANS, lambda m: stats.poisson(math.exp(m))),
    Case("negative_binomial:dispersion=fixed,theta=0.3", LOG_MEANS, lambda m: nb(m, 0.3)),
    Case("negative_binomial:dispersion=fixed,theta=40", LOG_MEANS, lambda m: nb(m, 40.0)),
    Case(
        "negative_binomial",
        tuple((m, t) for m in (-2.0, 1.0, 4.0) for t in (-1.0, 1.0, 2.77, 5.0)),
        lambda m, t: nb(m, FLOOR + math.exp(t)),
    ),
    *(
        Case(
            f"student_t:spread=fixed,scale={s},df={df}",
            tuple((m,) for m in (-3.0, 0.0, 5.0)),
            lambda m, s=s, df=df: stats.t(df, m, s),
        )
        for s, df in ((1.0, 1.0), (0.5, 3.0), (2.0, 31.9), (1.0, 32.1), (1.0, 500.0))
    ),
    Case(
        "student_t:floor=0.1",
        tuple((m, v) for m in (-2.0, 0.0) for v in (-9.0, 0.0, 3.0)),
        lambda m, v: stats.t(5.0, m, math.sqrt(0.01 + math.exp(v))),
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[case.text for case in CASES])


def densities(likelihood, params, x):
    x = torch.as_tensor(np.atleast_1d(x), dtype=torch.float64).reshape(-1, 1)
    return likelihood.log_prob(torch.tensor(params, dtype=torch.float64).expand(len(x), -1), x).detach().numpy()


def values_of(case, reference):
    if case.is_discrete:
        top = int(reference.ppf(1 - 1e-13)) + 1
        return np.unique(np.concatenate([np.arange(min(top, 30)), np.linspace(0, top, 40).astype(int)]))
    return reference.ppf([1e-12, 1e-5, 0.1, 0.4999, 0.5, 0.7, 0.999, 1 - 1e-9])


@each_case
def test_the_density_is_that_of_scipy(case):
    likelihood = case.build()
    for params in case.params:
        reference = case.scipy(*params)
        x = values_of(case, reference)
        expected = reference.logpmf(x) if case.is_discrete else reference.logpdf(x)
        np.testing.assert_allclose(densities(likelihood, params, x), expected, rtol=1e-10, atol=1e-10)


@each_case
def test_the_total_mass_is_one(case):
    likelihood = case.build()
    for params in case.params:
        if case.is_discrete:
            x = np.arange(int(case.scipy(*params).ppf(1 - 1e-13)) + 2)
            total = np.exp(densities(likelihood, params, x)).sum()
        else:  # x = m + s tan(angle), which takes tails of a power law to a finite interval
            m, s = params[0], case.scipy(*params).interval(0.5)[1] - params[0]

            def integrand(angle, p=params, m=m, s=s):
                return np.exp(densities(likelihood, p, m + s * np.tan(angle))) * s / np.cos(angle) ** 2

            edges = math.pi / 2 * np.linspace(-1, 1, 31)
            total = sum(integrate.fixed_quad(integrand, a, b, n=40)[0] for a, b in itertools.pairwise(edges))
        assert total == pytest.approx(1, abs=1e-9), params


@each_case
def test_mean_and_samples_have_the_moments_of_scipy(case):
    likelihood, n = case.build(), 40_000
    generator = torch.Generator().manual_seed(5)
    for params in case.params[:: max(1, len(case.params) // 4)]:
        reference = case.scipy(*params)
        repeated = torch.tensor(params, dtype=torch.float64).expand(n, -1)
        mean = float(likelihood.mean(repeated[:1]).detach())
        draws = likelihood.sample(repeated, generator).detach().numpy()[:, 0]
        assert draws.shape == (n,)
        if case.is_discrete:
            assert (draws == draws.round()).all()
            assert draws.min() >= 0
            _, variance, _, kurtosis = reference.stats("mvsk")
            assert mean == pytest.approx(reference.mean(), rel=1e-9)
            assert abs(draws.mean() - mean) <= 5 * math.sqrt(variance / n), params
            assert abs(draws.var() - variance) <= 6 * variance * math.sqrt((kurtosis + 2) / n), params
        else:
            assert mean == pytest.approx(reference.median(), abs=1e-9)
            assert stats.kstest(draws, reference.cdf).pvalue > 1e-4, params


@each_case
def test_samples_are_decided_by_the_generator_alone(case):
    likelihood = case.build()
    params = torch.tensor(case.params[-2:], dtype=torch.float64).repeat(50, 1)
    before = torch.get_rng_state()
    draws = [likelihood.sample(params, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(before, torch.get_rng_state())


@each_case
def test_gradients_are_those_of_finite_differences(case):
    likelihood = case.build()
    for params in case.params:
        x = torch.tensor([[0.0], [1.0], [2.0], [7.0], [16.0], [17.0], [300.0]], dtype=torch.float64)
        given = torch.tensor([params], dtype=torch.float64).repeat(len(x), 1).requires_grad_()
        assert torch.autograd.gradcheck(likelihood.log_prob, (given, x)), params


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("negative_binomial:dispersion=shared,theta=4", "log_theta"),
        ("student_t:spread=shared,scale=0.5", "log_square"),
        ("student_t:learn_df=true,df=3", "log_df"),
        ("student_t:learn_df=true,df=60", "log_df"),
    ],
)
def test_a_shared_number_begins_where_it_is_said_and_has_its_gradient(text, name):
    likelihood = parse_spec("likelihoods", text).build().double()
    parameter = getattr(likelihood, name)
    params = torch.full((4, likelihood.params_per_value), 0.3, dtype=torch.float64)
    x = torch.tensor([[0.0], [1.0], [4.0], [40.0]], dtype=torch.float64)
    scale = math.sqrt(1e-6 + math.exp(0.3))
    expected = {
        "negative_binomial:dispersion=shared,theta=4": lambda: nb(0.3, 4.0).logpmf(x),
        "student_t:spread=shared,scale=0.5": lambda: stats.t(5.0, 0.3, math.sqrt(0.25 + 1e-6)).logpdf(x),
        "student_t:learn_df=true,df=3": lambda: stats.t(3.0, 0.3, scale).logpdf(x),
        "student_t:learn_df=true,df=60": lambda: stats.t(60.0, 0.3, scale).logpdf(x),
    }[text]()
    # The parameter begins as a float32.
    np.testing.assert_allclose(likelihood.log_prob(params, x).detach(), expected[:, 0], rtol=1e-6)

    def of_parameter(value):
        return torch.func.functional_call(likelihood, {name: value}, (params, x))

    likelihood.forward = likelihood.log_prob
    assert torch.autograd.gradcheck(of_parameter, (parameter.detach().clone().requires_grad_(),))


def test_a_learned_theta_of_the_sample_is_found():
    generator = torch.Generator().manual_seed(0)
    x = parse_spec("likelihoods", "negative_binomial:dispersion=fixed,theta=2").build().sample(
        torch.full((20_000, 1), 1.5), generator
    )  # fmt: skip
    likelihood = parse_spec("likelihoods", "negative_binomial:dispersion=shared,theta=30").build()
    output = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([output, *likelihood.parameters()], max_iter=60)

    def loss():
        optimizer.zero_grad()
        value = -likelihood.mean_log_prob(output.expand(len(x), 1), x)
        value.backward()
        return value

    optimizer.step(loss)
    assert float(likelihood.log_theta.detach().exp()) == pytest.approx(2, rel=0.06)
    assert float(output.detach()) == pytest.approx(1.5, abs=0.03)


# --- library size -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["poisson:mean=library", "negative_binomial:mean=library,dispersion=fixed,theta=3"])
def test_the_library_size_is_the_total_of_x(text):
    likelihood = parse_spec("likelihoods", text).build().double()
    output = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.tensor([[3, 0, 1, 6], [0, 0, 0, 0], [500, 20, 3, 0]], dtype=torch.float64)
    means = torch.softmax(output, 1) * torch.tensor([[10.0], [1.0], [523.0]])
    theirs = stats.poisson(means) if "poisson" in text else stats.nbinom(3, 3 / (3 + means))
    np.testing.assert_allclose(likelihood.log_prob(output, x), theirs.logpmf(x).sum(1), rtol=1e-10)
    mean = likelihood.mean(output)
    np.testing.assert_allclose(mean, 10_000 * torch.softmax(output, 1), rtol=1e-12)
    draws = likelihood.sample(output[:1].expand(4000, 4), torch.Generator().manual_seed(1)).mean(0)
    np.testing.assert_allclose(draws, mean[0], rtol=0.07)


# --- extremes in float32 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", [None, 0.01, 3.0, 1e4, 1e8])
@pytest.mark.parametrize("log_mean", [-80.0, -10.0, 0.0, 8.0, 13.8, 19.0])
def test_counts_in_single_precision_are_as_in_double(theta, log_mean):
    text = "poisson" if theta is None else f"negative_binomial:dispersion=fixed,theta={theta}"
    x = torch.tensor([0.0, 1.0, 2.0, 15.0, 17.0, 3000.0, 990_000.0, 1e6, 1e7])[:, None]
    values = []
    for dtype in (torch.float32, torch.float64):
        params = torch.full_like(x, log_mean, dtype=dtype).requires_grad_()
        value = parse_spec("likelihoods", text).build().log_prob(params, x.to(dtype))
        (gradient,) = torch.autograd.grad(value.sum(), params)
        values.append((value.detach().double(), gradient.double()))
    torch.testing.assert_close(values[0][0], values[1][0], rtol=1e-4, atol=1e-3)
    scale = 1 + x.double() * 1e-6
    torch.testing.assert_close(values[0][1] / scale, values[1][1] / scale, rtol=1e-3, atol=1.0)


@pytest.mark.parametrize(
    "text",
    ["poisson", "negative_binomial", "poisson:mean=library", "negative_binomial:mean=library", "student_t"],
)
@pytest.mark.parametrize("output", [-1e4, -200.0, -88.0, 0.0, 20.0, 89.0, 1e4])
@pytest.mark.parametrize("second", [-1e4, -88.0, 0.0, 19.0, 60.0])
def test_extreme_outputs_are_finite_in_single_precision_with_their_gradients(text, output, second):
    likelihood = parse_spec("likelihoods", text).build()
    two = likelihood.params_per_value == 2
    x = torch.tensor([[0.0, 1.0], [3.0, 1e6], [0.0, 0.0]])
    params = torch.tensor([output, 0.0, *([second, second] if two else [])]).repeat(3, 1).requires_grad_()
    value = likelihood.log_prob(params, x)
    assert torch.isfinite(value).all()
    value.sum().backward()
    assert torch.isfinite(params.grad).all()
    assert torch.isfinite(likelihood.mean(params)).all()
    assert torch.isfinite(likelihood.sample(params.detach(), torch.Generator().manual_seed(0))).all()


def test_outliers_beyond_the_square_root_of_the_largest_float_are_finite():
    likelihood = parse_spec("likelihoods", "student_t:spread=fixed,df=3").build()
    params = torch.tensor([[0.0]], requires_grad=True)
    value = likelihood.log_prob(params, torch.tensor([[1e30]]))
    assert float(value.detach()) == pytest.approx(stats.t(3).logpdf(1e30), rel=1e-5)
    value.sum().backward()
    assert torch.isfinite(params.grad).all()


# --- shapes -------------------------------------------------------------------------------------------------------

TEXTS = [
    *(case.text for case in CASES),
    *("poisson:mean=library", "negative_binomial:mean=library", "negative_binomial:dispersion=shared"),
    *("categorical", "categorical:sizes=[2]", "student_t:spread=shared,learn_df=true"),
]


def test_every_likelihood_of_this_distribution_is_here():
    ours = {part.name for part in available("likelihoods") if part.distribution == "intelvae-likelihoods"}
    assert ours == {text.partition(":")[0] for text in TEXTS} | {"mixed"}  # of others, in test_likelihoods_mixed.py


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("event", [(4,), (2, 3, 5)])
def test_particles_lead_and_means_and_samples_have_the_shape_of_the_data(text, event):
    likelihood = parse_spec("likelihoods", text).build().double()
    generator = torch.Generator().manual_seed(1)
    channels = likelihood.params_per_value * event[0]
    params = torch.randn(2, 3, 6, channels, *event[1:], dtype=torch.float64, generator=generator)
    x = torch.rand(6, *event, dtype=torch.float64, generator=generator).mul(4).round()
    found = likelihood.log_prob(params, x).detach()
    assert found.shape == (2, 3, 6)
    for index in np.ndindex(2, 3):
        torch.testing.assert_close(found[index], likelihood.log_prob(params[index], x).detach(), rtol=1e-12, atol=0)
    of_one = likelihood.log_prob(params[0, 0, :1], x[:1]).detach()
    torch.testing.assert_close(found[0, 0, :1], of_one, rtol=1e-12, atol=0)
    mean = likelihood.mean_log_prob(params[1, 2], x).detach()
    assert float(mean) == pytest.approx(float(found[1, 2].mean()), rel=1e-12)
    assert likelihood.mean(params[0, 0]).shape == x.shape
    assert likelihood.sample(params[0, 0], generator).shape == x.shape
