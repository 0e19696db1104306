"""Where a mapping forgets something, the bound is that in z, however it is trained, and old runs mean what they did."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import SpecError, StopReason, fit, fit_replicates, hookimpl, load_run, resume
from intel_core.training.trainer import Trainer

N = 200
ANGLE = 2 * math.pi * torch.rand(N, generator=torch.Generator().manual_seed(0))
X = torch.stack([ANGLE.cos(), ANGLE.sin(), 0.1 * ANGLE.cos()], dim=-1)
BASE: dict[str, Any] = {
    "data": X, "mapping": "circle", "latent": 3, "steps": 60, "batch_size": 20, "encoder": "mlp:hidden=[8]",
    "device": "cpu", "seed": 1, "log_every": 10, "evaluate_every": 30,
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "elbo": {},
    "iwae": {"objective": "iwae:particles=3"},
    "beta": {"objective": "elbo:beta=0.5"},
    "torus": {"mapping": "torus", "latent": 5},
    "sphere": {"mapping": "sphere"},
    "holes": {"mapping": "holes:h=2"},
    "bfloat16": {"precision": "bfloat16"},
}
each_way = pytest.mark.parametrize("way", WAYS)


class StopAt:
    """Ends a training early, as a signal does."""

    @hookimpl
    def step_end(self, trainer: Trainer) -> None:
        if trainer.step == 33:
            trainer.stop(StopReason("signal TEST", "signal"))


def weights(run: Any) -> dict[str, torch.Tensor]:
    return dict(run.model.state_dict())


# --- which bound -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "z"),
        ({"mapping": "torus", "latent": 4}, "z"),
        ({"mapping": "holes:h=3"}, "z"),
        ({"mapping": ["circle:dims=0-1", "cluster:k=2,dims=[2]"], "start": "none"}, "z"),
        ({"mapping": "identity"}, "y"),
        ({"mapping": "cluster:k=3", "start": "none"}, "y"),
        ({"mapping": "circle:eps=0.1"}, "y"),
        ({"prior": "mog:k=2"}, "y"),
        ({"posterior": "full"}, "y"),
        ({"kl": "y"}, "y"),
    ],
)
def test_the_bound_is_that_in_z_where_it_is_known(settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    run = fit(**BASE | settings | {"steps": 4}, run_dir=tmp_path / "run")
    assert run.spec.kl == expected
    assert json.loads((tmp_path / "run" / "run.json").read_text())["spec"]["kl"] == expected
    assert ("kl_y" in run.metrics["test"]) == (expected == "z")


@pytest.mark.promptly(every=2)
@each_way
def test_both_numbers_are_told_and_theorem_1_holds(way: str, tmp_path: Path) -> None:
    run = fit(**BASE | WAYS[way], run_dir=tmp_path / "run")
    for part in ("validation", "test"):
        told = run.metrics[part]
        assert told["elbo"] == pytest.approx(told["log_likelihood"] - told["kl"], abs=1e-4)
        assert told["kl_y"] == pytest.approx(sum(told["kl_per_dim"]), abs=1e-4)
    q = run.model.encode(X)
    noise = torch.randn(500, *q.mean.shape, generator=torch.Generator().manual_seed(0))
    image = run.model.prior.image  # type: ignore[union-attr]
    with torch.no_grad():
        assert 0 < float(image.kl(q, q.rsample(noise)).mean()) < float(q.kl().sum(-1).mean())


def test_kl_in_y_is_the_papers_and_what_was_there_before(tmp_path: Path) -> None:
    """The closed form, and posteriors as the encoder gives them."""
    run = fit(**BASE, kl="y", run_dir=tmp_path / "run")
    with torch.no_grad():
        features = run.model.encoder(X)
        posterior = run.model.encode(X)
    assert torch.equal(posterior.mean, features[:, :3])
    evaluated = run.metrics["test"]
    assert evaluated["kl"] == pytest.approx(sum(evaluated["kl_per_dim"]), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mapping": "identity"}, "for a bijection KL in z is that in y"),
        ({"mapping": "cluster:k=3", "start": "none"}, "for a bijection KL in z is that in y"),
        ({"prior": "mog:k=2"}, "kl=z is for prior standard and posterior gaussian"),
        ({"posterior": "full"}, "kl=z is for prior standard and posterior gaussian"),
    ],
)
def test_where_it_is_not_known_it_cannot_be_asked_for(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        fit(**BASE | settings, kl="z", run_dir=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_of_before_says_nothing_of_it_and_has_it_in_y(tmp_path: Path) -> None:
    run = fit(**BASE, kl="y", run_dir=tmp_path / "run")
    stored = tmp_path / "run" / "run.json"
    info = json.loads(stored.read_text())
    del info["spec"]["kl"]
    info["asked"].pop("kl", None) if isinstance(info.get("asked"), dict) else None
    stored.write_text(json.dumps(info))
    old = load_run(tmp_path / "run")
    assert old.spec.kl == "y"
    assert torch.equal(old.encode(X, standardised=True).mean, run.encode(X, standardised=True).mean)


# --- posteriors --------------------------------------------------------------------------------------------------


@each_way
def test_encodings_lie_where_the_prior_is(way: str, tmp_path: Path) -> None:
    run = fit(**BASE | WAYS[way], learning_rate=0.03, run_dir=tmp_path / "run")
    q = run.model.encode(X)
    blocks = {"torus": [(0, 1), (2, 3)], "sphere": [(0, 1, 2)]}.get(way, [(0, 1)])
    for block in blocks:
        length = (q.mean.square() + q.std.square())[:, list(block)].sum(-1)
        torch.testing.assert_close(length, torch.full((N,), float(len(block))), rtol=1e-3, atol=1e-3)


# --- ways of training --------------------------------------------------------------------------------------------


@pytest.mark.promptly("holes", "bfloat16", "iwae", "torus")
@each_way
def test_a_run_goes_on_as_if_it_had_not_been_interrupted(way: str, tmp_path: Path) -> None:
    whole = fit(**BASE | WAYS[way], run_dir=tmp_path / "whole")
    fit(**BASE | WAYS[way], run_dir=tmp_path / "run", hooks=[StopAt()])
    again = resume(tmp_path / "run", data=X)
    assert again.status == "finished"
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(again).items())
    assert again.metrics["test"] == whole.metrics["test"]


@pytest.mark.promptly("holes", "elbo")
@pytest.mark.parametrize("way", ["elbo", "iwae", "torus", "holes"])
def test_replicates_in_a_stack_are_the_runs_one_by_one(way: str, tmp_path: Path) -> None:
    settings = {name: value for name, value in (BASE | WAYS[way]).items() if name != "seed"}
    group = fit_replicates(2, **settings, seed=1, run_dir=tmp_path / "group")
    assert group.summary["stacked"]
    for seed, run in zip((1, 2), group.runs, strict=True):
        alone = fit(**settings, seed=seed, run_dir=tmp_path / f"alone-{seed}")
        for name in ("elbo", "kl", "kl_y"):
            assert run.metrics["test"][name] == pytest.approx(alone.metrics["test"][name], abs=2e-3)


def test_restarts_are_judged_by_the_same_bound(tmp_path: Path) -> None:
    run = fit(**BASE, restarts=2, run_dir=tmp_path / "run")
    assert run.spec.kl == "z"
    assert run.metrics["test"]["kl_y"] > 0
