"""Is a KL divergence ever larger than its bound says? Held against closed forms and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from intel_conformance.kl_bounds import kl_lower_bound, partition_bound
from torch import Tensor


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gaussian_pair(seed: int, d: int) -> tuple[Tensor, ...]:
    """Means and standard deviations of Q and P, from far apart to almost equal."""
    numbers = draws(5, d, seed=seed) * 10 ** (draws(1, seed=seed + 1).clamp(-2, 0.5))
    return numbers[0], torch.exp(0.5 * numbers[1]), numbers[2], torch.exp(0.5 * numbers[3])


def gaussian_kl(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> float:
    ratio = (std_q / std_p).square()
    return float(0.5 * (ratio + ((mean_q - mean_p) / std_p).square() - 1 - ratio.log()).sum())


# --- the bound on known distributions --------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31), d=st.sampled_from([1, 2, 4, 8]), n=st.integers(4, 3000))
def test_never_above_the_kl_of_two_gaussians(seed: int, d: int, n: int) -> None:
    mean_q, std_q, mean_p, std_p = gaussian_pair(seed, d)
    q, p = draws(n, d, seed=seed + 2) * std_q + mean_q, draws(n, d, seed=seed + 3) * std_p + mean_p
    found = kl_lower_bound(q, p, alpha=1e-3, seed=seed)
    assert 0 <= found.lower <= gaussian_kl(mean_q, std_q, mean_p, std_p)
    assert found.lower <= max(0.0, found.estimate)
    assert (found.n, found.level) == (n, 1e-3)
    assert 0 <= found.clip <= 4


@pytest.mark.parametrize("d", [1, 2, 4, 8])
def test_the_estimate_comes_near(d: int) -> None:
    shift = math.sqrt(0.8 / d)
    found = kl_lower_bound(draws(60_000, d, seed=1) + shift, draws(60_000, d, seed=2))
    assert found.estimate == pytest.approx(0.4, abs=0.03)
    assert 0.2 < found.lower < 0.4


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_where_there_is_nothing(seed: int) -> None:
    q, p = draws(2, 20_000, 3, seed=seed)
    assert kl_lower_bound(q, p, alpha=1e-3).lower == 0
    assert kl_lower_bound(q, q, alpha=1e-3).lower == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_the_critic_learnt_by_heart_does_not_count(seed: int) -> None:
    """With half as many weights as rows it parts the rows it was fitted to, but not others."""
    q, p = draws(2, 800, 100, seed=seed)
    assert kl_lower_bound(q, p, alpha=0.1).lower == 0


def test_what_the_sample_of_p_happens_to_lack() -> None:
    """Q is an atom of probability 1 in 100 under P, which a sample of 50 lacks more often than not."""
    q = torch.ones(100, 1)
    for seed in range(40):
        p = (torch.rand(100, 1, generator=torch.Generator().manual_seed(seed)) < 0.01).double()
        assert kl_lower_bound(q, p, alpha=0.1).lower <= math.log(100)


def test_an_atom_is_found() -> None:
    q, p = draws(2, 20_000, 2)
    kept = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(1)) > 0.1
    assert kl_lower_bound(q * kept, p).lower > 0.2  # the KL is infinite
    assert kl_lower_bound(p, q * kept, alpha=1e-3).lower > 0.05


def test_a_slightly_wider_path_is_found() -> None:
    """One tenth wider on one of the two paths, which have a KL of 0 otherwise."""
    q, p = draws(2, 200_000, 2, dtype=torch.float32)
    exact = 2 * 0.5 * (0.21 - math.log(1.21))
    assert 0.005 < kl_lower_bound(1.1 * q, p).lower < exact


def test_rows_that_come_in_pairs() -> None:
    """Q and P dependent to the utmost: the same row but for a shift."""
    q = draws(20_000, 2)
    assert kl_lower_bound(q + 1e-3, q, alpha=1e-3).lower == 0
    assert 0 < kl_lower_bound(q + 1, q).lower < 1


# --- rows of any kind ------------------------------------------------------------------------------------------


def shifted(column: int, by: float) -> Tensor:
    z = draws(3000, 3)
    z[:, column] += by
    return z


DEGENERATE = {
    "equal constants": (torch.zeros(1000, 2), torch.zeros(1000, 2), False),
    "other constants": (torch.ones(20_000, 2), torch.zeros(20_000, 2), True),
    "huge constants": (torch.full((20_000, 2), 1e30), torch.zeros(20_000, 2), True),
    "huge": (draws(3000, 2) * 1e30, draws(3000, 2, seed=1) * 1e30, False),
    "at the end of float64": (draws(3000, 2).sign() * 1.7e308, draws(3000, 2, seed=1).sign() * 1.7e308, False),
    "from everywhere": (
        10 ** (100 * draws(3000, 2, seed=2)).clamp(-300, 300),
        10 ** (100 * draws(3000, 2)).clamp(-300, 300),
        False,
    ),
    "tiny": (draws(3000, 2) * 1e-310, draws(3000, 2, seed=1) * 1e-310, False),
    "tiny but for one": (
        torch.cat([draws(2999, 1) * 1e-310, torch.full((1, 1), 1e300, dtype=torch.float64)]),
        draws(3000, 1, seed=1) * 1e-310,
        False,
    ),
    "a direction that is constant": (shifted(0, 0.0) * torch.tensor([1.0, 0, 1]), draws(3000, 3, seed=1), False),
    "a direction twice": (draws(3000, 1).expand(-1, 4), draws(3000, 1, seed=1).expand(-1, 4), False),
    "few values": (draws(3000, 2).round(), draws(3000, 2, seed=1).round(), False),
    "far apart": (shifted(1, 1e6).repeat(7, 1), shifted(1, -1e6).repeat(7, 1), True),
    "one row in a thousand": (torch.cat([torch.zeros(999, 1), torch.full((1, 1), 1e9)]), torch.zeros(1000, 1), False),
    "four rows": (draws(4, 1) + 5, draws(4, 1, seed=1), False),
    "more columns than rows": (draws(10, 40), draws(10, 40, seed=1), False),
    "other numbers of rows": (draws(3000, 2), draws(100, 2, seed=1), False),
    "integers": (torch.arange(3000).unsqueeze(1) % 7, torch.arange(3000).unsqueeze(1) % 7, False),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_any_finite_rows_have_a_bound(name: str) -> None:
    q, p, differ = DEGENERATE[name]
    for pair in ((q, p), (p, q)):
        found = kl_lower_bound(*pair)
        assert all(math.isfinite(number) for number in found)
    found = kl_lower_bound(q, p)
    assert found.n == min(len(q), len(p))
    if name == "a direction that is constant":
        assert found.estimate > 1
    else:
        assert (found.lower > 3) is differ
        assert found.lower == 0 or differ


def test_a_posterior_far_away_meets_the_ceiling() -> None:
    found = kl_lower_bound(draws(100_000, 2) + 1000, draws(100_000, 2, seed=1))
    assert 6 < found.lower < 2 * found.clip == 8


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(9, 2), "at least 4 rows of each sample are needed, not 3"),
        (torch.zeros(9, 2), torch.zeros(0, 2), "not 0"),
        (torch.zeros(9, 2), torch.zeros(9, 3), "q has 2 columns and p has 3"),
        (torch.zeros(9), torch.zeros(9), r"q is torch.float32 of shape \(9,\)"),
        (torch.zeros(9, 0), torch.zeros(9, 0), r"shape \(9, 0\)"),
        (torch.zeros(9, 2), torch.zeros(9, 2, dtype=torch.complex64), "p is torch.complex64"),
        (torch.zeros(9, 2), torch.full((9, 2), math.nan), "p holds NaN or infinity"),
        (torch.full((9, 2), -math.inf), torch.zeros(9, 2), "q holds NaN or infinity"),
    ],
)
def test_what_has_no_bound(q: Tensor, p: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kl_lower_bound(q, p)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_alpha_is_a_probability(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha is"):
        kl_lower_bound(torch.zeros(9, 1), torch.zeros(9, 1), alpha=alpha)
    with pytest.raises(ValueError, match="alpha is"):
        partition_bound(torch.ones(2), torch.ones(2), alpha=alpha)


def test_same_seed_same_result() -> None:
    q, p = draws(2, 5000, 2)
    state, before = torch.random.get_rng_state(), q.clone()
    first = kl_lower_bound(q + 1, p, seed=3)
    assert kl_lower_bound(q + 1, p, seed=3) == first
    assert kl_lower_bound(q + 1, p, seed=4) != first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(q, before)


def test_float32_rows_are_computed_in_float64() -> None:
    q, p = draws(2, 5000, 2, dtype=torch.float32)
    q = q.requires_grad_()
    assert kl_lower_bound(q, p) == kl_lower_bound(q.double(), p.double())


def test_a_smaller_alpha_gives_a_smaller_bound() -> None:
    q, p = draws(2, 30_000, 1)
    bounds = [kl_lower_bound(q + 1, p, alpha=alpha) for alpha in (1e-1, 1e-3, 1e-9)]
    assert bounds[0].lower > bounds[1].lower > bounds[2].lower > 0
    assert bounds[0].estimate == bounds[2].estimate


# --- counts ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(seed=st.integers(0, 2**31), k=st.integers(1, 12), n=st.integers(1, 5000))
def test_counts_never_tell_more_than_there_is(seed: int, k: int, n: int) -> None:
    rates_q, rates_p = torch.softmax(draws(2, k, seed=seed), dim=1)
    generator = torch.Generator().manual_seed(seed)
    counts_q, counts_p = (
        torch.multinomial(rates, n, replacement=True, generator=generator).bincount(minlength=k)
        for rates in (rates_q, rates_p)
    )
    exact = float((rates_q * torch.log(rates_q / rates_p)).sum())
    assert 0 <= partition_bound(counts_q, counts_p, alpha=1e-3) <= max(exact, 0)


def test_counts_tell_all_in_the_end() -> None:
    rates_q, rates_p = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.1, 0.2, 0.7]).double()
    exact = float((rates_q * torch.log(rates_q / rates_p)).sum())
    bounds = [partition_bound((rates_q * n).round(), (rates_p * n).round()) for n in (10**3, 10**5, 10**8)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(exact, abs=5e-3)
    assert bounds[-1] < exact


def test_an_event_that_happens_on_one_side_only() -> None:
    n, log_term = 1000, math.log(4 * 2 / 1e-9)
    found = partition_bound(torch.tensor([n, 0]), torch.tensor([0, n]))
    low, high = math.exp(-log_term / n), -math.expm1(-log_term / n)  # n kl(1‖r) = -n log r, and its mirror image
    assert found == pytest.approx(low * math.log(low / high) + high * math.log(high / low), rel=1e-9)


def test_the_interval_is_chernoffs() -> None:
    """One cell against its complement: at the bound, both coins are as far from what was seen as α allows."""
    n, hits, alpha = 5000, 1500, 1e-4
    found = partition_bound(torch.tensor([hits, n - hits]), torch.tensor([0, 10**9]), alpha=alpha)
    # P is known to be never; what is left is the smallest rate of Q that is not excluded.
    rate, low, high = hits / n, 0.0, hits / n
    for _ in range(100):
        middle = (low + high) / 2
        excluded = n * (rate * math.log(rate / middle) + (1 - rate) * math.log((1 - rate) / (1 - middle)))
        low, high = (middle, high) if excluded > math.log(8 / alpha) else (low, middle)
    b = math.log(8 / alpha) / 10**9
    cells = (low * math.log(low / b) - low + b, (1 - low) * math.log((1 - low) / (1 - b)) + low - b)
    assert found == pytest.approx(sum(cells), rel=1e-6)


@pytest.mark.parametrize(
    ("counts_q", "counts_p", "message"),
    [
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], r"shapes \(1, 2\)"),
        ([1, -2], [1, 2], "whole numbers"),
        ([1, 2], [1, 2.5], "whole numbers"),
        ([1, 2], [1, math.nan], "whole numbers"),
        ([0, 0], [1, 2], "no draw"),
        ([], [], "no draw"),
    ],
)
def test_counts_that_are_none(counts_q: list[float], counts_p: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        partition_bound(torch.tensor(counts_q), torch.tensor(counts_p))
