"""Compiled networks train the run of the plain ones; nothing but the steps of training calls them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intel_core import DivergenceError, SpecError, StopReason, fit, fit_replicates, hookimpl, load_run, resume
from intel_core.compute import compiling
from intel_core.evaluation.run import Run
from intel_core.fitting.setting_up import make_trainer
from intel_core.processes.peers import Peers
from intel_core.reading.arrays import make_dataset
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

IMAGES = np.random.default_rng(1).integers(0, 256, size=(200, 9, 9), dtype=np.uint8)
POINTS = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dense": (POINTS, {"encoder": "mlp:hidden=[8]", "likelihood": "gaussian", "latent": 2}),
    "a strength that grows": (POINTS, {"mapping": "cluster:k=3", "encoder": "mlp:hidden=[8]", "latent": 2}),
    "auxiliary losses": (POINTS, {"mapping": "sparse", "encoder": "mlp:hidden=[8]", "latent": 2}),
    "particles": (POINTS, {"objective": "iwae:particles=3", "encoder": "mlp:hidden=[8]", "latent": 2}),
    "conv": (IMAGES, {"encoder": "conv:channels=[4,6]", "latent": 3}),
    "conv in bfloat16": (IMAGES, {"encoder": "conv:channels=[4,6]", "latent": 3, "precision": "bfloat16"}),
}
BASE = {"steps": 12, "batch_size": 20, "evaluate_every": 6, "log_every": 3, "device": "cpu"}


class Counting:
    """A backend that computes what the network does, and counts."""

    def __init__(self) -> None:
        self.graphs, self.calls = 0, 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any) -> Any:
        self.graphs += 1

        def run(*arguments: Any) -> Any:
            self.calls += 1
            return graph.forward(*arguments)

        return run


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Counting:
    torch._dynamo.reset()
    counting = Counting()
    monkeypatch.setattr(compiling, "_BACKEND", counting)
    return counting


def train(folder: Path, data: Any, *hooks: object, **settings: Any) -> Run:
    return fit(data=data, hooks=hooks, run_dir=folder, **(BASE | settings))


def lines(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]


def same(first: Run, second: Run) -> bool:
    one, other = first.model.state_dict(), second.model.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.promptly("dense", "auxiliary losses", "conv")
@pytest.mark.parametrize("case", CASES)
def test_the_run_is_that_of_plain_networks(case: str, tmp_path: Path, backend: Counting) -> None:
    data, settings = CASES[case]
    plain, compiled = (train(tmp_path / str(c), data, compile=c, **settings) for c in (False, True))
    if case == "conv":  # whose last layer has another kernel where it is compiled
        torch.testing.assert_close(compiled.model.state_dict(), plain.model.state_dict(), rtol=1e-4, atol=1e-5)
        return
    assert same(plain, compiled)
    assert lines(plain) == lines(compiled)
    assert plain.metrics["test"] == compiled.metrics["test"]


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("case", CASES)
def test_each_network_is_compiled_once_and_called_by_the_steps_alone(
    case: str, tmp_path: Path, backend: Counting
) -> None:
    """Not anew at each step, whatever changes from step to step; evaluations have other batches, and go without."""
    data, settings = CASES[case]
    run = train(tmp_path / "run", data, compile=True, **settings)
    assert (backend.graphs, backend.calls) == (2, 2 * 12)
    run.sample(7)
    run.encode(data[:9])
    load_run(run.path).reconstruct(data[:9])
    assert (backend.graphs, backend.calls) == (2, 2 * 12)


def test_many_runs_in_one_process_are_all_compiled(tmp_path: Path, backend: Counting) -> None:
    """torch compiles one piece of code eight times, and then gives up with a warning."""
    for width in range(3, 13):
        train(tmp_path / str(width), POINTS, compile=True, encoder=f"mlp:hidden=[{width}]", latent=2)
    assert (backend.graphs, backend.calls) == (2 * 10, 2 * 12 * 10)


def test_a_compiler_without_its_folder_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise NotADirectoryError("/dev/null/x")

    monkeypatch.setattr(torch, "compile", nowhere)
    with pytest.raises(SpecError, match=r"^the encoder cannot be compiled here: /dev/null/x; compile=false [^\n]+$"):
        train(tmp_path / "run", POINTS, compile=True, latent=2)


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path, backend: Counting) -> None:
    class Stop:
        @hookimpl
        def step_end(self, trainer: Trainer) -> None:
            if trainer.step == 7:
                trainer.stop(StopReason("signal SIGTERM", "signal"))

    data, settings = CASES["conv"]
    whole = train(tmp_path / "whole", data, compile=True, **settings)
    train(tmp_path / "parts", data, Stop(), compile=True, **settings)
    calls = backend.calls
    parts = resume(tmp_path / "parts", data=data)
    assert backend.calls == calls + 2 * 5
    assert same(whole, parts)
    assert parts.spec.compile


def test_a_run_that_diverges_is_told_as_with_plain_networks(tmp_path: Path, backend: Counting) -> None:
    """The layer is found by hooks, which compiled networks do not call."""
    data, settings = CASES["dense"]
    told = []
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        with pytest.raises(DivergenceError) as caught:
            train(folder, data, compile=compiled, **settings | {"learning_rate": 50.0, "steps": 400})
        told.append(str(caught.value).replace(str(folder), "run"))
    assert told[0] == told[1]
    assert "first in " in told[0]


def test_what_cannot_be_compiled_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        raise OSError("no compiler in this house")

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "_BACKEND", broken)
    data, settings = CASES["dense"]
    with pytest.raises(SpecError) as caught:
        train(tmp_path / "run", data, compile=True, **settings)
    told = str(caught.value)
    assert told.startswith("the encoder cannot be compiled here: ")
    assert "no compiler in this house" in told
    assert told.endswith("; compile=false trains it as it is")
    assert "\n" not in told


def test_several_processes_are_refused(backend: Counting) -> None:
    dataset = make_dataset("points", POINTS)
    spec = resolve(make_run_spec(data="memory:examples=1,shape=[3]", steps=1, compile=True), dataset)
    with pytest.raises(SpecError, match="compile=true is for one process"):
        make_trainer(spec, dataset, hook_manager(), Peers(0, 2, torch.device("cpu")))


def test_replicates_are_compiled_one_by_one(tmp_path: Path, backend: Counting) -> None:
    data, settings = CASES["dense"]
    group = fit_replicates(2, data=data, run_dir=tmp_path / "group", compile=True, **BASE, **settings)
    assert not group.summary["stacked"]
    assert backend.calls == 2 * 2 * 12


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_torch_s_own_compiler_agrees_up_to_rounding(case: str, tmp_path: Path) -> None:
    torch._dynamo.reset()
    data, settings = CASES[case]
    plain, compiled = (train(tmp_path / str(c), data, compile=c, **settings) for c in (False, True))
    tolerance = 0.02 if case.endswith("bfloat16") else 1e-4
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[name], value, rtol=tolerance, atol=tolerance)
