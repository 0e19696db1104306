"""Is the best of several starts chosen, by validation data alone, and is the run that of its seed?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import DivergenceError, RunError, SpecError, StopReason, fit, hookimpl, resume
from intel_core.fitting.restarts import choose_start
from intel_core.fitting.setting_up import make_trainer
from intel_core.helpers.contingency import Labeling
from intel_core.randomness import stream
from intel_core.reading.arrays import make_dataset
from intel_core.recipe.resolving import resolve
from intel_core.recipe.runspec import make_run_spec
from intel_core.training.hooks import hook_manager
from intel_core.training.scoring import evaluate

X = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))


def settings(**more: Any) -> dict[str, Any]:
    return {"mapping": "identity", "data": X, "latent": 2, "steps": 40, "evaluate_every": 20, **more}


class Listener:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    @hookimpl
    def tried(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def weights_of(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_the_run_is_that_of_the_best_seed(tmp_path: Path) -> None:
    listener = Listener()
    run = fit(**settings(restarts=3, seed=5), run_dir=tmp_path / "best", hooks=[listener])
    trials = listener.records
    assert [record["seed"] for record in trials] == [5, stream(5, "start/1"), stream(5, "start/2")]
    assert {record["step"] for record in trials} == {8}
    assert len({record["loss"] for record in trials}) == 3
    best = min(trials, key=lambda record: record["loss"])
    assert run.spec.seed == best["seed"]
    assert run.spec.restarts == 1
    fit(**settings(seed=best["seed"]), run_dir=tmp_path / "alone")
    assert weights_of(run.path) == weights_of(tmp_path / "alone")


def test_trials_are_on_record(tmp_path: Path) -> None:
    run = fit(**settings(restarts=2, seed=5), run_dir=tmp_path / "run")
    info = json.loads((run.path / "run.json").read_text())
    assert len(info["trials"]) == 2
    assert (info["asked"]["restarts"], info["asked"]["seed"]) == (2, 5)
    alone = fit(**settings(), run_dir=tmp_path / "alone")
    assert "trials" not in json.loads((alone.path / "run.json").read_text())


def test_a_trial_is_judged_by_what_it_was_trained_for() -> None:
    """The objective on validation data under the weights of the step at which it ends, here by hand."""
    dataset = make_dataset("data", X)
    spec = resolve(make_run_spec(**(settings(restarts=2) | {"data": "circle"})), dataset)
    weight = spec.schedules["kl"].at(7)
    assert 0 < weight < 0.5
    _, trials = choose_start(spec, dataset, lambda record: None)
    for trial in trials:
        own = spec.model_copy(update={"seed": trial["seed"]})
        trainer = make_trainer(own, dataset, hook_manager())
        trainer.advance(8)
        found = evaluate(trainer.model, trainer.objective, dataset.validation, spec.seed)
        assert trial["loss"] == pytest.approx(weight * found["kl"] - found["log_likelihood"], rel=1e-5)


def test_an_interrupted_run_goes_on_with_the_chosen_start(tmp_path: Path) -> None:
    class Stop:
        @hookimpl
        def logged(self, trainer: Any, record: dict[str, Any]) -> None:
            trainer.stop(StopReason("signal SIGTERM", "signal"))

    whole = fit(**settings(restarts=2, log_every=10), run_dir=tmp_path / "whole")
    part = fit(**settings(restarts=2, log_every=10), run_dir=tmp_path / "part", hooks=[Stop()])
    assert part.status == "interrupted"
    again = resume(tmp_path / "part", data=X)
    assert weights_of(again.path) == weights_of(whole.path)
    with pytest.raises(RunError, match="finished"):
        resume(tmp_path / "part", data=X)


def test_when_every_start_diverges_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="all 2 starts diverged"):
        fit(**settings(restarts=2, data=X * 1e30, standardize=False), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_start_that_diverges_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intel_core.fitting import restarts

    honest = restarts._trial
    diverged = (math.inf, None)
    monkeypatch.setattr(restarts, "_trial", lambda spec, *rest: diverged if spec.seed == 0 else honest(spec, *rest))
    run = fit(**settings(restarts=2), run_dir=tmp_path / "run")
    assert run.spec.seed == stream(0, "start/1")


# --- starts that find clusters -----------------------------------------------------------------------------------

CLUSTERED = {"mapping": "cluster:k=3", "standardize": False, "encoder": "mlp:hidden=[8]", "steps": 40}


def test_a_trial_goes_on_until_found_clusters_have_been_learned(tmp_path: Path) -> None:
    """After a fifth of the run there is nothing yet that tells the seeds' clusters apart."""
    listener = Listener()
    start = "kmeans:fits=1,after=0.25,hold=0.5"
    run = fit(**settings(restarts=3, **CLUSTERED, start=start), run_dir=tmp_path / "run", hooks=[listener])
    assert [record["step"] for record in listener.records] == [20, 20, 20]
    best = min(listener.records, key=lambda record: record["loss"])
    fit(**settings(seed=best["seed"], **CLUSTERED, start=start), run_dir=tmp_path / "alone")
    assert weights_of(run.path) == weights_of(tmp_path / "alone")
    fit(**settings(restarts=2, **CLUSTERED, start="none"), run_dir=tmp_path / "none", hooks=[listener])
    assert listener.records[-1]["step"] == 8


