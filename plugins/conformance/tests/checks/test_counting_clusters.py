"""Are clusters counted where they are many, and is a wrong number still found? No alarm by the chance of a draw."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from intel_conformance import check_mapping
from torch import Tensor, nn

from intel_core import Properties

COUNT: dict[str, Any] = {"only": ["structure.clusters"], "level": "quick", "y_dim": 2}


class Ring(nn.Module):
    """Sectors, each moved outwards along its middle, with a number of clusters that need not be theirs."""

    y_dim = z_dim = 2

    def __init__(self, sectors: int, declared: int) -> None:
        super().__init__()
        self.sectors = sectors
        self.properties = Properties(continuous=False, clusters=declared)

    def forward(self, y: Tensor) -> Tensor:
        turn = 2 * math.pi / self.sectors
        middle = (torch.floor(torch.atan2(y[..., 1], y[..., 0]) / turn) + 0.5) * turn
        return y + 1.2 * self.sectors * torch.stack([middle.cos(), middle.sin()], -1)


ALARMS = [
    (15, 23),
    (20, 65),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((15, 37), (20, 85), (20, 161))),
]


@pytest.mark.parametrize(("sectors", "seed"), ALARMS)
def test_what_is_right_passes_at_seeds_that_once_raised_an_alarm(sectors: int, seed: int) -> None:
    report = check_mapping(f"cluster:k={sectors},preset=paper", seed=seed, **COUNT)
    assert [result.status for result in report.results] == ["passed"]


@pytest.mark.parametrize("seed", [100, 111, 131])
@pytest.mark.parametrize("text", ["cluster:k=30,preset=paper", "cluster:k=30"])
def test_what_draws_cannot_show_is_said_to_be_skipped(text: str, seed: int) -> None:
    report = check_mapping(text, seed=seed, **COUNT)
    assert [result.status for result in report.results] == ["skipped"]
    assert "30 clusters are too many" in str(report.results[0])


MANY = [pytest.param(*pair, marks=pytest.mark.slow) for pair in ((12, 11), (20, 19), (20, 10))]


@functools.cache
def counted_right(sectors: int) -> list[str]:
    return [result.status for result in check_mapping(Ring(sectors, sectors), seed=0, **COUNT).results]


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize(("sectors", "declared"), [(2, 3), (3, 2), (5, 6), (8, 7), *MANY])
def test_a_wrong_number_is_found(sectors: int, declared: int) -> None:
    assert counted_right(sectors) == ["passed"]
    wrong = check_mapping(Ring(sectors, declared), seed=0, **COUNT)
    assert [result.bad for result in wrong.results] == [True]
    assert f"fall into {sectors} clusters" in str(wrong.results[0])


class Arc(nn.Module):
    """The plane as a thin ring with a gap, of one piece; a cut in it makes two."""

    y_dim = z_dim = 2

    def __init__(self, cut: float = 0.0) -> None:
        super().__init__()
        self.cut = cut
        self.properties = Properties(continuous=not cut, clusters=1)

    def forward(self, y: Tensor) -> Tensor:
        first, second = (y / (1 + y.square()).sqrt()).unbind(-1)
        angle = (math.pi - 0.25 - self.cut) * first + self.cut * first.sign()
        return (1 + 0.1 * second).unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)


@pytest.mark.parametrize("level", ["quick", pytest.param("standard", marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_an_uneven_curve_is_one_piece(seed: int, level: str) -> None:
    report = check_mapping(Arc(), **COUNT | {"seed": seed, "level": level})
    assert [result.status for result in report.results] == ["passed"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_cut_curve_is_not(seed: int) -> None:
    report = check_mapping(Arc(cut=0.2), **COUNT | {"seed": seed})
    assert [result.bad for result in report.results] == [True]
    assert "fall into 2 clusters" in str(report.results[0])
