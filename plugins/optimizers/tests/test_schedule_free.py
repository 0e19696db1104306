"""Is a schedule-free optimiser judged at its averages, trained at its own points, and resumed bit for bit?"""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import EnvironmentProblem, SpecError, fit, hookimpl, load_run, parse_spec, resume

schedulefree = pytest.importorskip("schedulefree")

X = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "data": X, "steps": 24, "encoder": "mlp:hidden=[8]", "latent": 2, "batch_size": 20, "device": "cpu",
    "evaluate_every": 4, "save_every": 6, "learning_rate": 1e-2,
}  # fmt: skip
TEXTS = ["schedule_free", "schedule_free:warmup=5,weight_decay=0.1", "schedule_free:of=radam", "schedule_free:of=sgd"]


def same(first: Any, second: Any) -> bool:
    other = second.model.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.model.state_dict().items())


def test_on_a_parabola_both_sequences_are_those_of_the_paper() -> None:
    """``z -= lr (gradient at y)``, ``x`` the mean of all z, ``y = (1 - beta) z + beta x``."""
    spec: Any = parse_spec("optimizers", "schedule_free:of=sgd,beta=0.75")
    weight = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = spec.build([weight], 0.1)
    z, y, seen = 2.0, 2.0, list[float]()
    for _ in range(6):
        weight.grad = weight.detach().clone()  # of w^2 / 2
        optimizer.step()
        z -= 0.1 * y
        seen.append(z)
        x = sum(seen) / len(seen)
        y = 0.25 * z + 0.75 * x
        assert weight.item() == pytest.approx(y, rel=1e-12)
        with optimizer.averaged(), optimizer.averaged():
            assert weight.item() == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize("text", TEXTS)
def test_evaluations_do_not_disturb_its_steps(text: str, tmp_path: Path) -> None:
    often = fit(**BASE | {"evaluate_every": 1, "save_every": 2}, optimizer=text, run_dir=tmp_path / "often")
    seldom = fit(**BASE | {"evaluate_every": 24, "save_every": 24}, optimizer=text, run_dir=tmp_path / "seldom")
    assert same(often, seldom)


@pytest.mark.parametrize("text", TEXTS)
def test_the_average_is_judged_kept_and_loaded_and_a_run_goes_on_bit_for_bit(
    text: str, tmp_path: Path, stop_at: Any
) -> None:
    judged: list[tuple[float, torch.Tensor]] = []
    training: list[torch.Tensor] = []

    class Look:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            training.append(trainer.model.encoder[0].weight.detach().clone())

        @hookimpl
        def evaluated(self, trainer: Any, record: dict[str, Any]) -> None:
            judged.append((record["loss"], trainer.model.encoder[0].weight.detach().clone()))

    whole = fit(**BASE, optimizer=text, hooks=[Look()], run_dir=tmp_path / "whole")
    parts = fit(**BASE, optimizer=text, run_dir=tmp_path / "parts", hooks=[stop_at(12)])
    assert torch.equal(load_run(parts.path).model.encoder[0].weight, judged[2][1])
    assert same(whole, resume(parts.path, data=X))
    assert torch.equal(whole.model.encoder[0].weight, judged[-1][1])
    assert not torch.equal(whole.model.encoder[0].weight, training[-1])
    assert whole.metrics["validation"]["loss"] == judged[-1][0]


def test_what_does_not_go_with_it_is_told(tmp_path: Path) -> None:
    for text, said in (
        ("schedule_free:ema=0.9", "averages the weights in its own way; leave out ema"),
        ("schedule_free:of=radam,warmup=3", "radam has a warm-up of its own"),
        ("schedule_free:beta=1", "beta=1"),
    ):
        with pytest.raises(SpecError, match=said):
            fit(**BASE, optimizer=text, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "schedulefree":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'intelvae-optimizers\[schedule_free\]'"):
        fit(**BASE, optimizer="schedule_free", run_dir=tmp_path / "run")
