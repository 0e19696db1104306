"""Is an optimiser of one's own tried before anything is trained, and goes its run on from a checkpoint bit for bit?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import OptimizerSpec, PluginError, RunError, SpecError, StopReason, fit, hookimpl, register, resume
from intel_core.runs import checkpoint

DATA = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


class Remembering(torch.optim.SGD):
    """Plain steps; what it remembers of each parameter is said."""

    def __init__(self, parameters: Any, lr: float, kept: Callable[[torch.Tensor], Any], key: str = "seen") -> None:
        super().__init__(parameters, lr=lr)
        self.kept, self.key = kept, key

    def step(self, closure: Any = None) -> None:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter][self.key] = self.kept(parameter)


class InItsGroups(torch.optim.SGD):
    """Counts steps where no checkpoint sees it, in the first of two groups."""

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__([{"params": parameters[:1], "k": 0}, {"params": parameters[1:], "k": 0}], lr=lr)

    def step(self, closure: Any = None) -> None:
        super().step()
        self.param_groups[0]["k"] += 1


class Stepped(torch.optim.SGD):
    """Has a step for torch, and one for training."""

    def step(self, closure: Any) -> None:  # type: ignore[override]
        raise AssertionError("training calls update")

    def update(self) -> None:
        torch.optim.SGD.step(self)


def counting(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Counts steps by a whole number, beside what SGD remembers."""
    return Remembering(parameters, lr, lambda parameter: torch.tensor(3))


def grouped(parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """No weight decay for vectors, which come first."""
    vectors, others = ([p for p in parameters if (p.dim() < 2) is flat] for flat in (True, False))
    return torch.optim.AdamW([{"params": vectors, "weight_decay": 0.0}, {"params": others}], lr=lr, fused=True)


def raising(parameters: Any, lr: float) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(parameters, lr=lr)
    optimizer.register_step_pre_hook(lambda *_: 1 / 0)
    return optimizer


RIGHT: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adafactor": torch.optim.Adafactor,
    "counting": counting,
    "grouped": grouped,
    "stepped": Stepped,
}
WRONG: dict[str, tuple[Callable[..., torch.optim.Optimizer], str]] = {
    "lbfgs": (lambda some, lr: torch.optim.LBFGS(some), r"step\(closure\) of LBFGS wants arguments, such as a"),
    "number": (
        lambda some, lr: Remembering(some, lr, lambda _: 1),
        r"it remembers 'seen' as int, and checkpoints hold",
    ),
    "flat": (
        lambda some, lr: Remembering(some, lr, lambda _: torch.zeros(7)),
        r"'seen' of shape \(7,\) .* parameter of",
    ),
    "infinite": (lambda some, lr: Remembering(some, lr, lambda _: torch.tensor(torch.inf)), "which is not finite"),
    "dotted": (
        lambda some, lr: Remembering(some, lr, torch.zeros_like, "m.1"),
        r"'m\.1', a name that checkpoints cannot",
    ),
    "double": (lambda some, lr: Remembering(some, lr, torch.Tensor.double), "type torch.float64 for a parameter of"),
    "groups": (InItsGroups, "its steps change 'k' of a group of parameters, which no checkpoint holds"),
    "raising": (raising, r"step\(\) raised ZeroDivisionError: division by zero"),
}


class Own(OptimizerSpec):
    """Optimisers that somebody might bring."""

    of: str = "adafactor"

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """One of them."""
        made = RIGHT[self.of] if self.of in RIGHT else WRONG[self.of][0]
        return made(parameters, lr=learning_rate)


register("optimizers", "own-for-tests", Own)


def trained(of: Any, **more: Any) -> Any:
    settings: dict[str, Any] = {"steps": 21, "encoder": "mlp:hidden=[8]", "latent": 2, "save_every": 7, **more}
    return fit(data=DATA, optimizer=Own(of=of), **settings)


@pytest.mark.parametrize("of", WRONG)
def test_what_could_not_be_trained_with_or_resumed_is_told_first(of: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=f"^optimizer own-for-tests:of={of}: .*{WRONG[of][1]}"):
        trained(of, run_dir=tmp_path / "run")
    assert not list(tmp_path.glob("run/*"))


class Stopping:
    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step == 9:
            trainer.stop(StopReason("signal TEST", "signal"))


@pytest.mark.parametrize("of", RIGHT)
def test_others_go_on_bit_for_bit(of: str, tmp_path: Path) -> None:
    whole = trained(of, run_dir=tmp_path / "whole")
    assert trained(of, run_dir=tmp_path / "parts", hooks=[Stopping()]).status == "interrupted"
    resumed = resume(tmp_path / "parts", data=DATA)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("optimizer", "entry"),
    [("own-for-tests:of=adafactor", "row_var"), ("torch:of=Adagrad", "sum"), ("sgd:ema=0.5", "average")],
)
def test_no_other_shape_than_its_own_is_resumed(optimizer: str, entry: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 21, "encoder": "mlp:hidden=[8]", "latent": 2, "save_every": 9}
    fit(data=DATA, optimizer=optimizer, run_dir=tmp_path / "run", hooks=[Stopping()], **settings)
    folder = tmp_path / "run" / "checkpoints"
    (path,) = checkpoint.listed(folder)
    step, tensors, state = checkpoint.load(path)
    name = next(name for name, value in tensors["training"].items() if name.endswith(f"/{entry}") and value.dim() == 2)
    tensors["training"][name] = tensors["training"][name][:1, :1].clone()
    checkpoint.save(folder, step, tensors, state)
    with pytest.raises(RunError, match=r"shape \[1, 1\], expected \[\d+, \d+\]"):
        resume(tmp_path / "run", data=DATA)


@pytest.mark.parametrize("made", [torch.optim.RAdam, torch.optim.RAdam([torch.nn.Parameter(torch.zeros(1))])])
def test_an_optimiser_as_an_object_is_told_how_it_is_said(made: object) -> None:
    with pytest.raises(SpecError, match=r"^optimizer: RAdam is an object; expected a text such as .*'torch:of=RAdam'"):
        fit(data="circle:n=100", latent=2, optimizer=made)
