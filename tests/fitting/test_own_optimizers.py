"""Is an optimiser of one's own tried before anything is trained, and goes its run on from a checkpoint bit for bit?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from intel_core import OptimizerSpec, PluginError, StopReason, fit, hookimpl, register, resume

DATA = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


class Counting(torch.optim.SGD):
    """Remembers a number that is no tensor."""

    def step(self, closure: Any = None) -> None:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["seen"] = self.state[parameter].get("seen", 0) + 1


class Flat(Counting):
    """Remembers a tensor of a shape of its own."""

    def step(self, closure: Any = None) -> None:
        torch.optim.SGD.step(self)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["norms"] = torch.zeros(7)


class Own(OptimizerSpec):
    """Optimisers that somebody might bring."""

    of: Literal["lbfgs", "counting", "flat", "raising", "adafactor"] = "adafactor"

    def build(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """One of them."""
        if self.of == "lbfgs":
            return torch.optim.LBFGS(parameters)
        if self.of == "adafactor":
            return torch.optim.Adafactor(parameters, lr=learning_rate)
        kinds = {"counting": Counting, "flat": Flat}
        if self.of in kinds:
            return kinds[self.of](parameters, lr=learning_rate)
        optimizer = torch.optim.SGD(parameters, lr=learning_rate)
        optimizer.register_step_pre_hook(lambda *_: 1 / 0)
        return optimizer


register("optimizers", "own-for-tests", Own)


def trained(of: Any, **more: Any) -> Any:
    settings: dict[str, Any] = {"steps": 21, "encoder": "mlp:hidden=[8]", "latent": 2, "save_every": 7, **more}
    return fit(data=DATA, optimizer=Own(of=of), **settings)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("lbfgs", r"optimizer own-for-tests:of=lbfgs: step\(\) of LBFGS wants a closure"),
        ("counting", r"it remembers 'seen' as int, and checkpoints hold tensors only"),
        ("flat", r"it remembers 'norms' of shape \(7,\) .* for a parameter of shape"),
        ("raising", r"optimizer own-for-tests:of=raising: step\(\) raised ZeroDivisionError: division by zero"),
    ],
)
def test_what_could_not_be_trained_with_or_resumed_is_told_first(of: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=said):
        trained(of, run_dir=tmp_path / "run")
    assert not list(tmp_path.glob("run/*"))


def test_one_that_remembers_rows_and_columns_goes_on_bit_for_bit(tmp_path: Path) -> None:
    class Stopping:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 9:
                trainer.stop(StopReason("signal TEST", "signal"))

    whole = trained("adafactor", run_dir=tmp_path / "whole")
    assert trained("adafactor", run_dir=tmp_path / "parts", hooks=[Stopping()]).status == "interrupted"
    resumed = resume(tmp_path / "parts", data=DATA)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
