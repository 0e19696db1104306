"""Has the ELBO of dense networks, differentiated by hand, the terms and the gradient that autograd gives?"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from intel_core import Dataset, fit, hookimpl, make_dataset
from intel_core.components.discovery import available
from intel_core.fitting.elbo_gradient import DenseELBO
from intel_core.fitting.setting_up import make_trainer
from intel_core.model.objectives import ELBO
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.trainer import Trainer

TABLE: dict[Any, int] = runpy.run_path(str(Path(__file__).with_name("test_every_mapping.py")))["TABLE"]
Values = Literal["real", "unit", "counts", "one-hot"]
LIKELIHOODS: dict[str, Values] = {
    "gaussian": "real",
    "gaussian:variance=fixed,scale=0.3": "real",
    "gaussian:variance=shared": "real",
    "gaussian:floor=0.1": "real",
    "laplace": "real",
    "bernoulli": "unit",
    "continuous_bernoulli": "unit",
    "poisson": "counts",
    "poisson:mean=library": "counts",
    "negative_binomial": "counts",
    "negative_binomial:mean=library,dispersion=shared": "counts",
    "categorical": "one-hot",
    "student_t": "real",
    "student_t:spread=shared,learn_df=true": "real",
}
RIVALS: dict[str, dict[str, Any]] = {
    "mog": {"prior": "mog:k=3,preset=learned"},
    "sylvester": {"posterior": "sylvester:flows=2,rank=2"},
    "spike_slab": {"prior": "spike_slab", "posterior": "spike_slab"},
    "both": {"prior": "mog:k=3", "posterior": "full"},
}


def data(values: Values = "real") -> Dataset:
    x = torch.rand(64, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    if values == "one-hot":
        x = x.reshape(64, 3, 2, 2)
        return make_dataset("noise", (x == x.amax(1, keepdim=True)).float())
    if values == "counts":
        return make_dataset("noise", (4 * x).floor())
    return make_dataset("noise", x if values == "unit" else 4 * x - 2, support=values)


def trainer_of(dataset: Dataset, dtype: torch.dtype = torch.float64, **settings: Any) -> Trainer:
    """At its first step."""
    spec = make_run_spec(
        **{
            "data": "memory:examples=1,shape=[1]", "latent": 3, "encoder": "mlp:hidden=[8,7]", "likelihood": "gaussian",
            "batch_size": 16, "steps": 5, "start": "none", **settings,
        }
    )  # fmt: skip
    trainer = make_trainer(resolve(spec, dataset), dataset, hook_manager())
    trainer.model.to(dtype).train()
    return trainer


def found(trainer: Trainer, weights: dict[str, float], *, by_hand: bool) -> dict[str, Tensor]:
    """Terms of a batch, and the gradient of every parameter."""
    model, objective = trainer.model, trainer.objective
    assert isinstance(objective, DenseELBO)
    for parameter in model.parameters():
        parameter.grad = None
    x, noise = (value.to(next(model.parameters()).dtype) for value in trainer.draw())
    if by_hand:
        terms = objective.differentiate(model, x, noise, weights)
    else:
        terms = ELBO(objective.beta)(model, x, noise, weights)
        torch.autograd.backward(terms.loss)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {**terms.numbers(), **gradients}


def require_same(trainer: Trainer, weights: dict[str, float] | None = None, *, bits: bool = False) -> None:
    state = trainer.noise.get_state()
    ours = found(trainer, weights or {}, by_hand=True)
    trainer.noise.set_state(state)
    expected = found(trainer, weights or {}, by_hand=False)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        if bits:
            assert torch.equal(ours[name], value), name
        else:
            torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("row", TABLE, ids=str)
@pytest.mark.parametrize("weights", [{}, {"kl": 0.3, "sparsity": 0.5}], ids=["whole", "weighted"])
def test_of_every_mapping(row: Any, weights: dict[str, float]) -> None:
    mapping = [row] if isinstance(row, str) else list(row)
    require_same(trainer_of(data(), mapping=mapping, latent=TABLE[row]), weights)


@pytest.mark.parametrize("text", LIKELIHOODS)
def test_of_every_likelihood(text: str) -> None:
    require_same(
        trainer_of(data(LIKELIHOODS[text]), mapping="cluster:k=3", likelihood=text, objective="elbo:beta=2"),
        {"kl": 0.7},
    )


@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("text", LIKELIHOODS)
def test_of_the_vanilla_vae_bit_for_bit(text: str, weight: float) -> None:
    for objective in ("elbo", "elbo:beta=0.7"):
        trainer = trainer_of(
            data(LIKELIHOODS[text]), torch.float32, mapping="identity", likelihood=text, objective=objective
        )
        require_same(trainer, {"kl": weight}, bits=True)


def test_every_installed_likelihood_is_in_the_table() -> None:
    named = {text.partition(":")[0] for text in LIKELIHOODS}
    assert {component.name for component in available("likelihoods")} == named | {
        "given",
        "mixed",
    }  # objects; tables only


@pytest.mark.parametrize("name", RIVALS)
def test_of_other_priors_and_posteriors(name: str) -> None:
    require_same(trainer_of(data(), mapping="sparse", **RIVALS[name]), {"kl": 0.3})


@pytest.mark.parametrize("kl", ["y", "z"])
def test_of_both_kl_terms(kl: str) -> None:
    require_same(trainer_of(data(), mapping="circle", kl=kl), {"kl": 0.3})


@pytest.mark.parametrize(
    "settings",
    [
        {"prior": "vamp:components=5"},
        {"objective": "iwae:particles=2"},
        {"encoder": "conv:channels=[4]"},
        {"decoder": "mlp:hidden=[8],activation=elu"},
    ],
    ids=str,
)
def test_what_else_a_run_can_have_is_left_to_autograd(settings: dict[str, Any]) -> None:
    assert not isinstance(trainer_of(data(), mapping="identity", **settings).objective, DenseELBO)


def test_who_watches_a_layer_is_called() -> None:
    trainer = trainer_of(data(), mapping="identity")
    seen: list[tuple[int, ...]] = []
    next(trainer.model.decoder.children()).register_forward_hook(
        lambda module, given, out: seen.append(tuple(out.shape))
    )
    trainer.take_step(*(value.double() for value in trainer.draw()))
    assert seen == [(16, 7)]


@pytest.mark.parametrize("part", ["encoder", "decoder", "prior", "family", "map", "calls"])
def test_parts_that_were_exchanged_after_the_start_are_used(part: str) -> None:
    trainer, other = (trainer_of(data(), mapping="identity", seed=seed) for seed in (0, 1))
    model = trainer.model
    if part == "map":
        model.map = lambda y: (3 * y, {})  # type: ignore[method-assign]
    elif part == "calls":
        model.calls = {"decoder": lambda z: 2 * other.model.decoder(z)}
    else:
        own = trainer_of(data(), mapping="identity", prior="mog:k=2", posterior="full", seed=1).model
        setattr(model, part, getattr(other.model if part in ("encoder", "decoder") else own, part))
    if part == "family":
        model.encoder = own.encoder
    require_same(trainer)


class _ByAutograd:
    """A hook that takes away what is faster."""

    @hookimpl
    def run_start(self, trainer: Trainer) -> None:
        trainer.objective = ELBO(trainer.objective.beta)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mapping", ["identity", "circle"])
def test_a_whole_run_ends_where_that_by_autograd_does(mapping: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "data": data(),
        "mapping": mapping,
        "latent": 2,
        "steps": 60,
        "encoder": "mlp:hidden=[16]",
        "seed": 3,
    }
    ours = fit(**settings, run_dir=tmp_path / "ours")
    expected = fit(**settings, run_dir=tmp_path / "expected", hooks=[_ByAutograd()])
    for name in ("elbo", "kl", "log_likelihood"):
        assert ours.metrics["test"][name] == pytest.approx(expected.metrics["test"][name], rel=1e-4)
