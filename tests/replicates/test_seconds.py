"""The seconds of a stack: each seed tells the same ones, they grow, and they go on where a group was interrupted."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

import intel_core.replicates.stacked_runs
from intel_core import Replicates, StopReason, fit_replicates, hookimpl, resume_replicates

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


class Stop:
    @hookimpl
    def logged(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["step"] == 12:
            trainer.stop(StopReason("signal SIGTERM", "signal"))


def _clock(monkeypatch: pytest.MonkeyPatch, begins: int) -> None:
    """Every look at it takes a second."""
    ticks = count(begins)

    class Clock:
        perf_counter = staticmethod(lambda: float(next(ticks)))

    monkeypatch.setattr(intel_core.replicates.stacked_runs, "time", Clock)


def _seconds(group: Replicates) -> list[float]:
    """Those of the lines, the same for all seeds."""
    told = [[line["seconds"] for line in run.records() if line["kind"] == "train"] for run in group.runs]
    assert told[0] == told[1]
    return told[0]


def test_seconds_go_on_where_a_group_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _clock(monkeypatch, 0)
    group = fit_replicates(
        2, mapping="identity", data=X, steps=32, log_every=4, evaluate_every=16, batch_size=10, device="cpu",
        encoder="mlp:hidden=[4]", run_dir=tmp_path / "group", watchers=[Stop()],
    )  # fmt: skip
    assert group.summary["stacked"]
    assert _seconds(group) == [1.0, 2.0, 3.0]
    _clock(monkeypatch, 1000)
    found = _seconds(resume_replicates(tmp_path / "group", data=X))
    assert len(found) == 8
    assert found == sorted(set(found))
    assert found[3] > 3.0
    assert found[-1] < 20
