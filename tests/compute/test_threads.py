"""A dense network gives the same run on any number of threads; others keep the number that they began with."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intel_core import Run, SpecError, StopReason, fit, fit_replicates, hookimpl, load_run, resume
from intel_core.compute.threads import is_dense, on_threads, threads_to_go_on
from intel_core.model.vae import InteLVAE

POINTS = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(150, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LARGE = torch.rand(600, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("INTEL_THREADS", raising=False)
    with on_threads(3):
        yield


class Stop:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def logged(self, trainer: Any) -> None:
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


def content(run: Run) -> tuple[bytes, list[Any], Any]:
    """Weights, lines and numbers, but for the time that they took."""
    lines = [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]
    numbers = {key: value for key, value in run.metrics.items() if key != "seconds"}
    return (run.path / "model.safetensors").read_bytes(), lines, numbers


@pytest.mark.parametrize(
    ("data", "settings", "threads"),
    [
        (POINTS, {"encoder": "mlp:hidden=[16]"}, 1),
        (POINTS, {"encoder": "mlp:hidden=[256,256]", "objective": "iwae:particles=4"}, 1),
        (IMAGES, {"encoder": "mlp:hidden=[512]"}, 1),
        (IMAGES, {"encoder": "conv:channels=[4]"}, 3),
    ],
)
def test_dense_networks_are_trained_and_evaluated_on_one_thread(data, settings, threads, tmp_path, monkeypatch):
    inside: set[int] = set()
    original = InteLVAE.encode

    def noted(self, x):
        if len(x) > 2:  # not where a part's contract is tried
            inside.add(torch.get_num_threads())
        return original(self, x)

    monkeypatch.setattr(InteLVAE, "encode", noted)
    run = fit(data=data, steps=4, evaluate_every=2, restarts=2, device="cpu", run_dir=tmp_path / "run", **settings)
    assert inside == {threads}
    assert run.info["threads"] == threads
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"mapping": "identity", "restarts": 2},
        {"mapping": "cluster:k=3,learnable=true", "start": "mixture:fits=2,hold=0.5"},
        pytest.param({"mapping": "cluster:k=3,learnable=true", "restarts": 2}, marks=pytest.mark.slow),
    ],
    ids=["identity", "found clusters", "found clusters, restarts"],
)
def test_another_number_of_threads_gives_the_same_run(settings: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        run = fit(
            data=LARGE, encoder="mlp", steps=6, evaluate_every=3, device="cpu", run_dir=tmp_path / str(threads),
            **settings,
        )  # fmt: skip
        found.append(content(run))
    assert found[0] == found[1]


def test_another_number_of_threads_gives_the_same_replicates(tmp_path: Path) -> None:
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        group = fit_replicates(
            2, data=LARGE, encoder="mlp", steps=6, evaluate_every=3, device="cpu", run_dir=tmp_path / str(threads)
        )
        assert group.summary["stacked"]
        found.append([content(run) for run in group.runs])
    assert found[0] == found[1]


CONV: dict[str, Any] = {
    "data": IMAGES, "encoder": "conv:channels=[4,8]", "precision": "float32", "steps": 20, "log_every": 5,
    "device": "cpu",
}  # fmt: skip


def test_a_run_goes_on_with_the_threads_that_it_began_with(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = fit(**CONV, run_dir=tmp_path / "whole")
    fit(**CONV, run_dir=tmp_path / "part", hooks=[Stop(10)])
    torch.set_num_threads(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert content(resume(tmp_path / "part", data=IMAGES)) == content(whole)
    assert torch.get_num_threads() == 3


def test_where_that_is_not_possible_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(**CONV, run_dir=tmp_path / "part", hooks=[Stop(10)])
    assert load_run(tmp_path / "part").info["threads"] == 3
    torch.set_num_threads(2)
    with pytest.warns(UserWarning, match=r"part began on 3 threads and goes on with 2 threads, .* by rounding"):
        resume(tmp_path / "part", data=IMAGES)
    monkeypatch.setenv("INTEL_THREADS", "4")
    with pytest.warns(UserWarning, match="began on 1 thread and goes on with 4 threads"):
        assert threads_to_go_on("r", nn.Linear(1, 1), 1) == 4
    monkeypatch.setenv("INTEL_THREADS", "5")
    assert threads_to_go_on("r", nn.Linear(1, 1), 5) == 5


def test_a_run_of_before_threads_were_kept_goes_on(tmp_path: Path) -> None:
    fit(**CONV, run_dir=tmp_path / "part", hooks=[Stop(10)])
    info = json.loads((tmp_path / "part" / "run.json").read_text())
    del info["threads"]
    (tmp_path / "part" / "run.json").write_text(json.dumps(info))
    assert resume(tmp_path / "part", data=IMAGES).status == "finished"


def test_more_threads_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEL_THREADS", "2")
    run = fit(data=POINTS, encoder="mlp:hidden=[8]", steps=2, device="cpu", run_dir=tmp_path / "run")
    assert run.info["threads"] == 2
    for wrong in ("0", "-1", "two", "10000", "1.5"):
        monkeypatch.setenv("INTEL_THREADS", wrong)
        with pytest.raises(SpecError, match=f"INTEL_THREADS='{wrong}': expected a number of threads"):
            fit(data=POINTS, encoder="mlp:hidden=[8]", steps=2, device="cpu", run_dir=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_threads_come_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), on_threads(1):
        1 // (torch.get_num_threads() - 1)
    assert torch.get_num_threads() == 3


def test_what_is_dense() -> None:
    assert is_dense(nn.Linear(64, 64))
    assert is_dense(nn.Identity())
    assert not is_dense(nn.Conv2d(1, 1, 1))
