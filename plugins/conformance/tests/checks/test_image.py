"""Are the densities of images that are right left alone, and is each fault found by one check only?"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from intel_conformance import check_mapping
from specimens.mutant import norm_of
from specimens.mutants import MUTANTS, Mutant
from specimens.mutants.image import Direction, Folded, normal_log_prob
from torch import Tensor, nn

from intel_core.mappings.compose import Compose, OnDims

FAULTY = [mutant for mutant in MUTANTS if mutant.kills.startswith("image.")]
ONLY: dict[str, Any] = {"only": ["image"]}


@pytest.mark.promptly(
    "KeepsLessThanDirections",
    "DensityOfAnotherPrior",
    "DirectionOfNothing",
    "BlocksOverlap",
    "FreesWhatItKeeps",
    "AreaInFloat64",
    "StopsTheGradientOfTheDraw",
    "TermLeftOut",
    "SaysThatScaleIsFree",
    "ForgetsTheOtherSign",
    "LogarithmOfASum",
)
@pytest.mark.parametrize("mutant", FAULTY, ids=lambda mutant: mutant.name)
def test_a_fault_is_found_by_one_check_only(mutant: Mutant) -> None:
    """So that what a check says is what is wrong, and none of them could be left out."""
    for level in ("quick", "standard"):
        report = check_mapping(mutant.what, y_dim=mutant.y_dim, dtypes=mutant.dtypes, level=level, **ONLY)
        assert [result.id for result in report.results if result.bad] == [mutant.kills]
        assert not report.of("error")


# --- what is right ------------------------------------------------------------------------------------------------


class Angle(Folded):
    """The first dimension as an angle, with the density of the wrapped normal; the others are kept."""

    pushed = (0,)

    def __init__(self, y_dim: int) -> None:
        super().__init__(y_dim)
        self.z_dim = y_dim + 1

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1].cos(), y[..., :1].sin(), y[..., 1:]], -1)

    def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        turns = 2 * math.pi * torch.arange(-8, 9).to(y)
        near = torch.remainder(y - mean + math.pi, 2 * math.pi) - math.pi
        return torch.logsumexp(normal_log_prob(near + turns, torch.zeros_like(mean), log_variance), -1)


SOUND: dict[str, Any] = {
    "circle": ("circle", 2),
    "circle with room": ("circle", 4),
    "smooth circle": ("circle:form=smooth", 2),
    "thick circle": ("circle:eps=1e-5", 2),
    "sphere": ("sphere", 3),
    "sphere in ten dimensions": ("sphere", 10),
    "torus": ("torus", 4),
    "torus in ten dimensions": ("torus", 10),
    "two loops": ("holes:h=2", 2),
    "five loops": ("holes:h=5", 3),
    "elsewhere": ("circle:dims=[2,0]", 4),
    "two circles": (["circle:dims=0-1", "circle:dims=2-3"], 5),
    "beside clusters": (["cluster:k=2,dims=[2]", "circle:dims=0-1"], 3),
    "a stranger's sphere": (Direction, 5),
    "a stranger's fold": (Folded, 3),
    "a stranger's angle": (Angle, 3),
}
EVERY = pytest.mark.parametrize("name", SOUND)


def assert_sound(name: str, seed: int, level: str) -> None:
    what, y_dim = SOUND[name]
    report = check_mapping(what, y_dim=y_dim, seed=seed, level=level, **ONLY)
    assert not [str(result) for result in report.results if result.bad or result.status in ("warned", "skipped")]
    assert report.of("passed")


@pytest.mark.promptly(
    "quick-circle",
    "quick-smooth circle",
    "quick-sphere in ten dimensions",
    "quick-torus",
    "quick-five loops",
    "quick-beside clusters",
    "quick-a stranger's fold",
)
@EVERY
@pytest.mark.parametrize("level", ["quick", pytest.param("standard", marks=pytest.mark.slow)])
def test_what_is_right_passes(name: str, level: str) -> None:
    for seed in range(2):
        assert_sound(name, seed, level)


@pytest.mark.slow
@EVERY
def test_what_is_right_passes_over_many_seeds(name: str) -> None:
    for seed in range(200):
        assert_sound(name, seed, "quick")


# --- what is not applicable ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "y_dim", "why"),
    [
        ("identity", 2, "it is not a Pushforward"),
        ("cluster:k=3", 3, "it is not a Pushforward"),
        ("circle:eps=0.1", 2, "it forgets nothing about y: pushed is empty"),
        (["cluster:k=3", "circle"], 3, "no part that reads y is a Pushforward"),
    ],
)
def test_where_the_density_of_y_is_used_there_is_nothing_to_check(what: Any, y_dim: int, why: str) -> None:
    report = check_mapping(what, y_dim=y_dim, **ONLY)
    assert {result.status for result in report.results} == {"not_applicable"}
    assert why in {result.message for result in report.results}


def test_a_part_in_other_dimensions_is_named() -> None:
    """Of a composition it is said which part is faulty."""
    faulty = next(mutant.what for mutant in FAULTY if mutant.name == "DensityOfAnotherPrior")
    mapping = Compose([OnDims(Direction(2), (0, 1), 5), OnDims(faulty(3), (4, 2, 3), 5)])  # type: ignore[operator]
    report = check_mapping(mapping, **ONLY)
    (result,) = (result for result in report.results if result.bad)
    assert result.id == "image.kl"
    assert result.message.startswith("DensityOfAnotherPrior: ")


def test_what_raises_is_told_and_not_an_error() -> None:
    class Raises(Direction):
        def pushforward_log_prior(self, y: Tensor) -> Tensor:
            raise ValueError("not\nyet")

    report = check_mapping(Raises, **ONLY)
    assert not report.of("error")
    (result,) = (result for result in report.results if result.id == "image.contract")
    assert result.message == "pushforward_log_prior raised ValueError for y of shape (5, 2), float32: not"


def test_ratios_that_overflow_are_told() -> None:
    class Huge(Direction):
        def pushforward_log_prob(self, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
            return super().pushforward_log_prob(y, mean, log_variance) + 1e4 * norm_of(mean).squeeze(-1)

    report = check_mapping(Huge, **ONLY)
    (result,) = (result for result in report.results if result.id == "image.mass")
    assert result.status == "failed"


def test_half_a_capability_is_named() -> None:
    class Half(nn.Module):
        y_dim = z_dim = 2
        pushed = (0, 1)

        def forward(self, y: Tensor) -> Tensor:
            return y.abs()

    (result,) = check_mapping(Half(), only=["structure.protocols"]).results
    assert result.status == "warned"
    assert "not pushforward_log_prior and pushforward_log_prob" in result.message
