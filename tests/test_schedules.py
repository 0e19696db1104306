"""Schedules: their formulas, and that the trainer applies them step by step as documented."""

import itertools
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intel_core import IntelError, ScheduleSpec, fit, hookimpl, make_dataset, parse_spec, register
from intel_core.mappings.contract import MappingSpec
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.schedules import ConstantScheduleSpec, CosineScheduleSpec, LinearScheduleSpec

STEPS = 48
DATA = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)


# --- formulas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", {0: 1.0, 1: 1.0, 10**9: 1.0}),
        ("constant:value=0.3", {0: 0.3, 7: 0.3}),
        ("linear:steps=4", {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0, 5: 1.0, 1000: 1.0}),
        ("linear:steps=1", {0: 0.0, 1: 1.0, 2: 1.0}),
        ("linear:steps=4,delay=3", {0: 0.0, 3: 0.0, 4: 0.25, 7: 1.0, 8: 1.0}),
        ("linear:start=2,end=0.5,steps=3", {0: 2.0, 1: 1.5, 2: 1.0, 3: 0.5, 4: 0.5}),
        ("cosine:steps=4", {0: 1.0, 1: 0.5 + math.sqrt(0.125), 2: 0.5, 3: 0.5 - math.sqrt(0.125), 4: 0.0, 9: 0.0}),
        ("cosine:start=1,end=0.1,steps=10,delay=2", {0: 1.0, 2: 1.0, 7: 0.55, 12: 0.1, 13: 0.1}),
    ],
)
def test_known_values(text, expected):
    schedule = parse_spec("schedules", text)
    assert {step: schedule.at(step) for step in expected} == pytest.approx(expected, abs=1e-15)


weights = st.floats(0, 1e6)
ramps = st.builds(
    lambda kind, **values: kind(**values),
    kind=st.sampled_from([LinearScheduleSpec, CosineScheduleSpec]),
    start=weights,
    end=weights,
    steps=st.integers(1, 10**6),
    delay=st.integers(0, 10**6),
)


@given(ramp=ramps, step=st.integers(0, 3 * 10**6))
def test_ramps_follow_their_formula(ramp, step):
    progress = min(max((step - ramp.delay) / ramp.steps, 0), 1)
    share = progress if isinstance(ramp, LinearScheduleSpec) else (1 - math.cos(math.pi * progress)) / 2
    expected = (1 - share) * ramp.start + share * ramp.end
    assert ramp.at(step) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(ramp=ramps, steps=st.lists(st.integers(0, 3 * 10**6), min_size=2, max_size=20))
def test_ramps_stay_between_their_ends_never_turn_and_settle(ramp, steps):
    values = [ramp.at(step) for step in sorted(steps)]
    slack = 1e-12 * max(ramp.start, ramp.end)
    low, high = sorted([ramp.start, ramp.end])
    assert all(max(low - slack, 0) <= value <= high + slack for value in values)
    sign = 1 if ramp.end >= ramp.start else -1
    assert all(sign * (b - a) >= -slack for a, b in itertools.pairwise(values))
    assert ramp.at(0) == pytest.approx(ramp.start, abs=slack)
    assert ramp.settled == ramp.delay + ramp.steps
    assert {ramp.at(ramp.settled + extra) for extra in (0, 1, 1000)} == {ramp.at(ramp.settled)}
    assert ramp.at(ramp.settled) == pytest.approx(ramp.end, abs=slack)


@given(value=weights, step=st.integers(0, 10**9))
def test_constants_are_settled_from_the_start(value, step):
    schedule = ConstantScheduleSpec(value=value)
    assert (schedule.at(step), schedule.settled) == (value, 0)


@pytest.mark.parametrize("text", ["constant:value=-1", "linear:steps=4,start=-0.1", "cosine:steps=4,end=-1", "linear"])
def test_negative_weights_and_ramps_without_length_are_refused(text):
    with pytest.raises(IntelError):
        parse_spec("schedules", text)


# --- in the trainer ----------------------------------------------------------------------------------------------


class Weights:
    """Notes, by step counted from 0, what the objective and the optimiser were given."""

    def __init__(self):
        self.used, self.rates, self.shown, self.settled = [], [], [], None

    @hookimpl
    def run_start(self, trainer):
        objective, step, self.settled = trainer.objective, trainer.optimizer.update, trainer.scheduled.settled

        class Noting:
            particles = objective.particles

            def __call__(_, model, x, noise, weights):
                if model.training:
                    self.used.append(dict(weights))
                return objective(model, x, noise, weights)

        def take(*args, **kwargs):
            self.rates.append([group["lr"] for group in trainer.optimizer.param_groups])
            return step(*args, **kwargs)

        trainer.objective, trainer.optimizer.update = Noting(), take

    @hookimpl
    def step_end(self, trainer):
        self.shown.append(dict(trainer.weights))


