"""Do optimisers do what torch's do, go on from a checkpoint bit for bit, and refuse what they cannot take?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import SpecError, StopReason, available, fit, fit_replicates, hookimpl, parse_spec, resume

OTHERS = ("Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop")
TEXTS = (
    "adamw:weight_decay=0.1",
    "sgd:momentum=0.9,nesterov=true",
    "sgd:momentum=0",
    *(f"torch:of={name}" for name in OTHERS),
    "schedule_free",
)


def test_the_texts_cover_every_optimiser_of_this_distribution() -> None:
    here = {one.name for one in available("optimizers") if one.distribution == "intelvae-optimizers"}
    assert here == {text.partition(":")[0] for text in TEXTS}


def data() -> torch.Tensor:
    return torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


def trained(folder: Path, optimizer: str, steps: int, **more: Any) -> Any:
    settings = {"encoder": "mlp:hidden=[8]", "latent": 2, "save_every": 7, "learning_rate": 1e-3, **more}
    return fit(data=data(), optimizer=optimizer, steps=steps, run_dir=folder, **settings)


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("text", TEXTS)
def test_it_trains_and_goes_on_bit_for_bit(text: str, tmp_path: Path) -> None:
    class Hook:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 9:
                trainer.stop(StopReason("signal TEST", "signal"))

    whole = trained(tmp_path / "whole", text, 21)
    parts = fit(
        data=data(),
        optimizer=text,
        steps=21,
        encoder="mlp:hidden=[8]",
        latent=2,
        save_every=7,
        hooks=[Hook()],
        run_dir=tmp_path / "parts",
    )
    assert parts.status == "interrupted"
    resumed = resume(tmp_path / "parts", data=data())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert whole.spec.optimizer == parse_spec("optimizers", text)


def test_adamw_takes_torchs_step() -> None:
    spec: Any = parse_spec("optimizers", "adamw:weight_decay=0.1,beta1=0.8,beta2=0.9,eps=1e-5")
    mine, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    ours = spec.build([mine], 0.01)
    plain = torch.optim.AdamW([theirs], lr=0.01, betas=(0.8, 0.9), eps=1e-5, weight_decay=0.1, fused=True)
    for step in range(5):
        for weight, optimizer in ((mine, ours), (theirs, plain)):
            weight.grad = (weight.detach() - step).sin()
            optimizer.step()
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adam_w", "did you mean 'adamw'"),
        ("adamw:weight_decay=-1", "weight_decay=-1"),
        ("adamw:beta1=1", "beta1=1"),
        ("sgd:momentum=0,nesterov=true", "needs a momentum"),
        ("torch:of=LBFGS", "of=LBFGS"),
        ("torch", "of"),
        ('torch:of=NAdam,settings={"lr":1}', "leave lr out of settings"),
    ],
)
def test_nonsense_is_one_line(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        fit(optimizer=text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_the_class_does_not_take_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"torch.optim.NAdam does not take these settings: .*'wight_decay'"):
        trained(tmp_path / "run", 'torch:of=NAdam,settings={"wight_decay":0.1}', 3)
    assert not (tmp_path / "run").exists()


def test_replicates_are_trained_in_turn_and_say_why(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"encoder": "mlp:hidden=[8]", "latent": 2, "steps": 5, "optimizer": "sgd"}
    group = fit_replicates(2, data=data(), run_dir=tmp_path / "group", **settings)
    alone = trained(tmp_path / "alone", "sgd", 5, seed=1, save_every=5)
    assert all(
        torch.equal(value, alone.model.state_dict()[name]) for name, value in group.runs[1].model.state_dict().items()
    )
