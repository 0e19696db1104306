"""The trainer in a script, without a run spec: own networks, own optimiser, and what each part of it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intel_core import (
    InteLVAE,
    RunSpec,
    SpecError,
    StopReason,
    Trainer,
    TrainingSettings,
    hookimpl,
    load_mapping,
    make_dataset,
)
from intel_core.likelihoods.densities import Gaussian
from intel_core.model.objectives import ELBO
from intel_core.training.process_group import ProcessGroup

DATA = make_dataset("mine", torch.randn(120, 3, generator=torch.Generator().manual_seed(0)))


def model() -> InteLVAE:
    torch.manual_seed(0)
    return InteLVAE(nn.Linear(3, 4), load_mapping("identity", 2), nn.Linear(2, 3), Gaussian("fixed", 1.0, 0.0))


def trainer(**options: Any) -> Trainer:
    settings = {"steps": 12, "batch_size": 16, "evaluate_every": 4, "log_every": 3} | options.pop("settings", {})
    given = options.pop("model", None)
    return Trainer(given or model(), DATA, ELBO(), TrainingSettings(**settings), **options)


def test_it_trains_with_any_optimiser_and_any_kind_of_hooks() -> None:
    steps = []

    class Count:
        @hookimpl
        def step_end(self, trainer: Trainer) -> None:
            steps.append(trainer.step)

    net = model()
    own = trainer(model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.01), hooks=[Count()])
    before = own.judge(seed=0)["loss"]
    own.train()
    assert own.judge(seed=0)["loss"] < before
    assert steps == list(range(1, 13))


def test_the_same_seed_is_the_same_training() -> None:
    states = []
    for _ in range(2):
        one = trainer()
        one.train()
        states.append(one.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_step_of_the_optimiser_s_own_is_preferred() -> None:
    class Counting(torch.optim.SGD):
        updates = 0

        def update(self) -> None:
            self.updates += 1
            self.step()

    net = model()
    optimizer = Counting(net.parameters(), lr=0.01)
    trainer(model=net, optimizer=optimizer).train()
    assert optimizer.updates == 12


def test_a_model_in_evaluation_mode_is_trained_in_training_mode() -> None:
    net = model().eval()
    modes = []
    net.encoder.register_forward_hook(lambda module, x, y: modes.append(module.training))
    one = trainer(model=net)
    one.begin()
    one.advance(2)
    assert modes == [True, True]


def test_the_best_weights_of_early_stopping_can_be_had() -> None:
    one = trainer(settings={"patience": 2, "steps": 400, "learning_rate": 5.0})
    one.train()
    assert one.step < 400
    one.stopping.load_best(one.model)
    assert one.judge(seed=0)["loss"] == pytest.approx(one.stopping.best)


class Asked(ProcessGroup):
    """Stands for several processes that have to hear of a wish first, and agree on another one at a pause."""

    def __init__(self, at_pause: Callable[[], StopReason | None]) -> None:
        self.at_pause = at_pause

    def ask_to_stop(self, reason: StopReason) -> None:
        return None

    def agree_to_stop(self) -> StopReason | None:
        return self.at_pause()


def test_a_reason_that_was_agreed_upon_is_kept_when_another_is_asked_for() -> None:
    one = trainer(processes=Asked(lambda: StopReason("agreed")))
    one.begin()
    one.advance(4)
    one.pause()
    one.stop("too late")
    assert one.stop_reason == StopReason("agreed")


def test_the_first_of_several_reasons_to_stop_is_kept() -> None:
    one = trainer()
    one.stop("first")
    one.stop(StopReason("signal SIGTERM", "signal"))
    assert one.stop_reason == StopReason("first")


def test_early_stopping_is_told_though_a_signal_comes_at_the_same_evaluation() -> None:
    """Otherwise the run would go on when it is resumed, and end elsewhere than an uninterrupted one."""

    class Signal:
        @hookimpl
        def evaluated(self, trainer: Trainer) -> None:
            if trainer.stopping.without_gain:
                trainer.stop(StopReason("signal SIGTERM", "signal"))

    settings = {"patience": 2, "steps": 400, "learning_rate": 5.0}
    alone, signalled = trainer(settings=settings), trainer(settings=settings, hooks=[Signal()])
    alone.train()
    signalled.train()
    assert alone.stop_reason is not None
    assert alone.stop_reason.kind == "early stopping"
    assert (signalled.step, signalled.stop_reason) == (alone.step, alone.stop_reason)


def test_a_signal_that_comes_while_processes_agree_is_kept() -> None:
    class Signalled(ProcessGroup):
        def agree_to_stop(self) -> None:
            one.stop(StopReason("signal SIGTERM", "signal"))

    one = trainer(processes=Signalled())
    one.train()
    assert (one.step, one.stop_reason) == (4, StopReason("signal SIGTERM", "signal"))


def test_a_hook_that_stops_at_an_evaluation_is_heard_though_patience_is_left() -> None:
    class Enough:
        @hookimpl
        def evaluated(self, trainer: Trainer) -> None:
            trainer.stop("enough")

    one = trainer(settings={"patience": 100}, hooks=[Enough()])
    one.train()
    assert (one.step, str(one.stop_reason)) == (4, "enough")


def test_a_checkpoint_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    saved: list[int] = []

    def save(trainer: Trainer) -> Path:
        saved.append(trainer.step)
        return tmp_path

    first = trainer()
    first.save = save
    first.train()
    assert saved == [4, 8, 12]
    again = trainer()
    again.save = save
    again.load_state(12, *first.state())
    again.train()
    assert saved == [4, 8, 12]


def test_without_checkpoints_no_clock_interrupts_the_steps() -> None:
    one = trainer(settings={"save_minutes": 1e-9})
    one.begin()
    one.advance(4)
    assert one.step == 4


def test_a_spec_that_counts_in_epochs_is_refused() -> None:
    with pytest.raises(SpecError, match="not resolved"):
        Trainer(model(), DATA, ELBO(), RunSpec(epochs=3))


def test_what_a_window_holds_is_gone_after_its_line() -> None:
    lines: list[dict[str, Any]] = []

    class Keep:
        @hookimpl
        def logged(self, record: dict[str, Any]) -> None:
            lines.append(record)

    fine, coarse = (
        trainer(settings={"log_every": 1}, hooks=[Keep()]),
        trainer(settings={"log_every": 3}, hooks=[Keep()]),
    )
    fine.train()
    single = [line["loss"] for line in lines]
    lines.clear()
    coarse.train()
    means = [sum(single[i : i + 3]) / 3 for i in range(0, 12, 3)]
    assert [line["loss"] for line in lines] == pytest.approx(means, rel=1e-6)
