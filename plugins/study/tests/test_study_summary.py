"""Are the marks of a table those of Welch's tests after Holm's adjustment, over the whole table?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from intel_study import Results, Study
from intel_study.results import Cell, MeasuredBy
from intel_study.summary import notes, tables
from scipy import stats

from intel_core import Number

VALUES = {
    "plain": {"elbo": (0.0, 1.0), "kl": (5.0, 1.0)},
    "ring": {"elbo": (3.0, 1.0), "kl": (5.2, 1.0)},
    "third": {"elbo": (-2.5, 0.5), "kl": (9.0, 0.3)},
}


def results_of(study: Study, seeds: int) -> Results:
    draws = np.random.default_rng(3)
    cells = []
    for arm, numbers in VALUES.items():
        for seed in range(seeds):
            test = {name: float(draws.normal(mean, std)) for name, (mean, std) in numbers.items()}
            cells.append(
                Cell(problem="", arm=arm, seed=seed, digest="d", data="x", status="measured", training={"test": test})
            )
    return Results(name="made up", study=study, seeds=tuple(range(seeds)), cells=tuple(cells))


@pytest.fixture
def results(study_with: Callable[..., Study]) -> Results:
    return results_of(study_with(arms={arm: {} for arm in VALUES}, numbers={"elbo": None, "kl": None}), 6)


def test_p_values_are_scipys_adjusted_over_the_table(results: Results) -> None:
    (table,) = tables(results)
    rows = {row.arm: row for row in table.rows}

    def sample(arm: str, name: str) -> list[float]:
        return list(rows[arm].entries[name].values.values())  # type: ignore[union-attr]

    pairs = [(arm, name) for arm in ("ring", "third") for name in ("elbo", "kl")]
    raw = [stats.ttest_ind(sample(arm, n), sample("plain", n), equal_var=False).pvalue for arm, n in pairs]
    order = np.argsort(raw)
    adjusted = np.empty(4)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(raw) * [4, 3, 2, 1]))
    found = [rows[arm].entries[name].p for arm, name in pairs]  # type: ignore[union-attr]
    assert found == pytest.approx(adjusted)
    assert table.tests == 4
    marks = {pair: rows[pair[0]].entries[pair[1]].mark for pair in pairs}  # type: ignore[union-attr]
    assert marks == {
        ("ring", "elbo"): "better",
        ("ring", "kl"): "",
        ("third", "elbo"): "worse",
        ("third", "kl"): "differs",
    }


def test_means_and_deviations_are_those_of_the_seeds(results: Results) -> None:
    (table,) = tables(results)
    entry = table.rows[1].entries["elbo"]
    assert entry is not None
    drawn = list(entry.values.values())
    assert entry.mean == pytest.approx(np.mean(drawn))
    assert entry.std == pytest.approx(np.std(drawn, ddof=1))


def test_one_seed_has_no_deviation_and_no_test(study_with: Callable[..., Study]) -> None:
    results = results_of(study_with(arms={arm: {} for arm in VALUES}, numbers={"elbo": None}), 1)
    (table,) = tables(results)
    assert table.tests == 0
    assert all(entry is not None and entry.std is None for row in table.rows for entry in row.entries.values())
    assert "One seed: 0." in notes(results)


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        (["AVX2"] * 18, []),
        (
            ["AVX2"] * 6 + ["AVX512"] * 12,
            [
                "Machines of 2 kinds: 6 cells on Linux x86_64 AVX2, 12 cells on Linux x86_64 AVX512; "
                "numbers are repeated to the last digit on one kind only."
            ],
        ),
    ],
)
def test_machines_of_several_kinds_are_told(results: Results, capabilities: list[str], said: list[str]) -> None:
    machines = [{"system": "Linux", "processor": "x86_64", "capability": kind, "threads": 1} for kind in capabilities]
    cells = [
        cell.model_copy(update={"machine": machine}) for cell, machine in zip(results.cells, machines, strict=True)
    ]
    found = notes(results.model_copy(update={"cells": tuple(cells)}))
    assert [note for note in found if "Machines" in note] == said


def test_cells_without_numbers_are_told(study_with: Callable[..., Study]) -> None:
    results = results_of(study_with(arms={arm: {} for arm in VALUES}, numbers={"elbo": None, "kl_y": None}), 2)
    lost = Cell(problem="", arm="plain", seed=9, digest="d", data="x", status="diverged", reason="loss is not finite")
    said = notes(results.model_copy(update={"cells": (*results.cells, lost)}))
    assert "plain, seed 9: diverged: loss is not finite" in said
    assert any("No run has a number 'kl_y'" in note for note in said)


def test_a_metric_that_applies_to_no_run_so_far_is_told_once(study_with: Callable[..., Study]) -> None:
    of_none = MeasuredBy(metric="certainty", version="1", status="not applicable", reason="there are no labels")
    study = study_with(metrics=["certainty"], numbers={"elbo": None, "certainty.uncertain": None, "kl_y": None})
    results = results_of(study, 2)
    cells = [cell.model_copy(update={"metrics": {"certainty": of_none}}) for cell in results.cells]
    said = " ".join(notes(results.model_copy(update={"cells": tuple(cells)})))
    assert "certainty is not applicable for" in said
    assert "there are no labels" in said
    assert "No run has a number 'certainty.uncertain'" not in said
    assert "No run has a number 'kl_y'" in said


def test_single_clusters_are_neither_columns_by_themselves_nor_tested(study_with: Callable[..., Study]) -> None:
    cells = []
    for place, arm in enumerate(("plain", "ring")):
        for seed in range(3):
            numbers = {
                name: Number(value=place + seed / 100)
                for name in ("data in cluster 0", "data in cluster 1", "nmi", "at 10")
            }
            measured = MeasuredBy(metric="clusters", version="1", status="measured", numbers=numbers)
            cell = Cell(problem="", arm=arm, seed=seed, digest="d", data="x", status="measured")
            cells.append(cell.model_copy(update={"metrics": {"clusters": measured}}))
    study = study_with(metrics=["clusters"])
    results = Results(name="n", study=study, seeds=(0, 1, 2), cells=tuple(cells))
    assert results.columns() == ["elbo", "clusters.nmi", "clusters.at 10"]
    asked = study_with(metrics=["clusters"], numbers={"clusters.data in cluster 0": None, "clusters.nmi": None})
    results = results.model_copy(update={"study": asked})
    (table,) = tables(results)
    assert table.tests == 1
    assert any("numbered anew by every seed" in note for note in notes(results))
