"""Does the learning rate fall when validation loss stops falling, as torch's own rule says, and after a resume too?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intel_core import SpecError, fit, fit_replicates, hookimpl, parse_spec, resume

X = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "data": X, "steps": 40, "encoder": "mlp:hidden=[8]", "latent": 2, "batch_size": 20, "device": "cpu",
    "evaluate_every": 2, "save_every": 5, "log_every": 1, "learning_rate": 0.3, "warmup": 0,
}  # fmt: skip
LOSSES = st.lists(st.floats(-5, 5).map(lambda loss: round(loss, 1)), max_size=40)


@given(losses=LOSSES, patience=st.integers(1, 5), factor=st.floats(0.1, 0.9), gain=st.sampled_from([0.0, 0.25]))
def test_it_is_the_rule_of_torch(losses: list[float], patience: int, factor: float, gain: float) -> None:
    plateau: Any = parse_spec("schedules", f"plateau:patience={patience},factor={factor},gain={gain},end=0.01")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience - 1, threshold=gain, threshold_mode="abs", min_lr=0.01, eps=0.0
    )
    for count, loss in enumerate(losses, 1):
        rule.step(loss)
        assert plateau.after(losses[:count]) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def rates(run: Any) -> list[float]:
    return [record["weights"]["lr"] for record in run.records() if record["kind"] == "train"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd:momentum=0"])
def test_the_rate_of_every_step_follows_from_the_evaluations_before_it(optimizer: str, tmp_path: Path) -> None:
    used: list[float] = []

    class Look:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            used.append(trainer.optimizer.param_groups[0]["lr"])

    text = "plateau:patience=1,factor=0.5"
    settings = BASE | {"optimizer": optimizer, "learning_rate": 0.3 if optimizer == "adam" else 1e-3}
    run = fit(**settings, schedules={"lr": text}, hooks=[Look()], run_dir=tmp_path / "run")
    plateau: Any = parse_spec("schedules", text)
    judged = [(r["step"], r["loss"]) for r in run.records() if r["kind"] == "validation"]
    expected = [plateau.after([loss for step, loss in judged if step < taken]) for taken in range(1, 41)]
    assert rates(run) == expected
    assert used == [settings["learning_rate"] * factor for factor in expected]
    if optimizer == "adam":
        assert expected[-1] < 1, "nothing was tested"


def test_evaluations_before_other_schedules_have_settled_do_not_count(tmp_path: Path) -> None:
    text = "plateau:patience=1,factor=0.5"
    settings = BASE | {"schedules": {"lr": text, "kl": "linear:steps=20"}}
    settings.pop("warmup")
    run = fit(**settings, run_dir=tmp_path / "run")
    plateau: Any = parse_spec("schedules", text)
    losses = [r["loss"] for r in run.records() if r["kind"] == "validation" and 20 <= r["step"] < 40]
    assert rates(run)[:20] == [1.0] * 20
    assert rates(run)[-1] == plateau.after(losses)


@pytest.mark.parametrize("more", [{}, {"patience": 50}], ids=["alone", "with early stopping"])
def test_it_goes_on_bit_for_bit(more: dict[str, Any], tmp_path: Path, stop_at: Any) -> None:
    settings = BASE | more | {"schedules": {"lr": "plateau:patience=1,factor=0.5"}}
    whole = fit(**settings, run_dir=tmp_path / "whole")
    parts = fit(**settings, run_dir=tmp_path / "parts", hooks=[stop_at(27)])
    assert rates(parts)[-1] < 1
    resumed = resume(parts.path, data=X)
    assert rates(resumed) == rates(whole)
    assert all(torch.equal(value, resumed.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_seeds_are_trained_in_turn_since_each_has_evaluations_of_its_own(tmp_path: Path) -> None:
    settings = BASE | {"schedules": {"lr": "plateau:patience=1,factor=0.5"}, "steps": 20}
    group = fit_replicates(2, **settings, run_dir=tmp_path / "group")
    assert "follows the evaluations of each seed" in str(group.summary)
    alone = fit(**settings, seed=1, run_dir=tmp_path / "alone")
    assert rates(group.runs[1]) == rates(alone)


@pytest.mark.parametrize("body", ["factor=1", "factor=0", "patience=0", "gain=-1", "end=2"])
def test_nonsense_is_one_line(body: str) -> None:
    with pytest.raises(SpecError, match=body):
        fit(schedules={"lr": f"plateau:{body}"})
