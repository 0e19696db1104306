"""Is a group of one-hot columns a categorical distribution?"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from intel_core import SpecError
from intel_core.components.spec import parse_spec

SIZES = {"categorical": [5], "categorical:sizes=[2,3]": [2, 3], "categorical:sizes=[2]": [2, 2, 2]}
each_text = pytest.mark.parametrize("text", SIZES)


def every_row(sizes):
    """All rows that there are, and the number of the category in each group."""
    rows = [
        ([float(value) for n, k in zip(sizes, chosen, strict=True) for value in np.eye(n)[k]], chosen)
        for chosen in itertools.product(*(range(n) for n in sizes))
    ]
    return torch.tensor([row for row, _ in rows], dtype=torch.float64), [chosen for _, chosen in rows]


def outputs(sizes, n, spread=3.0):
    one = torch.randn(1, sum(sizes), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return (spread * one).expand(n, -1).clone()


@each_text
def test_probabilities_are_those_of_scipy_and_add_up_to_one(text):
    sizes, likelihood = SIZES[text], parse_spec("likelihoods", text).build()
    x, chosen = every_row(sizes)
    params = outputs(sizes, len(x))
    found = likelihood.log_prob(params, x)
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-12)
    groups = [torch.softmax(part, 0).numpy() for part in params[0].split(sizes)]
    expected = [
        sum(float(stats.multinomial(1, p).logpmf(np.eye(len(p))[k])) for p, k in zip(groups, row, strict=True))
        for row in chosen
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(likelihood.mean(params)[0], np.concatenate(groups), rtol=1e-12)


@each_text
def test_samples_are_one_hot_with_the_probabilities(text):
    sizes, likelihood, n = SIZES[text], parse_spec("likelihoods", text).build(), 20_000
    params = outputs(sizes, n, spread=1.0)
    draws = likelihood.sample(params, torch.Generator().manual_seed(3))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert all(bool((part.sum(1) == 1).all()) for part in draws.split(sizes, 1))
    np.testing.assert_allclose(draws.mean(0), likelihood.mean(params)[0], atol=5 * 0.5 / n**0.5)


@each_text
def test_gradients_are_those_of_finite_differences(text):
    x, _ = every_row(SIZES[text])
    likelihood = parse_spec("likelihoods", text).build()
    assert torch.autograd.gradcheck(likelihood.log_prob, (outputs(SIZES[text], len(x)).requires_grad_(), x))


def test_groups_of_an_image_are_of_channels():
    likelihood = parse_spec("likelihoods", "categorical:sizes=[2,3]").build()
    params = torch.randn(4, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    for part in (likelihood.mean(params), likelihood.sample(params, torch.Generator().manual_seed(0))):
        torch.testing.assert_close(part[:, :2].sum(1), torch.ones(4, 2, 2))
        torch.testing.assert_close(part[:, 2:].sum(1), torch.ones(4, 2, 2))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_outputs_are_finite_in_single_precision(size):
    likelihood = parse_spec("likelihoods", "categorical").build()
    params = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    value = likelihood.log_prob(params, torch.tensor([[0.0, 0.0, 1.0]]))
    assert float(value.detach()) == pytest.approx(-size)
    value.sum().backward()
    assert torch.isfinite(params.grad).all()


def test_a_group_without_columns_is_refused():
    with pytest.raises(SpecError, match="at least 1"):
        parse_spec("likelihoods", "categorical:sizes=[2,0]")
