"""Is each cell done once, and does everything that goes wrong become a row with its reason?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from intel_study import Results, Study, run_study
from intel_study import working as doing
from intel_study.gathering import reusable
from intel_study.jobs import digest_of
from intel_study.planning import Planner

from intel_core import SpecError, fit


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the runs that were begun."""
    begun: list[int] = []

    def counted(spec: Any, **others: Any) -> Any:
        begun.append(spec.seed)
        return fit(spec, **others)

    monkeypatch.setattr(doing, "fit", counted)
    return begun


def numbers(results: Results) -> dict[tuple[str, int], Any]:
    return {
        (cell.arm, cell.seed): (cell.training, {name: one.numbers for name, one in cell.metrics.items()})
        for cell in results.cells
    }


def test_what_was_done_is_found_again(study_with: Callable[..., Study], tmp_path: Path, trained: list[int]) -> None:
    first = run_study(study_with(seeds=[3]), tmp_path / "out")
    assert trained == [3, 3]
    more = run_study(study_with(seeds=[4, 3]), tmp_path / "out")
    assert trained == [3, 3, 4, 4]
    assert {key: value for key, value in numbers(more).items() if key[1] == 3} == numbers(first)
    run_study(study_with(seeds=[3], title="another", level=0.01), tmp_path / "out")
    assert len(trained) == 4
    changed = study_with(seeds=[3], arms={"plain": {"settings": {"mapping": "identity", "learning_rate": 0.01}}})
    run_study(changed, tmp_path / "out")
    assert len(trained) == 5


def test_a_metric_that_is_added_needs_no_training(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    run_study(study_with(seeds=1), tmp_path / "out")
    results = run_study(study_with(seeds=1, metrics={"m": "manifold:n=200,places=100", "u": "units"}), tmp_path / "out")
    assert len(trained) == 2
    assert all(set(cell.metrics) == {"m", "u"} for cell in results.cells)
    assert results.cells[0].number("u.kl") is not None
    assert results.cells[0].number("m.coverage") is not None


def test_cells_of_other_numbers_are_taken_as_done(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    first = run_study(study_with(seeds=[3]), tmp_path / "there")
    first.write(tmp_path / "study.json")
    there = Results.read(tmp_path / "study.json")
    more = run_study(study_with(seeds=[3, 4], title="another"), tmp_path / "here", reuse=[there])
    assert trained == [3, 3, 4, 4]
    assert {key: value for key, value in numbers(more).items() if key[1] == 3} == numbers(first)
    assert [cell.created for cell in more.cells if cell.seed == 3] == [cell.created for cell in first.cells]


def test_cells_of_a_version_that_knew_fewer_settings_are_taken_as_well(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    there = run_study(study_with(seeds=[3]), tmp_path / "there")
    jobs = {job.arm: job for job in Planner(there.study, tmp_path / "other").jobs([3])}
    former = {arm: {key: value for key, value in job.spec.items() if key != "conditions"} for arm, job in jobs.items()}
    digests = {arm: digest_of(spec, (jobs[arm].data, jobs[arm].others), [3]) for arm, spec in former.items()}
    cells = tuple(cell.model_copy(update={"digest": digests[cell.arm]}) for cell in there.cells)
    earlier = there.model_copy(update={"cells": cells, "specs": {"": former}})
    again = run_study(study_with(seeds=[3]), tmp_path / "here", reuse=[earlier])
    assert trained == [3, 3]
    assert numbers(again) == numbers(there)
    assert [cell.digest for cell in again.cells] == [cell.digest for cell in there.cells]
    other = {arm: {**spec, "steps": 41} for arm, spec in former.items()}
    assert not reusable(jobs.values(), earlier.model_copy(update={"specs": {"": other}}))


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": ["manifold:n=200,places=100", "units"]},
        {"metrics": ["manifold:n=300,places=100"]},
        {"base": {"data": "circle:n=301", "latent": 2, "steps": 40, "network": "mlp:hidden=[4]", "batch_size": 20}},
        {"base": {"data": "circle:n=300", "latent": 2, "steps": 41, "network": "mlp:hidden=[4]", "batch_size": 20}},
    ],
)
def test_cells_of_other_settings_data_or_metrics_are_not(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int], changed: dict[str, Any]
) -> None:
    there = run_study(study_with(seeds=[3]), tmp_path / "there")
    run_study(study_with(seeds=[3], **changed), tmp_path / "here", reuse=[there])
    assert trained == [3, 3, 3, 3]


