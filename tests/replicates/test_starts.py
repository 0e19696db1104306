"""Do seeds that each begin from clusters of their own train one after another, as each would alone, and go on so?"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import StopReason, fit, fit_replicates, hookimpl, resume_replicates
from intel_core.fitting.starting import FILE
from intel_core.replicates.summary import Replicates
from intel_core.runs.contents import START_FILE

X = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "mapping": "cluster:k=3", "latent": 2, "steps": 24, "batch_size": 16, "log_every": 4, "evaluate_every": 8,
    "encoder": "mlp:hidden=[8]", "device": "cpu", "data": X, "start": "kmeans:fits=2,after=0.25,hold=0.5",
}  # fmt: skip


class StopSecond:
    """Interrupts the second seed while it is pulled."""

    @hookimpl
    def logged(self, trainer: Any, record: dict[str, Any]) -> None:
        if trainer.settings.seed == 1 and record["step"] == 12:
            trainer.stop(StopReason("signal SIGTERM", "signal"))


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("model.safetensors", FILE, START_FILE)]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Replicates:
    return fit_replicates(3, **BASE, run_dir=tmp_path_factory.mktemp("whole") / "group")


def test_the_reason_is_said(group: Replicates) -> None:
    assert not group.summary["stacked"]
    assert group.summary["why_not"] == "each seed starts from clusters of its own"


def test_each_seed_is_the_run_that_it_has_alone(group: Replicates, tmp_path: Path) -> None:
    for seed, run in enumerate(group.runs):
        alone = fit(**BASE, seed=seed, run_dir=tmp_path / str(seed))
        assert contents(run.path) == contents(alone.path)
    assert contents(group.runs[0].path) != contents(group.runs[1].path)


def test_a_group_that_was_interrupted_goes_on_bit_for_bit(group: Replicates, tmp_path: Path) -> None:
    part = fit_replicates(3, **BASE, run_dir=tmp_path / "group", hooks=[StopSecond()])
    assert [run.status for run in part.runs] == ["finished", "interrupted", "unfinished"]
    whole = resume_replicates(part.path, data=X)
    assert [contents(run.path) for run in whole.runs] == [contents(run.path) for run in group.runs]


@pytest.mark.parametrize("gone", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_settings_that_nobody_gave_are_the_same_when_a_group_goes_on(gone: int, tmp_path: Path) -> None:
    """With a start that is the default, and the runs of some or of all seeds deleted."""
    asked = {name: value for name, value in BASE.items() if name != "start"}
    whole = fit_replicates(2, **asked, run_dir=tmp_path / "group")
    before = [contents(run.path) for run in whole.runs]
    for seed in range(gone):
        shutil.rmtree(tmp_path / "group" / f"seed-{seed}")
    with pytest.warns(UserWarning, match="trained again"):
        again = resume_replicates(whole.path, data=X)
    assert [contents(run.path) for run in again.runs] == before


@pytest.mark.slow
def test_with_restarts_each_seed_chooses_among_its_own_starts(tmp_path: Path) -> None:
    found = fit_replicates(2, **BASE, restarts=2, run_dir=tmp_path / "group")
    for seed, run in enumerate(found.runs):
        alone = fit(**BASE, restarts=2, seed=seed, run_dir=tmp_path / str(seed))
        assert run.info["trials"] == alone.info["trials"]
        assert [trial["step"] for trial in alone.info["trials"]] == [12, 12]
        assert contents(run.path) == contents(alone.path)
