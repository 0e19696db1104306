"""Are verdicts those of scipy's tests, and is the power that of the t-test?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from intel_study.claims import judge, one_sample, power
from intel_study.design import Claim
from scipy import stats


def claim(**others: Any) -> Claim:
    said = {"sentence": "a", "number": "n", "arm": "a", "against": "b", "direction": "above", "margin": 0.5}
    return Claim.model_validate(said | others)


SAMPLES = [np.random.default_rng(seed).normal(mean, std, n) for seed, mean, std, n in [(0, 3, 1, 7), (1, 1, 2, 5)]]


@pytest.mark.parametrize(("direction", "sign"), [("above", 1), ("below", -1), ("same", 1)])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_interval_between_two_arms_is_that_of_welch(direction: str, sign: int, level: float) -> None:
    mine, other = (list(map(float, sample)) for sample in SAMPLES)
    found = judge(claim(direction=direction), mine, other, level)
    expected = stats.ttest_ind(mine, other, equal_var=False).confidence_interval(1 - level)
    ends = sorted(sign * end for end in (expected.low, expected.high))
    assert found.interval == pytest.approx(ends, rel=1e-9)
    assert found.difference == pytest.approx(sign * (np.mean(mine) - np.mean(other)))


def test_the_interval_against_a_value_is_that_of_student() -> None:
    mine = list(map(float, SAMPLES[0]))
    found = judge(claim(against=2.5), mine, 2.5)
    expected = stats.ttest_1samp(mine, 2.5)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx([interval.low - 2.5, interval.high - 2.5], rel=1e-9)
    tested = one_sample(mine, 2.5)
    assert tested is not None
    assert tested.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("direction", "values", "others", "margin", "outcome"),
    [
        ("above", [3.0, 3.1, 2.9], [1.0, 1.1, 0.9], 0.5, "confirmed"),
        ("above", [1.0, 1.1, 0.9], [3.0, 3.1, 2.9], 0.5, "denied"),
        ("below", [1.0, 1.1, 0.9], [3.0, 3.1, 2.9], 0.5, "confirmed"),
        ("above", [1.2, 1.21, 1.19], [1.0, 1.01, 0.99], 0.5, "denied"),  # real, and smaller than what matters
        ("above", [1.0, 1.01, 0.99], [1.0, 1.01, 0.99], 0.5, "denied"),  # if there is one, it does not matter
        ("above", [1.0, 3.0, 2.0], [1.0, 2.0, 0.0], 0.5, "cannot be told"),
        ("above", [1.0, 1.01, 0.99], [1.0, 1.01, 0.99], 0.0, "cannot be told"),
        ("same", [1.0, 1.01, 0.99], [1.0, 1.01, 0.99], 0.5, "confirmed"),
        ("same", [3.0, 3.1, 2.9], [1.0, 1.1, 0.9], 0.5, "denied"),
        ("same", [1.0, 3.0, 2.0], [1.0, 2.0, 0.0], 0.5, "cannot be told"),
        ("above", [2.0, 2.0], [1.0, 1.0], 0.5, "confirmed"),  # nothing varies
        ("above", [1.2, 1.2], [1.0, 1.0], 0.5, "denied"),
        ("same", [1.0, 1.0], [1.0, 1.0], 0.5, "confirmed"),
        ("above", [2.0], [1.0, 1.1], 0.5, "cannot be told"),  # one seed
        ("above", [], [1.0, 1.1], 0.5, "not run"),
    ],
)
def test_outcomes(direction: str, values: list[float], others: list[float], margin: float, outcome: str) -> None:
    assert judge(claim(direction=direction, margin=margin), values, others).outcome == outcome


def test_a_difference_that_is_real_and_too_small_is_told_so() -> None:
    assert "real, but smaller than what matters" in judge(claim(), [1.2, 1.21, 1.19], [1.0, 1.01, 0.99]).why


@pytest.mark.parametrize(
    ("n", "effect", "expected"),  # two groups of n, in units of the deviation: Cohen's tables, by G*Power
    [(10, 1.0, 0.5620), (20, 0.8, 0.6934), (64, 0.5, 0.8015)],
)
def test_the_power_is_that_of_the_tables(n: int, effect: float, expected: float) -> None:
    assert power(effect, math.sqrt(2 / n), 2 * n - 2, 0.05) == pytest.approx(expected, abs=2e-4)


def test_a_huge_effect_is_seen_for_sure() -> None:
    assert power(1.0, 1e-9, 3.0, 0.05) == 1.0
