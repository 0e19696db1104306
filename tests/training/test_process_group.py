"""One process alone: the group that does nothing, and that several processes replace without a branch."""

import inspect

import torch
from torch import nn

from intel_core.processes.peers import Peers
from intel_core.training.process_group import ALONE, ProcessGroup
from intel_core.training.stopping import StopReason


def test_alone_everything_is_as_it_was_given() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    assert ALONE.own(values, dim=0) is ALONE.mean(values) is ALONE.gather(values) is values
    assert (ALONE.rank, ALONE.size, ALONE.is_first, ALONE.must_stop) == (0, 1, True, False)
    assert ALONE.exchange(3) == [3]
    assert ALONE.from_first(lambda: "said") == "said"


def test_alone_a_wish_to_stop_holds_at_once() -> None:
    reason = StopReason("enough")
    assert ALONE.ask_to_stop(reason) is reason
    assert ALONE.agree_to_stop() is None


def test_alone_the_own_clock_decides() -> None:
    assert ALONE.agree_is_due(lambda: True)
    assert not ALONE.agree_is_due(lambda: False)


def test_alone_a_model_is_left_as_it_is() -> None:
    model = nn.Linear(2, 2)
    before = dict(model.__dict__)
    ALONE.begin(model, 7)
    ALONE.share(model)
    ALONE.require_same(model)
    ALONE.end(model)
    assert model.__dict__ == before


def test_several_processes_answer_everything_that_one_does() -> None:
    """Whatever one process answers with what it was given, several must answer in their own way."""
    own = {name for name, value in vars(ProcessGroup).items() if inspect.isfunction(value)}
    assert own - set(vars(Peers)) == set()


def test_rows_are_divided_among_processes() -> None:
    rows = torch.arange(12)
    shares = []
    for rank in range(3):
        peers = Peers(rank, 3, torch.device("cpu"))
        peers.begin(nn.Linear(1, 1), 12)
        shares.append(peers.own(rows, dim=0))
        noise = torch.zeros(2, 12, 5)
        assert peers.own(noise, dim=1).shape == (2, 4, 5)
    assert torch.equal(torch.cat(shares), rows)
