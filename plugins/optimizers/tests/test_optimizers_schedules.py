"""Are schedules continuous where they say so, between 0 and 1, and settled where they say so?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intel_core import parse_spec

SHARES = st.floats(0.01, 0.99)
STEPS = st.integers(1, 10**6)


def schedule(text: str) -> Any:
    return parse_spec("schedules", text)


@given(steps=STEPS, rise=SHARES, at=st.integers(0, 2 * 10**6))
@pytest.mark.parametrize("name", ["one_cycle", "cycles"])
def test_weights_lie_between_0_and_1_and_settle(name: str, steps: int, rise: float, at: int) -> None:
    one = schedule(f"{name}:steps={steps},rise={rise}")
    assert 0 <= one.at(at) <= 1
    assert one.settled == steps
    assert one.at(steps) == pytest.approx(one.at(steps + at))


@given(steps=STEPS, warmup=st.floats(0, 1), decay=st.floats(0, 1), at=st.integers(0, 2 * 10**6))
def test_a_plateau_too(steps: int, warmup: float, decay: float, at: int) -> None:
    one = schedule(f"stable:steps={steps},warmup={warmup},decay={decay}")
    assert 0 <= one.at(at) <= 1
    assert one.at(steps) == one.at(steps + at) == (0 if decay else 1)


@given(steps=st.integers(1000, 10**6), rise=st.floats(0.1, 0.9), at=SHARES)
def test_one_cycle_has_no_jump(steps: int, rise: float, at: float) -> None:
    one, step = schedule(f"one_cycle:steps={steps},rise={rise}"), int(at * steps)
    steepest = 2 / (min(rise, 1 - rise) * steps)  # of half a cosine of height 1: pi / 2 over its length
    assert abs(one.at(step + 1) - one.at(step)) <= steepest


@given(count=st.integers(1, 50), each=st.integers(2, 1000), cycle=st.integers(0, 49), step=st.integers(0, 999))
def test_every_cycle_is_like_the_first(count: int, each: int, cycle: int, step: int) -> None:
    one = schedule(f"cycles:steps={count * each},count={count}")
    step, cycle = step % each, cycle % count
    assert one.at(cycle * each + step) == pytest.approx(one.at(step), abs=1e-6)
    assert one.at(cycle * each) == pytest.approx(0, abs=1e-6)
