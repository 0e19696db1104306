"""What cannot fit into memory is refused before any of it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import EnvironmentProblem, fit, hookimpl, resume
from intel_core.compute import memory
from intel_core.compute.memory import memory_there
from intel_core.fitting.estimate import estimate, require_memory
from intel_core.reading.arrays import make_dataset
from intel_core.recipe.building import build_model
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec

GIB = 2**30
X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def resolved(x: torch.Tensor = X, **settings: Any) -> Any:
    dataset = make_dataset("x", x)
    return resolve(make_run_spec(data="memory:examples=4,shape=[2]", device="cpu", **settings), dataset), dataset


@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (X, {}),
        (X, {"encoder": "mlp:hidden=[30,20]", "latent": 7, "batch_size": 50}),
        (X, {"encoder": "linear", "mapping": "hierarchy:levels=2", "latent": 4}),
        (IMAGES, {"encoder": "conv", "objective": "iwae:particles=3"}),
    ],
)
def test_an_estimate_counts_every_weight(x: torch.Tensor, settings: dict[str, Any]) -> None:
    spec, dataset = resolved(x, **settings)
    model = build_model(spec, dataset.x_shape)
    weights = sum(parameter.numel() for parameter in model.parameters())
    found = estimate(spec, dataset)
    assert 28 * weights < found < 28 * weights + 50e6


def test_many_rows_are_followed_through_convolutions() -> None:
    few, many = (
        estimate(*resolved(IMAGES, encoder="conv", objective=f"iwae:particles={particles}"))
        for particles in (100, 1000)
    )
    values = 40 * 0.8 * 1000 * 28 * 28
    assert many > few
    assert many > 8 * 3 * values  # more than one layer of that size


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "mlp:hidden=[1000000000,1000000000]"},
        {"decoder": "mlp:hidden=[100000000,100000000]"},
        {"latent": 100_000, "encoder": "mlp:hidden=[100000000]"},
    ],
)
def test_absurd_sizes_are_refused_at_once(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"would take about .* GiB of memory, cpu has [\d.]+\. Try smaller"):
        fit(data=X, device="cpu", run_dir=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings", [{"objective": "iwae:particles=10000"}, {"latent": 100_000}, {"encoder": "mlp:hidden=[5000,5000]"}]
)
def test_what_is_there_decides(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec, dataset = resolved(**settings)
    needed = estimate(spec, dataset)
    for there, fits in ((needed * 1.01, True), (needed * 0.99, False), (None, True)):
        monkeypatch.setattr(memory, "memory_there", lambda device, there=there: there)
        if fits:
            require_memory(spec, dataset)
        else:
            with pytest.raises(EnvironmentProblem, match="would take about"):
                require_memory(spec, dataset)


def test_this_machine_has_some() -> None:
    there = memory_there(torch.device("cpu"))
    assert there is None or GIB / 8 < there < 2**50


def test_the_random_state_stays_as_it_was() -> None:
    spec, dataset = resolved()
    before = torch.random.get_rng_state()
    estimate(spec, dataset)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_cannot_be_built_without_memory_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, dataset = resolved()
    whole = estimate(spec, dataset)

    def fail(*_: object) -> None:
        raise NotImplementedError("meta")

    monkeypatch.setattr(type(spec.encoder), "build_encoder", fail)
    assert 0 < estimate(spec, dataset) < whole


SPENT = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("x: can't allocate memory: you y")]


@pytest.mark.parametrize("error", SPENT, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_all_the_same_is_told(error: Exception, tmp_path: Path) -> None:
    class Greedy:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 6:
                raise error

    settings = {"data": X, "device": "cpu", "run_dir": tmp_path / "run", "steps": 10, "save_every": 5}
    with pytest.raises(EnvironmentProblem, match="memory ran out; what was saved stays"):
        fit(**settings, hooks=[Greedy()])
    assert resume(tmp_path / "run", data=X).status == "finished"


def test_another_error_is_not_mistaken_for_it(tmp_path: Path) -> None:
    class Broken:
        @hookimpl
        def step_end(self) -> None:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(data=X, device="cpu", run_dir=tmp_path / "run", steps=10, hooks=[Broken()])
