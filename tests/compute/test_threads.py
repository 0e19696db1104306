"""Small dense networks take their steps on one thread; what is larger, and whatever lies between steps, on all."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from intel_core import fit, fit_replicates, hookimpl
from intel_core.compute.threads import is_small, one_thread
from intel_core.model.objectives import ELBO
from intel_core.model.vae import InteLVAE

POINTS = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(150, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


class Between:
    """Notes the threads at each evaluation."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    @hookimpl
    def evaluated(self) -> None:
        self.seen.append(torch.get_num_threads())


@pytest.mark.parametrize(
    ("data", "settings", "threads"),
    [
        (POINTS, {"encoder": "mlp:hidden=[16]"}, 1),
        (POINTS, {"encoder": "mlp:hidden=[16]", "objective": "iwae:particles=4"}, 1),
        (POINTS, {"encoder": "mlp:hidden=[256,256]", "objective": "iwae:particles=4"}, 3),
        (IMAGES, {"encoder": "mlp:hidden=[512]"}, 3),
        (IMAGES, {"encoder": "conv:channels=[4]"}, 3),
    ],
)
def test_steps_on_one_thread_where_they_are_small(data, settings, threads, tmp_path, monkeypatch):
    inside: list[int] = []
    original = InteLVAE.encode

    def noted(self, x):
        if self.training:
            inside.append(torch.get_num_threads())
        return original(self, x)

    monkeypatch.setattr(InteLVAE, "encode", noted)
    between = Between()
    fit(data=data, steps=4, evaluate_every=2, device="cpu", hooks=[between], run_dir=tmp_path / "run", **settings)
    assert inside == [threads] * 4
    assert between.seen == [3, 3]
    assert torch.get_num_threads() == 3


def test_a_stack_counts_all_its_models(tmp_path, monkeypatch):
    inside: list[int] = []
    original = ELBO.__call__

    def noted(self, model, *rest):
        inside.append(torch.get_num_threads())
        return original(self, model, *rest)

    monkeypatch.setattr(ELBO, "__call__", noted)
    for replicates, threads in ((2, 1), (20, 3)):  # 20 x 100 rows times 2,600 weights
        inside.clear()
        settings = {"encoder": "mlp:hidden=[32,32]", "steps": 3, "evaluate_every": 3, "device": "cpu"}
        group = fit_replicates(replicates, data=POINTS, run_dir=tmp_path / str(replicates), **settings)
        assert group.summary["stacked"]
        assert inside.count(1) == (3 if threads == 1 else 0)  # evaluations are counted in, with all threads
        assert torch.get_num_threads() == 3


def test_threads_come_back_after_an_error():
    with pytest.raises(ZeroDivisionError), one_thread():
        1 // (torch.get_num_threads() - 1)
    assert torch.get_num_threads() == 3
    with one_thread(False):
        assert torch.get_num_threads() == 3


def test_what_is_small():
    assert is_small(nn.Linear(64, 64), 900)
    assert not is_small(nn.Linear(64, 64), 1000)
    assert not is_small(nn.Conv2d(1, 1, 1), 1)
    assert is_small(nn.Identity(), 10**9)
