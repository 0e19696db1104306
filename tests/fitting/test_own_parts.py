"""Can encoder, decoder, mapping and likelihood be objects of the caller's own, also where the run is read again?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intel_core import IntelError, Likelihood, SpecError, StopReason, fit, fit_replicates, hookimpl, load_run, resume


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.ELU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Decoder(nn.Module):
    def __init__(self, values: int = 3) -> None:
        super().__init__()
        self.net = nn.Linear(2, values)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.net(z)
        return out


class Squash(nn.Module):
    """No ``y_dim``, no ``z_dim``, nothing declared: a module as one has it."""

    def __init__(self) -> None:
        super().__init__()
        self.height = nn.Parameter(torch.tensor(1.5))

    def forward(self, y: Tensor) -> Tensor:
        return torch.tanh(y) * self.height


class Cauchy(Likelihood):
    """Each value at the decoder's output, with a spread of one."""

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        return torch.distributions.Cauchy(params, 1.0).log_prob(x)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return params


@pytest.fixture
def x() -> Tensor:
    return torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


PARTS: dict[str, Callable[[], Any]] = {
    "encoder": Encoder,
    "decoder": Decoder,
    "mapping": Squash,
    "likelihood": Cauchy,
}


def trained(x: Tensor, folder: Path, **more: Any) -> Any:
    own = {name: make() for name, make in PARTS.items()}
    return fit(data=x, latent=2, steps=12, save_every=4, run_dir=folder, **{**own, **more})


def test_every_part_may_be_ones_own_and_be_given_again(x: Tensor, tmp_path: Path) -> None:
    run = trained(x, tmp_path / "run")
    assert [type(part).__name__ for part in (run.model.encoder, run.model.decoder)] == ["Encoder", "Decoder"]
    assert isinstance(run.model.likelihood, Cauchy)
    again = load_run(tmp_path / "run", **{name: make() for name, make in PARTS.items()})
    assert torch.equal(again.encode(x).z, run.encode(x).z)
    assert torch.equal(again.sample(5), run.sample(5))


def test_the_callers_module_is_not_trained(x: Tensor, tmp_path: Path) -> None:
    mine = Encoder()
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    run = trained(x, tmp_path / "run", encoder=mine)
    assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())
    assert not all(torch.equal(value, before[name]) for name, value in run.model.encoder.state_dict().items())


def test_a_class_follows_the_seed_and_a_module_keeps_its_weights(x: Tensor, tmp_path: Path) -> None:
    def first_weights(name: str, **more: Any) -> Tensor:
        found: list[Tensor] = []

        class Look:
            @hookimpl
            def run_start(self, trainer: Any) -> None:
                found.append(trainer.model.encoder.net[0].weight.detach().clone())

        trained(x, tmp_path / name, hooks=[Look()], **more)
        return found[0]

    made = [first_weights(f"class-{seed}-{n}", encoder=Encoder, seed=seed) for seed, n in ((0, 0), (0, 1), (1, 0))]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    mine = Encoder()
    assert torch.equal(first_weights("module", encoder=mine, seed=5), mine.net[0].weight)


def test_it_goes_on_bit_for_bit(x: Tensor, tmp_path: Path) -> None:
    class Stops:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 6:
                trainer.stop(StopReason("signal TEST", "signal"))

    torch.manual_seed(0)
    own = {name: make() for name, make in PARTS.items()}
    whole = trained(x, tmp_path / "whole", **own)
    assert trained(x, tmp_path / "parts", hooks=[Stops()], **own).status == "interrupted"
    resumed = resume(tmp_path / "parts", data=x, **own)
    theirs = resumed.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.model.state_dict().items())


def test_own_and_described_mappings_follow_each_other(x: Tensor, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"decoder": Decoder(), "mapping": ["circle", Squash()]}
    run = trained(x, tmp_path / "run", **settings)
    again = load_run(tmp_path / "run", encoder=Encoder(), decoder=Decoder(), mapping=Squash(), likelihood=Cauchy())
    assert torch.equal(again.encode(x).z, run.encode(x).z)


def test_seeds_of_ones_own_class(x: Tensor, tmp_path: Path) -> None:
    group = fit_replicates(2, data=x, latent=2, steps=4, run_dir=tmp_path / "group", encoder=Encoder)
    first, second = (run.model.encoder.state_dict()["net.0.weight"] for run in group.runs)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"encoder": nn.Linear(3, 5)},
            r"encoder given:of=Linear: gives shape \(2, 5\).*expected \(2, 4\): means, then",
        ),
        ({"encoder": nn.Linear}, r"Linear needs arguments \(in_features, out_features\)"),
        ({"decoder": Decoder(2)}, r"decoder given:of=Decoder: gives shape \(2, 2\)"),
        ({"mapping": lambda y: y}, "needs arguments"),
        ({"network": Encoder()}, "network is one text for both networks; give modules of your own as encoder="),
        ({"likelihood": object()}, "likelihood=.*expected a text"),
        ({"mapping": "given"}, "the mapping, module, was given to fit"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_nonsense_is_told_before_anything_is_written(
    settings: dict[str, Any], said: str, x: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(IntelError, match=said):
        trained(x, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_what_is_missing_or_too_much_is_told_when_a_run_is_read(x: Tensor, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained(x, folder, decoder="mlp", likelihood="laplace")
    with pytest.raises(SpecError, match=r"the mapping, Squash, was given to fit\(\) as an object.*load_run\(path"):
        _ = load_run(folder).model
    with pytest.raises(SpecError, match=r"has the decoder mlp.*leave out decoder="):
        load_run(folder, decoder=Decoder())
    with pytest.raises(SpecError, match="was trained with the encoder Encoder, not with Decoder"):
        load_run(folder, encoder=Decoder())
    with pytest.raises(SpecError, match="1 then, 2 now"):
        load_run(folder, mapping=[Squash(), Squash()])
    with pytest.raises(SpecError, match=r"resume\(\) takes no encodr; did you mean encoder|'encoder'"):
        resume(folder, encodr=Encoder())
