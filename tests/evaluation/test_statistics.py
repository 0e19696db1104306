"""Tests and shares against their definitions, quadrature and scipy."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import trapezoid

from intel_core.errors import EnvironmentProblem
from intel_core.evaluation.statistics import Difference, binomial_at_most, binomial_deviation, holm, paired, welch

SAMPLES = st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=8)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def p_of(found: Difference | None) -> float:
    """The p-value of a test that was made."""
    assert found is not None
    return found.p


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(SAMPLES)
def test_both_tests_are_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = ([round(x, 3) for x in side] for side in zip(*pairs, strict=True))
    apart = np.subtract(second, first)
    tests = []
    if np.ptp(first) + np.ptp(second) > 0:
        tests.append((welch(first, second), stats.ttest_ind(second, first, equal_var=False)))
    if np.ptp(apart) > 1e-9:
        tests.append((paired(first, second), stats.ttest_rel(second, first)))
    for found, expected in tests:
        assert found is not None
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
        assert found.difference == pytest.approx(apart.mean(), abs=1e-9)
        assert found.freedom == pytest.approx(expected.df, rel=1e-6)
        interval = expected.confidence_interval(0.9)
        assert found.interval(0.1) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_pairs_whose_differences_are_one_and_the_same_have_no_noise() -> None:
    assert paired([1.0, 1.2, 0.9], [1.5, 1.7, 1.4]) is None
    assert paired([3, 4, 5], [4, 5, 6]) is None
    assert paired([1.0], [2.0]) is None
    assert paired([0.0, 0.0], [0.0, 0.0]) is None


def test_welch_by_hand() -> None:
    """t and the degrees of freedom from their formulas, p from the density of Student's t by quadrature."""
    a, b = [1.2, 0.7, 1.9, 1.1, 1.4], [2.5, 1.1, 3.9]
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    t = abs(np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
    nu = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    x = np.linspace(-t, t, 200_001)
    density = (1 + x**2 / nu) ** (-(nu + 1) / 2)
    density *= math.gamma((nu + 1) / 2) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2))
    assert p_of(welch(a, b)) == pytest.approx(1 - trapezoid(density, x), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-170, 1e160])
def test_welch_at_any_scale(scale: float) -> None:
    first, second = [1.0, 2.0], [3.0, 4.0]
    expected = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert p_of(welch([scale * x for x in first], [scale * x for x in second])) == pytest.approx(expected)
    assert p_of(welch([0.0, 0.0], [0.0, scale])) == pytest.approx(0.5)


def test_where_there_is_no_noise_there_is_no_test() -> None:
    assert welch([1.0], [1.0, 2.0]) is None
    assert welch([3.0, 3.0], [4.0, 4.0]) is None
    assert welch([3.0, 3.0], [4.0, 4.1]) is not None


def test_without_scipy_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(EnvironmentProblem, match=r"needs scipy: pip install 'intelvae-core\[comparing\]'"):
        welch([1.0, 2.0], [3.0, 4.0])
    assert welch([1.0], [3.0, 4.0]) is None


def test_welch_has_its_level() -> None:
    """Of 2,000 pairs of samples of one normal distribution, 5 % fall below 0.05 (within four standard errors)."""
    draws = np.random.default_rng(0).normal(size=(2000, 10))
    share = np.mean([p_of(welch(list(row[:5]), list(row[5:]))) < 0.05 for row in draws])
    assert share == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 2000))


@given(P_VALUES)
def test_holm_against_its_stepwise_definition(p: list[float]) -> None:
    """At every level, what is rejected step by step is what has an adjusted value at or below it."""
    adjusted = holm(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, i in enumerate(order):
            if p[i] * (len(p) - rank) > level:
                break
            rejected.add(i)
        assert {i for i, value in enumerate(adjusted) if value <= level} == rejected
    assert all(value >= raw for value, raw in zip(adjusted, p, strict=True))


def test_holm_keeps_the_family_wise_level() -> None:
    draws = np.random.default_rng(1).uniform(size=(4000, 8))
    assert np.mean([min(holm(list(row))) < 0.05 for row in draws]) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4000)
    assert stats.binomtest(int(np.sum(draws.min(1) < 0.05)), 4000, 0.05).pvalue < 1e-6  # unadjusted does not


def test_rounding_is_no_noise() -> None:
    assert welch([0.1 + 0.2, 0.3], [0.4, 0.4]) is None


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.3), (7, 0.5), (20, 1 / 256), (180, 0.1), (2000, 0.9), (10**6, 0.5), (9, 1.0)]
)
def test_what_chance_makes(n, p):
    counts = np.arange(n + 1)
    mass = stats.binom.pmf(counts, n, p)
    assert binomial_deviation(n, p) == pytest.approx((mass * abs(counts / n - p)).sum(), rel=1e-6, abs=1e-12)
    assert binomial_at_most(n, p, 0.4 * n) == pytest.approx(stats.binom.cdf(0.4 * n, n, p), rel=1e-6, abs=1e-12)
