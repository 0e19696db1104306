"""Are true Hölder bounds kept and false ones exceeded?"""

from __future__ import annotations

import math

import pytest
import torch
from intel_conformance.continuity.hoelder import hoelder_excess
from intel_conformance.continuity.segments import crossing, random_segments
from specimens.functions import ORIGIN, drawer

from intel_core import load_mapping
from intel_core.mappings.compose import properties_of


def test_a_true_promise_holds_and_is_nearly_reached():
    for exponent, constant in ((0.2, 5 * 2**0.8), (0.5, 2.0), (0.05, 1.0)):
        g = lambda y, a=exponent, c=constant: c * 2 ** (a - 1) * (y - 0.3).sign() * (y - 0.3).abs() ** a  # noqa: E731
        starts, ends = random_segments(40, 1, drawer(1))
        assert 0.9 < hoelder_excess(g, starts, ends, constant, exponent).ratio <= 1 + 1e-12
        found = hoelder_excess(g, starts, ends, constant / 10, exponent)
        assert found.ratio == pytest.approx(10, rel=0.1)
        assert 0 < found.gap <= 1
        assert found.where.shape == (1,)


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize(
    "text",
    [
        "cluster:k=2,preset=paper",
        "cluster:k=3",
        "cluster:k=7,preset=paper,eps=1e-12",
        "cluster:k=30,preset=paper",
        "circle",
        "circle:eps=1e-3",
        "holes",
    ],
)
def test_the_promises_of_mappings_hold(text):
    g = load_mapping(text, 2)
    promises = properties_of(g)
    promise = promises.hoelder
    assert promise is not None
    for seed in range(2):
        sets = [random_segments(20, 2, drawer(seed)), crossing(ORIGIN, 20, 2, drawer(seed))]
        sets += [crossing(place, 2, 2, drawer(seed)) for place in promises.seams]
        starts, ends = (torch.cat(parts) for parts in zip(*sets, strict=True))
        assert hoelder_excess(g, starts, ends, promise.constant, promise.exponent).ratio <= 1
    assert hoelder_excess(g, starts, ends, promise.constant / 10, promise.exponent).ratio > 1


def test_a_jump_breaks_any_promise():
    starts, ends = random_segments(20, 2, drawer(0))
    g = lambda y: y + 0.1 * (y[:, :1] > 0.2)  # noqa: E731
    assert hoelder_excess(g, starts, ends, 10.0, 0.2).ratio > 5
    assert hoelder_excess(lambda y: y / (y[:, :1] > 0.2), starts, ends, 10.0, 0.2).ratio == math.inf


def test_no_segment_at_all_is_refused() -> None:
    none = torch.zeros(0, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="no segment"):
        hoelder_excess(lambda y: y, none, none, 1.0)
