"""With an average of the weights: is it what is judged, kept and loaded, and does a run go on bit for bit?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import RunError, SpecError, fit, fit_replicates, hookimpl, load_run, register, resume
from intel_core.recipe.optimizers import OptimizerSpec
from intel_core.runs import checkpoint
from intel_core.training.scoring import evaluate
from intel_core.training.trainer import Trainer

X = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
BASE: dict[str, Any] = {
    "data": X, "optimizer": "adam:ema=0.8", "steps": 24, "encoder": "mlp:hidden=[8]", "latent": 2, "batch_size": 20,
    "save_every": 6, "evaluate_every": 4, "device": "cpu", "learning_rate": 1e-2,
}  # fmt: skip
CONV = BASE | {"data": IMAGES, "network": "conv:channels=[4]", "precision": "float32"}
CONV.pop("encoder")


class Weights:
    """Weights and buffers after each step, and what every evaluation said."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []
        self.judged: list[float] = []
        self.shown: list[dict[str, torch.Tensor]] = []

    @hookimpl
    def step_end(self, trainer: Trainer) -> None:
        self.seen.append(copied(trainer.model.state_dict()))

    @hookimpl
    def evaluated(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.judged.append(record["loss"])
        self.shown.append(copied(trainer.model.state_dict()))


def copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().double().clone() for name, value in tensors.items()}


def mean_of(seen: list[dict[str, torch.Tensor]], decay: float) -> dict[str, torch.Tensor]:
    shares = torch.tensor([decay ** (len(seen) - 1 - s) for s in range(len(seen))], dtype=torch.float64)
    shares /= shares.sum()
    return {name: torch.tensordot(shares, torch.stack([one[name] for one in seen]), dims=1) for name in seen[0]}


@pytest.mark.parametrize("settings", [BASE, CONV], ids=["mlp", "conv"])
def test_the_average_is_what_is_judged_and_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    hook = Weights()
    run = fit(**settings, hooks=[hook], run_dir=tmp_path / "run")
    expected = mean_of(hook.seen, 0.8)
    for found in (run.model.state_dict(), load_run(run.path).model.state_dict(), hook.shown[-1]):
        for name, value in found.items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6, msg=name)
    assert run.metrics["validation"]["loss"] == hook.judged[-1]
    if settings is CONV:
        assert any(name.endswith("running_var") for name in expected)


def test_training_is_that_of_the_run_without_it(tmp_path: Path) -> None:
    with_average, without = Weights(), Weights()
    fit(**BASE, hooks=[with_average], run_dir=tmp_path / "with")
    fit(**BASE | {"optimizer": "adam"}, hooks=[without], run_dir=tmp_path / "without")
    for one, other in zip(with_average.seen, without.seen, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert with_average.judged != without.judged


@pytest.mark.parametrize("settings", [BASE, CONV, BASE | {"patience": 50}], ids=["mlp", "conv", "patience"])
def test_it_goes_on_bit_for_bit_and_is_loaded_before_its_end(
    settings: dict[str, Any], tmp_path: Path, stop_at: Any
) -> None:
    whole = fit(**settings, run_dir=tmp_path / "whole")
    hook = Weights()
    parts = fit(**settings, run_dir=tmp_path / "parts", hooks=[stop_at(13), hook])
    loaded, expected = load_run(parts.path).model.state_dict(), mean_of(hook.seen, 0.8)
    for name, value in loaded.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6, msg=name)
    resumed = resume(parts.path, data=settings["data"])
    assert all(torch.equal(value, resumed.model.state_dict()[name]) for name, value in whole.model.state_dict().items())
    assert resumed.metrics["test"] == whole.metrics["test"]


def test_early_stopping_keeps_the_average_of_the_best_evaluation(tmp_path: Path) -> None:
    hook = Weights()
    run = fit(**BASE | {"patience": 1, "learning_rate": 3.0, "warmup": 0}, hooks=[hook], run_dir=tmp_path / "run")
    best = min(range(len(hook.judged)), key=lambda index: hook.judged[index])
    assert len(hook.judged) < 6, "it did not stop early"
    assert all(torch.equal(value.double(), hook.shown[best][name]) for name, value in run.model.state_dict().items())
    assert run.metrics["validation"]["loss"] == hook.judged[best]


def test_a_trainer_of_ones_own_judges_the_average(tmp_path: Path) -> None:
    shown: list[bool] = []

    class Look:
        @hookimpl
        def logged(self, trainer: Trainer) -> None:
            with trainer.averaged():
                by_hand = evaluate(trainer.model, trainer.objective, trainer.dataset.validation, 3)["loss"]
            raw = evaluate(trainer.model, trainer.objective, trainer.dataset.validation, 3)["loss"]
            shown.append(trainer.judge(3)["loss"] == by_hand != raw)

    fit(**BASE, log_every=8, hooks=[Look()], run_dir=tmp_path / "run")
    assert shown == [True] * 3


def test_a_checkpoint_whose_average_is_missing_is_refused(tmp_path: Path, stop_at: Any) -> None:
    run = fit(**BASE | {"keep_checkpoints": 1}, run_dir=tmp_path / "run", hooks=[stop_at(13)])
    (path,) = checkpoint.listed(run.path / "checkpoints")
    step, tensors, state = checkpoint.load(path)
    for change in (
        {"training": {n: v for n, v in tensors["training"].items() if not n.endswith("/0/average")}},
        {"training": {**tensors["training"], "optimizer/0/average_step": torch.tensor(math.nan)}},
        {"training": {**tensors["training"], "optimizer/0/average": torch.zeros(1)}},
        {"averaged": {}},
    ):
        checkpoint.save(path.parent, step, tensors | change, state)
        with pytest.raises(RunError, match="average"):
            resume(run.path, data=X)
    checkpoint.save(path.parent, step, {n: v for n, v in tensors.items() if n != "averaged"}, state)
    with pytest.raises(RunError, match="it holds model, training, expected averaged, model, training"):
        resume(run.path, data=X)


def test_seeds_are_trained_in_turn(tmp_path: Path) -> None:
    group = fit_replicates(2, **BASE | {"steps": 8}, run_dir=tmp_path / "group")
    alone = fit(**BASE | {"steps": 8, "seed": 1}, run_dir=tmp_path / "alone")
    assert all(
        torch.equal(value, alone.model.state_dict()[name]) for name, value in group.runs[1].model.state_dict().items()
    )


@pytest.mark.parametrize("text", ["adam:ema=1", "adam:ema=-0.1", "adam:accumulate=0"])
def test_nonsense_is_one_line(text: str) -> None:
    with pytest.raises(SpecError, match=text.partition(":")[2]):
        fit(optimizer=text)


def test_an_optimiser_that_averages_itself_takes_no_second_average(tmp_path: Path) -> None:
    class AveragingSpec(OptimizerSpec):
        """It says that it averages."""

        def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
            made = torch.optim.SGD(parameters, lr=learning_rate)
            made.averaged = None  # type: ignore[attr-defined]
            return made

    register("optimizers", "averaging_itself", AveragingSpec)
    with pytest.raises(SpecError, match="averages the weights in its own way; leave out ema"):
        fit(**BASE | {"optimizer": "averaging_itself:ema=0.9"}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
