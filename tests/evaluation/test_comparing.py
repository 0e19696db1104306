"""Which differences between groups of runs exceed the noise of their seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from intel_core import Measured, Measurement, Number, Run, SpecError, compare, fit, group_runs, load_run, measurements
from intel_core.evaluation.comparing import Cell, SeedTest, numbers_of
from intel_core.evaluation.grouping import RunGroup
from intel_core.runs.checkpoint import weights_digest


@pytest.fixture(scope="module")
def vanilla(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(mapping="identity", data="digits", steps=2, run_dir=tmp_path_factory.mktemp("runs") / "run").path


def copies(vanilla: Path, folder: Path, values: list[float], **spec: object) -> list[Run]:
    """The run again with other seeds, settings and one measured number each."""
    runs = []
    for seed, value in enumerate(values):
        path = shutil.copytree(vanilla, folder / f"{len(list(folder.iterdir()))}")
        info = json.loads((path / "run.json").read_text())
        info["spec"] |= {"seed": seed, **spec}
        (path / "run.json").write_text(json.dumps(info))
        run = load_run(path)
        measured = Measured(
            metric="score:seed=0", name="score", distribution="d", version="1", weights=weights_digest(run.model),
            created="", seconds=0.0,
            measurement=Measurement(numbers={"score": Number(value=value, better="lower")}, protocol={}),
        )  # fmt: skip
        (path / "evaluation").mkdir()
        (path / "evaluation" / "score.json").write_text(measured.model_dump_json())
        runs.append(run)
    return runs


def test_runs_that_differ_in_the_seed_alone_are_one_group(vanilla: Path, tmp_path: Path) -> None:
    first = copies(vanilla, tmp_path, [1.0, 1.1], mapping=["identity:dims=null"])
    second = copies(vanilla, tmp_path, [2.0], batch_size=3)
    groups = group_runs([*reversed(first), *second])
    assert [len(group.runs) for group in groups] == [2, 1]
    assert [run.info["spec"]["seed"] for run in groups[0].runs] == [0, 1]
    assert groups[0].name == "batch_size=100"
    assert groups[1].name == "batch_size=3"


REFERENCE = [1.0, 1.1, 0.95]


def cells_of(vanilla: Path, tmp_path: Path, values: list[float]) -> tuple[Cell, Cell]:
    """The cells of two groups that differ in one setting."""
    groups = group_runs([*copies(vanilla, tmp_path, REFERENCE), *copies(vanilla, tmp_path, values, learning_rate=0.01)])
    (row,) = compare(groups, only=lambda key: key[1] == "score").rows
    assert (row.metric, row.number, row.better) == ("score:seed=0", "score", "lower")
    reference, other = row.cells
    assert reference is not None
    assert other is not None
    return reference, other


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([5.0, 5.3, 4.9], "worse"),
        ([0.1, 0.0, 0.02], "better"),
        ([1.05, 1.1, 0.9], "within noise"),
        ([1.2, 1.3, 0.96], "no difference shown"),
        ([5.0], "no test"),
    ],
)
def test_the_verdict_is_that_of_the_test(vanilla: Path, tmp_path: Path, values: list[float], verdict: str) -> None:
    reference, other = cells_of(vanilla, tmp_path, values)
    assert reference.mean == pytest.approx(3.05 / 3)
    assert reference.std == pytest.approx(np.std(REFERENCE, ddof=1))
    assert reference.verdict == "reference"
    assert other.verdict == verdict


def test_groups_of_the_same_seeds_and_data_are_tested_in_pairs(vanilla: Path, tmp_path: Path) -> None:
    values = [1.2, 1.34, 1.1]
    _, other = cells_of(vanilla, tmp_path, values)
    expected = stats.ttest_rel(values, REFERENCE)
    assert other.test is not None
    assert other.test.name == "paired t-test"
    assert other.test.p_alone == pytest.approx(expected.pvalue)
    assert other.test.difference == pytest.approx(np.mean(values) - np.mean(REFERENCE))
    assert other.test.error == pytest.approx(other.test.difference / expected.statistic)
    interval = expected.confidence_interval(0.95)
    assert other.test.interval == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1.2, 1.34, 1.1, 1.3], id="another seed"),
        pytest.param([1.5, 1.6, 1.45], id="differences that do not vary"),
    ],
)
def test_where_there_are_no_pairs_the_test_is_that_of_welch(vanilla: Path, tmp_path: Path, values: list[float]) -> None:
    _, other = cells_of(vanilla, tmp_path, values)
    expected = stats.ttest_ind(values, REFERENCE, equal_var=False)
    assert other.test is not None
    assert other.test.name == "Welch's t-test"
    assert other.test.p_alone == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert other.test.interval == pytest.approx((interval.low, interval.high))


def test_runs_on_other_data_are_not_pairs(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, REFERENCE), copies(vanilla, tmp_path, [1.2, 1.34, 1.1])
    moved = []
    for run in second:
        info = json.loads((run.path / "run.json").read_text())
        info["data"]["fingerprint"] = "0123456789abcdef"
        (run.path / "run.json").write_text(json.dumps(info))
        moved.append(load_run(run.path))
    (row,) = compare(group_runs([*first, *moved]), only=lambda key: key[1] == "score").rows
    assert row.cells[1] is not None
    assert row.cells[1].test is not None
    assert row.cells[1].test.name == "Welch's t-test"


@pytest.mark.parametrize(("few", "many", "told"), [(2, 8, True), (2, 7, False), (1, 9, False), (4, 16, False)])
def test_a_few_seeds_beside_many_are_told(vanilla: Path, tmp_path: Path, few: int, many: int, told: bool) -> None:
    sizes = {"few": (few, {}), "many": (many, {"learning_rate": 0.01})}
    runs = {name: copies(vanilla, tmp_path, [0.1 * i for i in range(n)], **more) for name, (n, more) in sizes.items()}
    for order in (("few", "many"), ("many", "few")):
        notes = compare(group_runs([run for name in order for run in runs[name]])).notes
        assert any("beside many" in note for note in notes) is told


def test_no_p_value_depends_on_what_else_is_shown(vanilla: Path, tmp_path: Path) -> None:
    """Neither on other numbers, other metrics nor other groups: one difference had p = 0.014, 0.043 or 0.24."""
    first, second = copies(vanilla, tmp_path, REFERENCE), copies(vanilla, tmp_path, [1.2, 1.34, 1.1], batch_size=3)
    third = copies(vanilla, tmp_path, [1.5, 1.1, 2.0], batch_size=4)
    for i, run in enumerate([*first, *second, *third]):
        numbers = {"score": {"value": i % 7}, "other": {"value": i % 5}, "third": {"value": i * i % 11}}
        restate(run, "more.json", metric="more:seed=0", name="more", measurement={"numbers": numbers, "protocol": {}})

    def of(groups: list[RunGroup], metric: str, only: str) -> SeedTest:
        rows = compare(groups, only=lambda key: only in ("", key[1])).rows
        found = next(row.cells[1] for row in rows if (row.metric, row.number) == (metric, "score"))
        assert found is not None
        assert found.test is not None
        return found.test

    two, three = group_runs([*first, *second]), group_runs([*first, *second, *third])
    for metric, tests in (("score:seed=0", 1), ("more:seed=0", 3)):
        found = {of(groups, metric, only) for groups in (two, three) for only in ("", "score")}
        assert [(test.family, test.tests) for test in found] == [(metric, tests)]


def test_p_values_of_one_question_are_adjusted_by_holm(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, REFERENCE), copies(vanilla, tmp_path, [1.2, 1.34, 1.1], batch_size=3)
    table = {
        "a": (0.1, 0.1, 0.2, 2.0, 2.2, 2.3),
        "b": (1.0, 2.0, 2.5, 2.5, 3.4, 5.0),
        "c": (0.0, 4.0, 2.0, 1.0, 2.0, 4.0),
    }
    for i, run in enumerate([*first, *second]):
        numbers = {name: {"value": values[i], "better": "lower"} for name, values in table.items()}
        restate(run, "score.json", measurement={"numbers": numbers, "protocol": {}})
    rows = compare(group_runs([*first, *second]), only=lambda key: key[0] == "score:seed=0").rows
    raw = [stats.ttest_rel(values[:3], values[3:]).pvalue for values in table.values()]
    assert raw[0] < raw[1] < raw[2]
    by_hand = [3 * raw[0], max(3 * raw[0], 2 * raw[1]), max(3 * raw[0], 2 * raw[1], raw[2])]
    cells = [row.cells[1] for row in rows]
    assert [cell.test.p for cell in cells if cell and cell.test] == pytest.approx(by_hand)
    assert [cell.verdict for cell in cells if cell] == ["worse", "not significant after correction", "within noise"]


def test_not_significant_after_correction_is_what_it_is_called(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, REFERENCE), copies(vanilla, tmp_path, [1.2, 1.34, 1.1], batch_size=3)
    table = dict.fromkeys(("a", "b"), (0.1, 0.1, 0.2, 0.5, 0.6, 0.75)) | {"c": (0.0, 1.0, 2.0, 3.0, 3.0, 3.0)}
    table |= {f"{name} {name}": (0.0, 1.0, 2.0, 0.0, 2.0, 1.0) for name in "defghijklmnopqrstuvwxyz"}
    for i, run in enumerate([*first, *second]):
        numbers = {name: {"value": values[i], "better": "lower"} for name, values in table.items()}
        restate(run, "score.json", measurement={"numbers": numbers, "protocol": {}})
    rows = compare(group_runs([*first, *second]), only=lambda key: key[1] == "a").rows
    (cell,) = [row.cells[1] for row in rows]
    assert cell is not None
    assert cell.test is not None
    assert cell.test.p_alone < 0.05 < cell.test.p
    assert cell.verdict == "not significant after correction"


def shares(run: Run, values: list[float], more: dict[str, float] | None = None, **details: object) -> None:
    """Store shares of clusters of a run, besides other numbers."""
    numbers = {f"data in cluster {i}": {"value": v, "better": "lower"} for i, v in enumerate(values)}
    numbers |= {name: {"value": value} for name, value in (more or {}).items()}
    said = {"numbers": numbers, "protocol": {}, "details": details}
    restate(run, "clusters.json", metric="clusters:seed=0", name="clusters", measurement=said)


def test_clusters_are_matched_before_they_are_averaged_and_fill_no_family(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, [1.0, 1.1]), copies(vanilla, tmp_path, [2.0, 2.2], batch_size=3)
    table = ([0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.1, 0.7], [0.1, 0.1, 0.8])
    for run, values in zip([*first, *second], table, strict=True):
        shares(run, values, {"nmi": sum(values[:2])})
    comparison = compare(group_runs([*first, *second]), only=lambda key: key[0] == "clusters")
    means = {row.number: [cell.mean for cell in row.cells if cell] for row in comparison.rows}
    assert means["data in cluster 0"] == pytest.approx([0.65, 0.75])
    assert means["data in cluster 2"] == pytest.approx([0.1, 0.1])
    tests = {row.number: cell.test for row in comparison.rows for cell in row.cells[1:] if cell}
    assert [name for name, test in tests.items() if test] == ["nmi"]
    assert tests["nmi"] is not None
    assert tests["nmi"].tests == 1
    note = "clusters: clusters have no order; matched by size (data in cluster …, largest first), not tested."
    assert note in comparison.notes


def test_clusters_are_matched_by_their_labels_where_these_are_stored(vanilla: Path, tmp_path: Path) -> None:
    runs = copies(vanilla, tmp_path, [1.0, 1.1])
    shares(runs[0], [0.5, 0.3, 0.2], contingency=[[50, 0, 0], [0, 30, 0], [0, 0, 20]], classes=[0, 1, 7])
    shares(runs[1], [0.2, 0.4, 0.4], contingency=[[0, 20, 0], [40, 0, 0], [0, 0, 40]], classes=[0, 1, 7])
    comparison = compare(group_runs(runs), only=lambda key: key[0] == "clusters")
    assert [cell.values for row in comparison.rows for cell in row.cells if cell] == [
        (0.5, 0.4),
        (0.3, 0.2),
        (0.2, 0.4),
    ]
    assert "clusters: clusters have no order; matched by the labels that lie in them, not tested." in comparison.notes


def test_a_number_that_one_group_lacks(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, [1.0, 1.1]), copies(vanilla, tmp_path, [2.0, 2.2], batch_size=3)
    shutil.rmtree(first[0].path / "evaluation")
    shutil.rmtree(first[1].path / "evaluation")
    (row,) = compare(group_runs([*first, *second]), only=lambda key: key[1] == "score").rows
    assert row.cells[0] is None
    assert row.cells[1] is not None
    assert row.cells[1].test is None


def test_a_run_that_is_given_twice_under_two_names_is_one_run(vanilla: Path, tmp_path: Path) -> None:
    """Copies are no further seeds: two of them each made p = 0.02 out of one run a side."""
    first, second = copies(vanilla, tmp_path, [1.0, 1.1]), copies(vanilla, tmp_path, [2.0, 2.3], batch_size=3)
    again = load_run(shutil.copytree(first[0].path, tmp_path / "again"))
    groups = group_runs([*first, again, *second])
    assert [len(group.runs) for group in groups] == [2, 2]
    assert [run.path for run in groups[0].again] == [again.path]
    comparison = compare(groups, only=lambda key: key[1] == "score")
    assert comparison.rows[0].cells[0] is not None
    assert comparison.rows[0].cells[0].values == (1.0, 1.1)
    assert any("seed 0 of batch_size=100 once more" in note for note in comparison.notes)


def test_runs_on_other_data_are_another_group(vanilla: Path, tmp_path: Path) -> None:
    """A file of one name had other content."""
    first, second = copies(vanilla, tmp_path, [1.0, 1.1])
    info = json.loads((second.path / "run.json").read_text())
    info["data"]["fingerprint"] = "0123456789abcdef"
    (second.path / "run.json").write_text(json.dumps(info))
    groups = group_runs([first, load_run(second.path)])
    assert [len(group.runs) for group in groups] == [1, 1]
    assert groups[1].name == "fingerprint=0123456789abcdef"
    notes = compare(groups).notes
    assert "The runs are of different data: their numbers do not say which model is better (test, score)." in notes


def test_runs_with_restarts_are_a_group_of_their_own_and_keep_their_seeds(tmp_path: Path) -> None:
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    settings = {"data": x, "steps": 10, "encoder": "mlp:hidden=[4]", "device": "cpu", "name": "x"}
    runs = [
        fit(**settings, seed=seed, restarts=restarts, run_dir=tmp_path / f"{restarts}-{seed}")
        for restarts in (1, 4)
        for seed in range(3)
    ]
    assert any(run.spec.seed != run.seed for run in runs[3:])  # another start than the first was the best
    groups = group_runs(runs)
    assert [[run.seed for run in group.runs] for group in groups] == [[0, 1, 2], [0, 1, 2]]
    assert [group.name for group in groups] == ["restarts=1", "restarts=4"]
    assert not any(group.again for group in groups)


def test_how_many_processes_computed_a_run_is_no_setting(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, [1.0]), copies(vanilla, tmp_path, [2.0, 2.1], devices=2)
    assert [len(group.runs) for group in group_runs([*first, second[1]])] == [2]


def restate(run: Run, file: str, **changes: object) -> None:
    """Store what was measured of a run under another name, with some of it changed."""
    stored = json.loads((run.path / "evaluation" / "score.json").read_text())
    (run.path / "evaluation" / file).write_text(json.dumps(stored | changes))


def test_numbers_of_two_protocols_are_told_apart(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, [1.0, 1.1]), copies(vanilla, tmp_path, [2.0, 2.3], batch_size=3)
    assert compare(group_runs([*first, *second])).notes == ()
    said = {"numbers": {"score": {"value": 2.0}}, "protocol": {"hash": "feed", "n": 3}}
    restate(second[0], "score.json", version="2", measurement=said)
    (note,) = compare(group_runs([*first, *second])).notes
    assert note.startswith("score: not by one protocol everywhere")
    assert all(name in note for name in ("version", "hash", "n"))


def test_the_latest_answer_counts(vanilla: Path, tmp_path: Path) -> None:
    """Another version of a metric leaves its file beside the old one, and files come in the order of their names."""
    (run,) = copies(vanilla, tmp_path, [1.0])
    for file in ("a.json", "z.json"):
        said = {"numbers": {"score": {"value": 7.0}}, "protocol": {}}
        restate(run, file, version="2", created="2026-01-02T00:00:00+00:00", measurement=said)
        assert numbers_of(run)["score:seed=0", "score"].value == 7.0
        assert len(measurements(run)) == 1
        (run.path / "evaluation" / file).unlink()


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_not_finite_is_no_number(vanilla: Path, tmp_path: Path, value: str) -> None:
    (run,) = copies(vanilla, tmp_path, [1.0])
    ended = json.loads((run.path / "metrics.json").read_text())
    ended["test"]["elbo"] = json.loads(value)
    (run.path / "metrics.json").write_text(json.dumps(ended))
    names = {name for _, name in numbers_of(load_run(run.path))}
    assert "elbo" not in names
    assert "kl" in names


def test_nonsense_is_refused(vanilla: Path) -> None:
    with pytest.raises(SpecError, match="between 0 and 1"):
        compare(group_runs([load_run(vanilla)]), level=1.5)
    with pytest.raises(SpecError, match="no run"):
        compare([])


def test_a_name_says_what_differs_and_not_who_typed_it(vanilla: Path, tmp_path: Path) -> None:
    """One run left its data and steps to the defaults, which the other typed: that sets nothing apart."""
    first, second = copies(vanilla, tmp_path, [1.0]), copies(vanilla, tmp_path, [2.0], learning_rate=0.01)
    info = json.loads((second[0].path / "run.json").read_text())
    info["asked"] = {"mapping": ["identity"], "learning_rate": 0.01}
    (second[0].path / "run.json").write_text(json.dumps(info))
    groups = group_runs([first[0], load_run(second[0].path)])
    assert [group.name for group in groups] == ["learning_rate=0.001", "learning_rate=0.01"]