def test_a_trial_that_ends_before_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"trial=0\.2 ends before the clusters of start kmeans.* are found, at 0\.25"):
        fit(**settings(restarts=2, trial=0.2, **CLUSTERED, start="kmeans:after=0.25"), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fit(**settings(restarts=2, trial=0.3, **CLUSTERED, start="kmeans:after=0.25"), run_dir=tmp_path / "run")


def test_labels_choose_no_start(tmp_path: Path) -> None:
    """The clusters come from the data alone, and so does the choice: with other labels it is the same run."""
    labels = torch.arange(len(X)) % 3
    own = settings(restarts=2, **CLUSTERED, start="kmeans:fits=1,after=0.25")
    first = fit(**own, labels=labels, run_dir=tmp_path / "first")
    second = fit(**own, labels=labels.flip(0), run_dir=tmp_path / "second")
    assert first.info["trials"] == second.info["trials"]
    assert weights_of(first.path) == weights_of(second.path)


# --- do the starts find the same clusters? -------------------------------------------------------------------------


def test_the_clusters_of_starts_are_held_against_those_of_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    same, best, halved = (Labeling(torch.tensor(one), 2) for one in ([1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]))
    trials = iter([(3.0, same), (1.0, best), (2.0, halved), (math.inf, None)])
    monkeypatch.setattr("intel_core.fitting.restarts._trial", lambda *_: next(trials))
    dataset = make_dataset("x", X)
    spec = resolve(make_run_spec(**settings(restarts=4, data="digits"), trial=0.1), dataset)
    _, records = choose_start(spec, dataset, lambda record: None)
    assert [record.get("agreement") for record in records] == [1.0, None, 0.0, None]


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ({"mapping": "cluster:k=3", "start": "none"}, True),
        ({"prior": "mog:k=3", "start": "none"}, True),
        ({}, False),
    ],
)
def test_a_run_keeps_how_well_they_agree(words: dict[str, Any], has: bool, tmp_path: Path) -> None:
    pytest.importorskip("intel_cluster")
    pytest.importorskip("intel_priors")
    run = fit(**settings(restarts=2, **words), run_dir=tmp_path / "run")
    trials = run.info["trials"]
    agreed = [trial["agreement"] for trial in trials if "agreement" in trial]
    assert len(agreed) == has
    assert all(0 <= value <= 1 for value in agreed)
    assert all("agreement" not in trial for trial in trials if trial["seed"] == run.spec.seed)
