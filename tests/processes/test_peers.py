"""What one of several processes keeps and tells: its first wish to stop, two flags, and hooks in the first one only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intel_core import StopReason, hookimpl
from intel_core.errors import DataError, EnvironmentProblem, IntelError, RunError, SpecError
from intel_core.fitting.setting_up import hooks_of_run
from intel_core.processes.peers import PeerError, Peers


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Peers:
    """The second of two, which hears nothing from the first."""
    found = Peers(1, 2, torch.device("cpu"))
    monkeypatch.setattr(found, "sum_", lambda values: values)
    return found


def test_the_first_wish_to_stop_is_the_one_that_is_told(peers: Peers) -> None:
    peers.ask_to_stop(StopReason("first"))
    peers.ask_to_stop(StopReason("signal SIGTERM", "signal"))
    assert peers.wish == StopReason("first")


def test_a_wish_ends_with_its_training(peers: Peers) -> None:
    """The next training with the same processes would otherwise stop at its first step."""
    model = nn.Linear(2, 2)
    peers.begin(model, 4)
    peers.ask_to_stop(StopReason("enough"))
    peers.end(model)
    assert peers.wish is None


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("due", [True, False])
def test_requests_to_stop_and_to_save_are_told_apart(stop: bool, due: bool, peers: Peers) -> None:
    model = nn.Linear(2, 2)
    peers.begin(model, 4)
    loss: Tensor = model(torch.ones(4, 2)).sum()
    loss.backward()
    if stop:
        peers.ask_to_stop(StopReason("enough"))
    peers.average_gradients(lambda: due)
    assert (peers.must_stop, peers.must_save) == (stop, due)
    assert peers.agree_is_due(lambda: not due) == due


@pytest.mark.parametrize("rank", [0, 1])
def test_hooks_are_called_in_the_first_process_only(rank: int) -> None:
    class Hook:
        @hookimpl
        def logged(self) -> None:
            pass

    hook = Hook()
    manager = hooks_of_run([hook], Peers(rank, 2, torch.device("cpu")))
    assert manager.is_registered(hook) == (rank == 0)


@pytest.mark.parametrize("kind", [DataError, SpecError, RunError, EnvironmentProblem, ZeroDivisionError])
def test_the_error_of_another_process_counts_as_of_its_kind(kind: type[Exception], monkeypatch) -> None:
    """The exit code of the command is that of the error, in whichever process it was."""
    said: list[object] = []
    second = Peers(1, 2, torch.device("cpu"))
    monkeypatch.setattr(second, "exchange", lambda value: said.append(value) or [None, value])
    with pytest.raises(kind, match=r"^it went wrong$"), second.agreeing():
        raise kind("it went wrong")
    first = Peers(0, 2, torch.device("cpu"))
    monkeypatch.setattr(first, "exchange", lambda value: [value, *said])
    with pytest.raises(PeerError, match=r"^process 1: it went wrong$") as caught, first.agreeing():
        pass
    assert issubclass(kind, caught.value.kind)
    assert caught.value.kind is (kind if issubclass(kind, IntelError) else Exception)
