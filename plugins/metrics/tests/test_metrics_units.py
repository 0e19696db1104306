"""Are KL, active units and mutual information those of the closed forms?"""

import math

import numpy as np
import pytest
import torch
from intel_metrics.units import active_by_kl, active_by_variance, index_information, kl_per_dimension
from torch.distributions import Normal, kl_divergence


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_kl_of_each_dimension():
    mean, std = normal(6, 4), normal(6, 4, seed=1).exp()
    expected = kl_divergence(Normal(mean, std), Normal(0.0, 1.0))
    assert kl_per_dimension(mean, std).numpy() == pytest.approx(expected.numpy(), rel=1e-12)
    assert float(kl_per_dimension(torch.zeros(1, 1), torch.ones(1, 1))) == 0


def test_active_units_are_counted_by_variance_over_examples_and_by_mean_kl():
    # constant but far from the prior; varying too little; active
    mean = torch.stack([torch.full((1000,), 2.0), 0.05 * normal(1000).float(), normal(1000, seed=1).float()], 1)
    std = torch.tensor([[1.0, 1.0, 0.5]]).expand(1000, 3)
    assert active_by_variance(mean).tolist() == [False, False, True]
    assert active_by_variance(mean, 0.002).tolist() == [False, True, True]
    assert active_by_kl(mean, std).tolist() == [True, False, True]
    assert active_by_kl(mean, std, 2.5).tolist() == [False, False, False]


def test_information_of_examples_far_apart_is_the_log_of_their_number():
    mean = 100.0 * torch.arange(64).unsqueeze(1).double()
    found = index_information(mean, torch.ones_like(mean), mean + normal(64, 1))
    assert found.numpy() == pytest.approx(math.log(64), abs=1e-9)


def test_no_information_where_all_posteriors_are_one():
    mean, std = torch.full((50, 3), 0.3), torch.full((50, 3), 0.9)
    assert index_information(mean, std, mean + std * normal(50, 3)).abs().max() < 1e-9


def test_information_of_a_gaussian_channel():
    # x ~ N(0, s² I), q(y|x) = N(x, t² I): I = D/2 log(1 + s²/t²), and the aggregate is N(0, (s² + t²) I)
    s, t, n, width = 0.8, 0.6, 4000, 2
    mean = s * normal(n, width)
    std = torch.full_like(mean, t)
    found = index_information(mean, std, mean + t * normal(n, width, seed=1))
    error = float(found.std()) / math.sqrt(n)
    truth = width / 2 * math.log(1 + s**2 / t**2)
    assert abs(float(found.mean()) - truth) < 4 * error + 0.01
    # s² + t² = 1: the aggregate is the prior, so that all of the KL is information
    assert float(kl_per_dimension(mean, std).sum(1).mean()) == pytest.approx(truth, abs=0.05)


def test_information_against_naive_loops(monkeypatch):
    mean, std, y = normal(9, 2), normal(9, 2, seed=1).exp(), normal(9, 2, seed=2)
    y = mean + std * y

    def density(i, j):
        away = ((y[i] - mean[j]) / std[j]).numpy()
        return float(np.prod(np.exp(-0.5 * away**2) / (std[j].numpy() * math.sqrt(2 * math.pi))))

    expected = [math.log(density(i, i)) - math.log(np.mean([density(i, j) for j in range(9)])) for i in range(9)]
    assert index_information(mean, std, y).tolist() == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr("intel_metrics.units._PAIRS", 40)
    assert index_information(mean, std, y).tolist() == pytest.approx(expected, rel=1e-9)
