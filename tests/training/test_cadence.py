"""When are checkpoints made? As the spec says, apart from evaluations, and without any trace in the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import intel_core.training.trainer
from intel_core import SpecError, StopReason, fit, hookimpl, resume
from intel_core.recipe.runspec import make_run_spec

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "data": X, "steps": 40, "batch_size": 10, "evaluate_every": 10, "log_every": 4, "device": "cpu", "latent": 2,
    "keep_checkpoints": 1000, "patience": 3, "schedules": {"kl": "linear:steps=5"}, "encoder": "mlp:hidden=[6]",
}  # fmt: skip


def saved(path: Path) -> list[int]:
    return sorted(int(folder.name.removeprefix("step-")) for folder in (path / "checkpoints").iterdir())


CADENCES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "with evaluations": ({}, [10, 20, 30, 40]),
    "every 7": ({"save_every": 7}, [7, 14, 21, 28, 35, 40]),
    "every 16": ({"save_every": 16}, [16, 32, 40]),
    "never but at the end": ({"save_every": 1000}, [40]),
    "every step": ({"save_every": 1}, list(range(1, 41))),
    "at once by the clock": ({"save_every": 1000, "save_minutes": 1e-9}, list(range(1, 41))),
    "no clock": ({"save_minutes": None}, [10, 20, 30, 40]),
    "the last three": ({"save_every": 3, "keep_checkpoints": 3}, [36, 39, 40]),
}


def result(path: Path, steps: list[dict[str, Any]]) -> tuple[bytes, list[Any]]:
    return (path / "model.safetensors").read_bytes(), [{k: v for k, v in r.items() if k != "seconds"} for r in steps]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fit(**BASE, run_dir=tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize("case", CADENCES)
def test_checkpoints_are_made_when_asked_for_and_change_nothing(case: str, plain: Any, tmp_path: Path) -> None:
    settings, steps = CADENCES[case]
    run = fit(**BASE | settings, run_dir=tmp_path / "run")
    assert saved(run.path) == steps
    assert result(run.path, run.records()) == result(plain.path, plain.records())
    assert {**run.metrics, "seconds": 0} == {**plain.metrics, "seconds": 0}


@pytest.mark.parametrize("stop", [3, 7, 10, 14, 19, 21, 39])
def test_a_run_goes_on_from_any_of_them(stop: int, plain: Any, tmp_path: Path) -> None:
    class Crash:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == stop:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(**BASE | {"save_every": 3}, run_dir=tmp_path / "run", hooks=[Crash()])
    kept = saved(tmp_path / "run") if stop > 3 else []
    assert kept == list(range(3, stop, 3))
    if not kept:
        with pytest.warns(UserWarning, match="begins again"):
            run = resume(tmp_path / "run", data=X)
    else:
        run = resume(tmp_path / "run", data=X)
    assert result(run.path, run.records()) == result(plain.path, plain.records())


def test_minutes_are_counted_from_the_newest_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class AMinutePerStep:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            clock[0] += 60.0

    class Time:
        monotonic = staticmethod(lambda: clock[0])
        perf_counter = staticmethod(lambda: 0.0)

    monkeypatch.setattr(intel_core.training.trainer, "time", Time)
    run = fit(**BASE | {"save_every": 20, "save_minutes": 8}, run_dir=tmp_path / "run", hooks=[AMinutePerStep()])
    assert saved(run.path) == [8, 16, 20, 28, 36, 40]


def test_a_step_is_saved_once(tmp_path: Path) -> None:
    class Count:
        def __init__(self) -> None:
            self.steps: list[int] = []

        @hookimpl
        def saved(self, trainer: Any) -> None:
            self.steps.append(trainer.step)
            if trainer.step == 20:
                trainer.stop(StopReason("signal TEST", "signal"))

    count = Count()
    fit(**BASE, run_dir=tmp_path / "run", hooks=[count])
    assert count.steps == [10, 20]
    resume(tmp_path / "run", data=X, hooks=[count])
    assert count.steps == [10, 20, 30, 40]


def test_a_reason_to_stop_that_comes_after_the_checkpoint_is_kept_too(tmp_path: Path) -> None:
    class Stop:
        @hookimpl
        def saved(self, trainer: Any) -> None:
            trainer.stop("seen enough")

        @hookimpl
        def run_end(self, trainer: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(**BASE, run_dir=tmp_path / "run", hooks=[Stop()])
    run = resume(tmp_path / "run", data=X)
    assert (run.metrics["step"], run.metrics["stop_reason"]) == (10, "seen enough")


@pytest.mark.parametrize(("field", "value"), [("save_every", 0), ("save_minutes", -1), ("save_minutes", float("nan"))])
def test_cadences_that_are_none(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=field):
        make_run_spec(**{field: value})


def test_a_run_of_before_there_was_a_cadence_goes_on(plain: Any, tmp_path: Path) -> None:
    import json

    class Stop:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 13:
                trainer.stop(StopReason("signal TEST", "signal"))

    path = fit(**BASE, run_dir=tmp_path / "run", hooks=[Stop()]).path
    info = json.loads((path / "run.json").read_text())
    for key in ("save_every", "save_minutes"):
        del info["spec"][key]
    (path / "run.json").write_text(json.dumps(info))
    run = resume(path, data=X)
    assert saved(path) == [10, 13, 20, 30, 40]
    assert result(run.path, run.records()) == result(plain.path, plain.records())
