"""Schedules at every step: what changes before it, what after it, and that nothing does once all have settled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intel_core import InteLVAE, SpecError
from intel_core.likelihoods.densities import Gaussian
from intel_core.schedules import LinearScheduleSpec
from intel_core.training.weights import ScheduledWeights


class Strong(nn.Module):
    """The identity, which remembers its strength."""

    def __init__(self) -> None:
        super().__init__()
        self.y_dim = self.z_dim = 2
        self.strengths: list[float] = []

    def set_strength(self, strength: float) -> None:
        self.strengths.append(strength)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y


def model_of(mapping: nn.Module) -> InteLVAE:
    return InteLVAE(nn.Linear(3, 4), mapping, nn.Linear(2, 3), Gaussian("fixed", 1.0, 0.0), (3,))  # type: ignore[arg-type]


def weights_of(schedules: dict[str, str], rates: tuple[float, ...] = (0.1,)) -> tuple[ScheduledWeights, Strong, list]:
    mapping = Strong()
    model = model_of(mapping)
    groups = [{"params": [p], "lr": r} for p, r in zip(model.parameters(), rates, strict=False)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    ramps = {name: LinearScheduleSpec(start=0, end=end, steps=4) for name, end in schedules.items()}
    return ScheduledWeights(ramps, model, optimizer), mapping, optimizer.param_groups


def test_the_last_change_is_at_the_step_at_which_schedules_settle() -> None:
    weights, mapping, groups = weights_of({"kl": 1.0, "lr": 1.0, "strength": 1.0})
    assert weights.settled == 4
    seen = []
    for step in range(7):
        weights.before(step)
        seen.append((weights.of_terms["kl"], groups[0]["lr"]))
        weights.after(step + 1)
    assert seen == [(min(s / 4, 1), pytest.approx(0.1 * min(s / 4, 1))) for s in range(7)]
    assert mapping.strengths == [0, 0.25, 0.5, 0.75, 1]  # not called again once it is whole


def test_each_group_of_an_optimiser_keeps_its_own_rate() -> None:
    weights, _, groups = weights_of({"lr": 0.5}, rates=(0.1, 0.4))
    weights.set(4)
    assert [group["lr"] for group in groups] == [pytest.approx(0.05), pytest.approx(0.2)]


def test_an_optimiser_that_was_trained_with_before_begins_from_its_own_rate() -> None:
    model = model_of(Strong())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    fall = {"lr": LinearScheduleSpec(start=1, end=0.1, steps=4)}
    for _ in range(3):
        weights = ScheduledWeights(fall, model, optimizer)
        weights.set(4)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_following_takes_factors_and_rates_over_but_no_strength() -> None:
    leader, _, _ = weights_of({"kl": 1.0, "lr": 1.0, "strength": 1.0})
    follower, mapping, groups = weights_of({"kl": 1.0, "lr": 1.0, "strength": 1.0})
    leader.set(2)
    follower.follow(leader)
    assert (follower.of_terms, groups[0]["lr"]) == ({"kl": 0.5}, pytest.approx(0.05))
    assert follower.as_numbers()["lr"] == 0.5
    assert mapping.strengths == [0]


def test_whole_strength_lasts_as_long_as_its_block() -> None:
    weights, mapping, _ = weights_of({"strength": 1.0})
    weights.set(1)
    with weights.whole_strength():
        assert mapping.strengths[-1] == 1
    assert mapping.strengths[-1] == 0.25


def test_a_weight_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match="no weight is called 'kll'; did you mean 'kl'"):
        weights_of({"kll": 1.0})
