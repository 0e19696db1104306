"""Are the Hoyer score and its Gaussian floor right?"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intel_core.helpers.hoyer import gaussian_floor, hoyer, hoyer_of_rows, hoyer_score, varying


def score(row):
    """One row, by the paper's formula."""
    root = math.sqrt(len(row))
    return (root - sum(abs(x) for x in row) / math.sqrt(sum(x * x for x in row))) / (root - 1)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_hoyer_of_each_row():
    z = normal(2, 7, 5)
    found = hoyer(z)
    assert found.shape == (2, 7)
    for i, j in itertools.product(range(2), range(7)):
        assert float(found[i, j]) == pytest.approx(score(z[i, j].tolist()), rel=1e-12)
    scale = torch.tensor([1.0, 2.0, 0.5, 4.0, 10.0])
    assert float(hoyer(z, scale)[1, 3]) == pytest.approx(score((z[1, 3] / scale).tolist()), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10).filter(lambda row: max(map(abs, row)) > 1e-3),
    st.sampled_from([1e-300, 1e-20, 1.0, 1e20, 1e300]),
)
def test_hoyer_lies_between_0_and_1_and_ignores_scale(row, factor):
    z = torch.tensor(row, dtype=torch.float64)
    found = float(hoyer(z))
    assert -1e-12 <= found <= 1 + 1e-12
    assert float(hoyer(z * factor)) == pytest.approx(found, abs=1e-9)


def test_a_row_of_zeros_scores_0_and_has_a_finite_gradient():
    z = torch.zeros(2, 4, requires_grad=True)
    found = hoyer(z)
    assert found.tolist() == [0, 0]
    found.sum().backward()
    assert z.grad.isfinite().all()
    assert hoyer(torch.ones(1, 4, dtype=torch.float16)).dtype == torch.float32


def test_hoyer_has_the_right_gradient():
    assert torch.autograd.gradcheck(hoyer, (normal(6, 5).requires_grad_(),))


def test_score_divides_by_deviations_without_centring():
    z = normal(200, 6) * torch.tensor([1.0, 5.0, 0.1, 2.0, 1.0, 30.0]) + torch.tensor([3.0, 0, 0, 0, 0, 0])
    scaled = z.numpy() / np.std(z.numpy(), axis=0)
    expected = np.mean([score(row) for row in scaled.tolist()])
    assert hoyer_score(z) == pytest.approx(expected, rel=1e-12)
    assert hoyer_score(z.float()) == pytest.approx(expected, rel=1e-5)
    assert abs(expected - float(hoyer(z).mean())) > 0.05


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1 / 3])
def test_dimensions_that_do_not_vary_are_left_out(constant):
    z = normal(1000, 4)
    wider = torch.cat([z[:, :2], torch.full((1000, 3), constant, dtype=torch.float64), z[:, 2:]], dim=1)
    assert hoyer_score(wider) == pytest.approx(hoyer_score(z), rel=1e-12)


@pytest.mark.parametrize(
    "z", [torch.zeros(5, 3), torch.ones(1, 3), torch.zeros(0, 3), torch.eye(3)[:, :1].repeat(1, 1)]
)
def test_no_score_where_nothing_varies(z):
    assert hoyer_score(z) == 0.0


def test_switched_off_for_all_data_alike_is_not_sparse_but_in_turns_it_is():
    z = normal(5000, 20)
    shrunk = z * torch.tensor([1.0] * 10 + [1e-3] * 10)
    assert hoyer_score(shrunk) == pytest.approx(hoyer_score(z), rel=1e-9)
    turns = (torch.arange(5000).unsqueeze(1) + torch.arange(20)) % 10 == 0
    assert hoyer_score(z * turns) > 0.8


@pytest.mark.parametrize("dims", [2, 3, 10, 50, 128])
def test_gaussian_floor_against_samples(dims):
    z = np.random.default_rng(dims).standard_normal((40000, dims))
    scores = (math.sqrt(dims) - np.abs(z).sum(1) / np.sqrt((z**2).sum(1))) / (math.sqrt(dims) - 1)
    assert abs(gaussian_floor(dims) - scores.mean()) < 5 * scores.std() / math.sqrt(len(z))


def test_gaussian_floor_in_closed_form():
    # in the plane the mean of |cos| + |sin| is 4/π
    assert gaussian_floor(2) == pytest.approx((math.sqrt(2) - 4 / math.pi) / (math.sqrt(2) - 1), rel=1e-12)
    assert gaussian_floor(50) == pytest.approx(0.2307, abs=5e-5)
    assert gaussian_floor(128) == pytest.approx(0.2200, abs=5e-5)
    limit = 1 - math.sqrt(2 / math.pi)
    assert gaussian_floor(10**6) == pytest.approx(limit, abs=1e-3)


def test_the_score_is_the_mean_over_rows_and_says_what_varies():
    z = normal(300, 4) * torch.tensor([1.0, 0.0, 3.0, 1e-9])
    assert hoyer_of_rows(z).shape == (300,)
    assert float(hoyer_of_rows(z).mean()) == hoyer_score(z)
    assert varying(z).tolist() == [True, False, True, True]
    assert varying(z[:0]).tolist() == [False] * 4
    assert hoyer_of_rows(z[:, :2]).tolist() == [0.0] * 300


def test_one_dimension_has_no_score():
    for call in (lambda: hoyer(torch.ones(3, 1)), lambda: gaussian_floor(1)):
        with pytest.raises(ValueError, match="a Hoyer score needs at least 2 dimensions, not 1"):
            call()
