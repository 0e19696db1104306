"""Evaluations take a tenth of a training at most, unless a user says how often there is to be one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import fit, fit_replicates, make_dataset
from intel_core.data.dataset import Dataset
from intel_core.fitting import keeping
from intel_core.recipe.resolving import affordable_evaluations, resolve, usual_evaluations
from intel_core.recipe.runspec import RunSpec, make_run_spec
from intel_core.training import trainer
from intel_core.training.scoring import evaluate


def dataset(validation: int, train: int = 1000) -> Dataset:
    made = make_dataset("noise", torch.randn(train + validation + 10, 2, generator=torch.Generator().manual_seed(0)))
    part = type(made.train)
    x = torch.cat([made.train.x, made.validation.x, made.test.x])
    return Dataset("noise", part(x[:train]), part(x[train : train + validation]), part(x[-10:]), "real")


def resolved(validation: int, **settings: object) -> RunSpec:
    return resolve(make_run_spec(**settings), dataset(validation))


@pytest.mark.parametrize("steps", [1, 7, 30, 39, 40, 399, 4000])
@pytest.mark.parametrize("batch", [1, 32, 100])
@pytest.mark.parametrize("validation", [1, 30, 200, 5000])
def test_evaluated_examples_cost_a_tenth_of_trained_ones_at_most(steps: int, batch: int, validation: int) -> None:
    every = affordable_evaluations(steps, batch, validation)
    count = -(-steps // every)
    assert 1 <= every <= max(steps, usual_evaluations(steps))
    if count > 1 and every != usual_evaluations(steps):
        assert count * validation / 3 <= 0.1 * steps * batch * (1 + 1e-9)


def test_a_run_that_affords_twenty_has_twenty() -> None:
    spec = resolved(200, steps=400)
    assert (spec.evaluate_every, spec.save_every) == (20, 100)
    assert resolved(200, steps=20_000).save_every == resolved(200, steps=20_000).evaluate_every == 1000


def test_a_short_run_on_many_validation_examples_is_evaluated_at_its_end(tmp_path: Path) -> None:
    spec = resolved(2000, steps=30)
    assert (spec.evaluate_every, spec.save_every) == (30, 8)


def test_what_is_asked_for_is_done() -> None:
    spec = resolved(2000, steps=30, evaluate_every=3)
    assert (spec.evaluate_every, spec.save_every) == (3, 3)
    assert resolved(2000, steps=30, save_every=7).save_every == 7


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many examples are evaluated while a training goes on, and how many for the final numbers."""
    rows = {"during": 0, "final": 0}

    def counting(what: str) -> Callable[..., dict[str, Any]]:
        def count(model: Any, objective: Any, split: Any, *rest: Any) -> dict[str, Any]:
            rows[what] += len(split)
            return evaluate(model, objective, split, *rest)

        return count

    monkeypatch.setattr(trainer, "evaluate", counting("during"))
    monkeypatch.setattr(keeping, "evaluate", counting("final"))
    return rows


@pytest.mark.parametrize("stack", [True, False])
def test_replicates_evaluate_a_tenth_of_what_they_train(stack: bool, counted: dict[str, int], tmp_path: Path) -> None:
    data, settings = dataset(300, 400), {"steps": 40, "batch_size": 50, "latent": 2, "encoder": "mlp:hidden=[4]"}
    group = fit_replicates(3, **settings, data=data, run_dir=tmp_path / "group", stack=stack)
    assert [run.metrics["step"] for run in group.runs] == [40] * 3
    assert 0 < counted["during"] <= 0.1 * 3 * (3 * 40 * 50)
    # Weights that leave a stack lie elsewhere in memory, and may round otherwise.
    assert counted["final"] == 3 * (10 + (300 if stack else 0))


@pytest.mark.parametrize(("validation", "judged"), [(2000, 180), (150, 150)])
def test_trials_of_starts_evaluate_a_tenth_of_what_they_train(
    validation: int, judged: int, counted: dict[str, int], tmp_path: Path
) -> None:
    data = dataset(validation)
    settings = {"steps": 30, "batch_size": 100, "latent": 2, "encoder": "mlp:hidden=[4]", "restarts": 4}
    run = fit(**settings, data=data, run_dir=tmp_path / "run")
    evaluations = sum(one["kind"] == "validation" for one in run.records())
    in_trials = counted["during"] - evaluations * validation
    assert in_trials == 4 * judged <= 0.1 * 3 * 4 * 6 * 100
    assert [(one["step"], one["examples"], one["of_examples"]) for one in run.info["trials"]] == [
        (6, judged, validation)
    ] * 4


def test_few_examples_judge_a_start_however_short_its_trial(counted: dict[str, int], tmp_path: Path) -> None:
    fit(data=dataset(2000), steps=5, batch_size=4, latent=2, restarts=2, run_dir=tmp_path / "run")
    assert counted["during"] == 2 * 100 + 2000


def test_the_weights_do_not_hang_on_how_often_it_is_evaluated(tmp_path: Path) -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    few = fit(data=x, steps=20, batch_size=4, run_dir=tmp_path / "few")
    many = fit(data=x, steps=20, batch_size=4, evaluate_every=1, run_dir=tmp_path / "many")
    count = [sum(record["kind"] == "validation" for record in run.records()) for run in (few, many)]
    assert count[0] < count[1] == 20
    for name, value in few.model.state_dict().items():
        assert torch.equal(value, many.model.state_dict()[name])
    assert few.metrics["validation"] == many.metrics["validation"]


def test_final_numbers_are_those_of_the_last_evaluation(tmp_path: Path) -> None:
    run = fit(data=torch.randn(200, 2), steps=20, run_dir=tmp_path / "run")
    last = [record for record in run.records() if record["kind"] == "validation"][-1]
    assert {key: last[key] for key in run.metrics["validation"]} == run.metrics["validation"]