class Sized(torch.nn.Module):
    """The identity with an auxiliary loss."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.regularisers = {"size": 0.5}

    def forward(self, y):
        return y

    def map_with_regularisers(self, y):
        return y, {"size": y.square().sum(-1).mean()}


class SizedSpec(MappingSpec):
    """The identity with an auxiliary loss."""

    def build(self, y_dim):
        return Sized(y_dim)


def train(folder, hook=None, **settings):
    hook = hook or Weights()
    settings = {"steps": STEPS, "batch_size": 16, "log_every": 10, "device": "cpu", "encoder": "linear"} | settings
    run = fit(data=DATA, hooks=[hook], run_dir=folder, **settings)
    return hook, run


def test_kl_weight_is_applied_at_every_step(tmp_path):
    noted, _ = train(tmp_path / "run", schedules={"kl": "linear:start=0.1,end=0.9,steps=8,delay=5"})
    schedule = LinearScheduleSpec(start=0.1, end=0.9, steps=8, delay=5)
    assert [w["kl"] for w in noted.used] == [schedule.at(step) for step in range(STEPS)]
    assert [w["kl"] for w in noted.shown] == [w["kl"] for w in noted.used]
    assert noted.used[0]["kl"] == 0.1
    assert noted.used[9]["kl"] == pytest.approx(0.5)


def test_the_default_warm_up_is_half_of_the_steps(tmp_path):
    noted, run = train(tmp_path / "run")
    assert [w["kl"] for w in noted.used] == pytest.approx([min(step / 24, 1) for step in range(STEPS)])
    assert noted.settled == 24
    assert run.spec.schedules["kl"] == LinearScheduleSpec(steps=24)


@pytest.mark.parametrize(("settings", "warm_up"), [({"steps": 400}, 200), ({"steps": 1}, 1), ({"epochs": 8}, 12)])
def test_the_default_warm_up_counts_steps(settings, warm_up):
    spec = resolve(
        make_run_spec(data="memory:examples=60,shape=[3]", batch_size=16, **settings), make_dataset("d", DATA)
    )
    assert spec.schedules == {"kl": LinearScheduleSpec(steps=warm_up)}


def test_images_have_no_warm_up_by_default():
    images = np.random.default_rng(0).integers(0, 256, size=(60, 1, 4, 4), dtype=np.uint8)
    spec = resolve(make_run_spec(data="memory:examples=60,shape=[1,4,4]"), make_dataset("d", images))
    assert spec.schedules == {"kl": ConstantScheduleSpec(value=1)}


def test_learning_rate_reaches_the_optimiser_at_every_step(tmp_path):
    noted, _ = train(tmp_path / "run", learning_rate=0.02, schedules={"lr": "cosine:start=1,end=0.05,steps=30"})
    schedule = CosineScheduleSpec(start=1, end=0.05, steps=30)
    assert [rate for (rate,) in noted.rates] == pytest.approx([0.02 * schedule.at(step) for step in range(STEPS)])
    assert all("lr" not in used for used in noted.used)
    assert [w["lr"] for w in noted.shown] == pytest.approx([schedule.at(step) for step in range(STEPS)])
    assert noted.used[12]["kl"] == 0.5  # the warm-up is there beside it


def test_learning_rate_of_zero_keeps_the_weights(tmp_path):
    _, still = train(tmp_path / "still", schedules={"lr": "constant:value=0"}, steps=5)
    _, moved = train(tmp_path / "moved", steps=5)
    _, longer = train(tmp_path / "longer", schedules={"lr": "constant:value=0"}, steps=9)
    for a, b, c in zip(still.model.parameters(), longer.model.parameters(), moved.model.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_regulariser_is_scheduled_by_its_name(tmp_path):
    register("mappings", "sized", SizedSpec)
    noted, run = train(tmp_path / "run", mapping="sized", schedules={"size": "linear:start=2,end=0,steps=20"})
    assert [w["size"] for w in noted.used] == pytest.approx([max(2 - step / 10, 0) for step in range(STEPS)])
    last = [record for record in run.records() if record["kind"] == "validation"][-1]
    # Evaluations take every scheduled weight as 1: loss = -elbo + 0.5 size.
    assert last["loss"] == pytest.approx(-last["elbo"] + 0.5 * last["size"], rel=1e-5)


@pytest.mark.parametrize("name", ["size", "KL", "learning_rate"])
def test_schedule_of_an_unknown_weight_is_refused(name, tmp_path):
    with pytest.raises(IntelError, match=name):
        train(tmp_path / "run", schedules={name: "constant"})


class WaveSpec(ScheduleSpec):
    """A schedule that never settles, as a plugin might offer it: `at` is all that it defines."""

    period: ClassVar[int] = 6

    def at(self, step):
        return (step % self.period) / self.period


def test_a_schedule_that_defines_at_alone_is_followed_at_every_step(tmp_path):
    register("schedules", "wave", WaveSpec)
    noted, _ = train(tmp_path / "run", schedules={"kl": "wave"})
    assert [w["kl"] for w in noted.used] == [(step % 6) / 6 for step in range(STEPS)]


def test_logged_lines_show_the_weights_of_their_last_step(tmp_path):
    noted, run = train(tmp_path / "run", schedules={"kl": "linear:steps=30", "lr": "linear:start=1,end=0.5,steps=40"})
    lines = [record for record in run.records() if record["kind"] == "train"]
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 48]
    assert [line["weights"] for line in lines] == [noted.shown[line["step"] - 1] for line in lines]
