"""Why a training stops is a type: what is told, what lasts, and what a former version wrote."""

import pytest
import torch
from torch import nn

from intel_core.training.stopping import EarlyStopping, StopReason

READ = {
    "nothing": (None, None),
    "a request": ({"text": "enough", "kind": "request"}, StopReason("enough")),
    "no gain": ({"text": "no gain", "kind": "early stopping"}, StopReason("no gain", "early stopping")),
    "a signal": ({"text": "signal SIGINT", "kind": "signal"}, None),
    "words of a former version": ("no gain on validation data", StopReason("no gain on validation data")),
    "a signal of a former version": ("signal SIGTERM", None),
    "words that only begin like one": ("signal to noise is enough", StopReason("signal to noise is enough")),
}


@pytest.mark.parametrize("kept", READ)
def test_what_a_checkpoint_holds_still_stops_unless_it_was_a_signal(kept: str) -> None:
    written, reason = READ[kept]
    assert StopReason.read(written) == reason


@pytest.mark.parametrize("kept", [3, {"text": "enough"}, ["enough"]])
def test_what_is_no_reason_is_refused(kept: object) -> None:
    with pytest.raises((TypeError, KeyError)):
        StopReason.read(kept)


def test_patience_counts_evaluations_without_gain_once_schedules_have_settled() -> None:
    model = nn.Linear(1, 1)
    stopping = EarlyStopping(patience=2, begins=10)
    assert stopping.look(1.0, 5, model) is None
    assert stopping.best is None
    said = [stopping.look(loss, step, model) for step, loss in ((10, 5.0), (20, 4.0), (30, 4.5), (40, float("nan")))]
    assert said[:3] == [None, None, None]
    assert said[3] == StopReason("no gain on validation data in 2 evaluations", "early stopping")
    assert (stopping.best, stopping.best_step, stopping.without_gain) == (4.0, 20, 2)


def test_the_best_model_is_a_copy() -> None:
    model = nn.Linear(1, 1)
    stopping = EarlyStopping(patience=1, begins=0)
    stopping.look(1.0, 1, model)
    with torch.no_grad():
        model.weight.fill_(7.0)
    assert stopping.best_model is not None
    assert float(stopping.best_model["weight"]) != 7.0


def test_without_patience_nothing_is_remembered() -> None:
    stopping = EarlyStopping(patience=None, begins=0)
    assert [stopping.look(loss, 1, nn.Linear(1, 1)) for loss in (1.0, 2.0, 3.0)] == [None] * 3
    assert stopping.best_model is None


def test_it_goes_on_from_its_state() -> None:
    model = nn.Linear(1, 1)
    first = EarlyStopping(patience=2, begins=0)
    for loss in (1.0, 2.0):
        first.look(loss, 1, model)
    second = EarlyStopping(patience=2, begins=0)
    second.load_state(first.state(), first.best_model)
    assert second.look(3.0, 3, model) == first.look(3.0, 3, model) is not None