def test_cells_that_failed_elsewhere_are_tried_here(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    there = run_study(study_with(seeds=[3]), tmp_path / "there")
    failed = [cell.model_copy(update={"status": "failed"}) for cell in there.cells]
    again = run_study(
        study_with(seeds=[3]), tmp_path / "here", reuse=[there.model_copy(update={"cells": tuple(failed)})]
    )
    assert trained == [3, 3, 3, 3]
    assert numbers(again) == numbers(there)


def test_an_arm_may_see_the_labels(study_with: Callable[..., Study], tmp_path: Path) -> None:
    base = {"data": "digits", "latent": 2, "steps": 40, "network": "mlp:hidden=[4]"}
    arms = {"plain": {"settings": {}}, "given": {"settings": {"conditions": "labels"}}}
    results = run_study(study_with(base=base, arms=arms, seeds=1, metrics=["units"]), tmp_path / "out")
    given, plain = (cell for cell in sorted(results.cells, key=lambda cell: cell.arm))
    assert not given.problem
    assert given.number("elbo") != plain.number("elbo")
    assert given.number("units.kl") is not None


def test_numbers_do_not_depend_on_which_seeds_of_a_stack_were_asked_for(
    study_with: Callable[..., Study], tmp_path: Path
) -> None:
    arms = {"ring": {"settings": {"mapping": "circle"}}}
    whole = run_study(study_with(arms=arms, reference=None, seeds=[2, 3], stack=2), tmp_path / "whole")
    part = run_study(study_with(arms=arms, reference=None, seeds=[3], stack=2), tmp_path / "part")
    assert numbers(part)["ring", 3] == numbers(whole)["ring", 3]
    assert [cell.seed for cell in part.cells] == [3]
    assert part.cells[0].stack == (2, 3)


def test_runs_need_not_be_kept(study_with: Callable[..., Study], tmp_path: Path, trained: list[int]) -> None:
    from intel_study.costs import Costs
    from intel_study.crews import Here
    from intel_study.planning import Planner
    from intel_study.running import run_jobs

    study, out = study_with(seeds=1), tmp_path / "out"
    jobs = Planner(study, out).jobs(study.seeds, keep_runs=False)
    run_jobs(jobs, Here(), out, costs=Costs(jobs))
    assert list((out / "runs").iterdir()) == []
    assert all(cell.status == "measured" for cell in run_study(study, out).cells)
    assert len(trained) == 2


def test_a_run_that_cannot_be_read_any_more_is_trained_again(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    out = tmp_path / "out"
    before = run_study(study_with(seeds=1), out)
    shutil.rmtree(out / "cells")
    for path in out.glob("runs/*/model.safetensors"):
        path.write_bytes(b"damaged")
    assert numbers(run_study(study_with(seeds=1), out)) == numbers(before)
    assert len(trained) == 4


def test_an_arm_that_diverges_is_a_row_with_its_reason(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    arms = {
        "plain": {"settings": {"mapping": "identity"}},
        "wild": {"settings": {"learning_rate": 100, "schedules": {"lr": "linear:start=1,end=1e30,steps=10"}}},
    }
    results = run_study(study_with(arms=arms, seeds=1), tmp_path / "out")
    plain, wild = results.cells
    assert (plain.status, wild.status) == ("measured", "diverged")
    assert "not finite" in wild.reason
    run_study(study_with(arms=arms, seeds=1), tmp_path / "out")
    assert len(trained) == 2  # it would diverge again


def test_a_metric_that_does_not_apply_or_fails_loses_no_other_number(
    study_with: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intel_metrics.specs.latent import UnitsSpec

    def broken(self: UnitsSpec, subject: object) -> None:
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(UnitsSpec, "measure", broken)
    study = study_with(seeds=1, metrics=["clusters", "units", "manifold:n=200,places=100"])
    cell = run_study(study, tmp_path / "out").cells[0]
    assert cell.metrics["clusters"].status == "not applicable"
    assert cell.metrics["units"].status == "failed"
    assert "ZeroDivisionError: of no use" in cell.metrics["units"].reason
    assert cell.number("manifold.coverage") is not None
    monkeypatch.undo()
    assert run_study(study, tmp_path / "out").cells[0].metrics["units"].status == "measured"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"arms": {"a": {"settings": {"laten": 2}}}}, "arm a: a run has no setting 'laten'; did you mean 'latent'?"),
        ({"arms": {"a": {"settings": {"mapping": "circel"}}}}, "arm a: no mapping is called 'circel'; did you mean"),
        ({"arms": {"a": {"settings": {"mapping": "circle", "latent": 1}}}}, "arm a: "),
        ({"arms": {"a": {"settings": {"likelihood": "bernoulli"}}}}, "arm a: likelihood bernoulli explains values in"),
        ({"arms": {"a": {"settings": {"devices": 2}}}}, "arm a: a study trains each run in one process"),
        ({"arms": {"a": {"settings": {"schedules": {"nope": "constant"}}}}}, "arm a: "),
        ({"problems": {"p": {"data": "circel"}}}, "arm plain, problem p: "),
        ({"metrics": ["manifol"]}, "metrics: no metric is called 'manifol'; did you mean 'manifold'?"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_trained(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int], said: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SpecError) as error:
        run_study(study_with(reference=None, **said), tmp_path / "out")
    assert str(error.value).startswith(expected)
    assert trained == []
    assert not (tmp_path / "out").exists()


def test_a_file_beside_the_study_is_its_data(
    study_with: Callable[..., Study], tmp_path: Path, trained: list[int]
) -> None:
    from intel_study.planning import Planner

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.csv").write_text("a,b\n" + "".join(f"{i % 7},{i % 11}\n" for i in range(200)))
    study = study_with(base={"data": "mine.csv", "steps": 5, "latent": 2, "network": "mlp:hidden=[4]"}, metrics=[])
    (job, *_) = Planner(study, tmp_path / "out", folder).jobs([0])
    assert job.settings["data"].startswith("table:path=")
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (again, *_) = Planner(study, tmp_path / "out", moved).jobs([0])
    assert again.digest == job.digest


def test_everything_is_computed_on_one_thread(study_with: Callable[..., Study], tmp_path: Path) -> None:
    import torch

    from intel_core.compute.threads import on_threads

    with on_threads(2):
        (cell, *_) = run_study(study_with(seeds=1), tmp_path / "out").cells
        assert torch.get_num_threads() == 2
    assert cell.machine["threads"] == 1


def test_arms_that_are_the_same_are_told(study_with: Callable[..., Study], tmp_path: Path) -> None:
    from intel_study.planning import Planner

    study = study_with(arms={"plain": {}, "twin": {"settings": {"mapping": "identity", "likelihood": "gaussian"}}})
    with pytest.warns(UserWarning, match="arms 'plain' and 'twin' are the same settings"):
        Planner(study, tmp_path).jobs(study.seeds)
