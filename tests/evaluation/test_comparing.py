"""Which differences between groups of runs exceed the noise of their seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from intel_core import Measured, Measurement, Number, Run, SpecError, compare, fit, group_runs, load_run, measurements
from intel_core.evaluation.comparing import numbers_of
from intel_core.evaluation.statistics import holm, welch
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


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([5.0, 5.1, 4.9], "worse"), ([0.1, 0.0, 0.2], "better"), ([1.05, 1.1, 1.2], "within noise"), ([5.0], "no test")],
)
def test_the_verdict_is_that_of_the_test(vanilla: Path, tmp_path: Path, values: list[float], verdict: str) -> None:
    groups = group_runs(
        [*copies(vanilla, tmp_path, [1.0, 1.1, 0.95]), *copies(vanilla, tmp_path, values, learning_rate=0.01)]
    )
    comparison = compare(groups, only=lambda key: key[1] == "score")
    (row,) = comparison.rows
    assert (row.metric, row.number, row.better) == ("score:seed=0", "score", "lower")
    reference, other = row.cells
    assert reference is not None
    assert other is not None
    assert reference.mean == pytest.approx(3.05 / 3)
    assert reference.std == pytest.approx(np.std([1.0, 1.1, 0.95], ddof=1))
    assert reference.verdict == "reference"
    assert other.verdict == verdict
    assert comparison.tests == (verdict != "no test")
    if len(values) > 1:
        expected = stats.ttest_ind([1.0, 1.1, 0.95], values, equal_var=False).pvalue
        assert other.p == pytest.approx(expected)


@pytest.mark.parametrize(("few", "many", "told"), [(2, 8, True), (2, 7, False), (1, 9, False), (4, 16, False)])
def test_a_few_seeds_beside_many_are_told(vanilla: Path, tmp_path: Path, few: int, many: int, told: bool) -> None:
    sizes = {"few": (few, {}), "many": (many, {"learning_rate": 0.01})}
    runs = {name: copies(vanilla, tmp_path, [0.1 * i for i in range(n)], **more) for name, (n, more) in sizes.items()}
    for order in (("few", "many"), ("many", "few")):
        notes = compare(group_runs([run for name in order for run in runs[name]])).notes
        assert any("beside many" in note for note in notes) is told


def test_p_values_are_adjusted_over_all_numbers_shown(vanilla: Path, tmp_path: Path) -> None:
    first, others = copies(vanilla, tmp_path, [1.0, 1.2, 0.9]), []
    for i, shift in enumerate((0.5, 1.0)):
        others += copies(vanilla, tmp_path, [1.0 + shift, 1.2 + shift, 0.9 + shift], batch_size=10 + i)
    comparison = compare(group_runs([*first, *others]), only=lambda key: key[1] == "score")
    raw = [welch([1.0, 1.2, 0.9], [1.0 + s, 1.2 + s, 0.9 + s]) for s in (0.5, 1.0)]
    assert [cell.p for cell in comparison.rows[0].cells[1:] if cell] == pytest.approx(holm([p for p in raw if p]))
    assert comparison.tests == 2


def test_a_number_that_one_group_lacks(vanilla: Path, tmp_path: Path) -> None:
    first, second = copies(vanilla, tmp_path, [1.0, 1.1]), copies(vanilla, tmp_path, [2.0, 2.2], batch_size=3)
    shutil.rmtree(first[0].path / "evaluation")
    shutil.rmtree(first[1].path / "evaluation")
    (row,) = compare(group_runs([*first, *second]), only=lambda key: key[1] == "score").rows
    assert row.cells[0] is None
    assert row.cells[1] is not None
    assert row.cells[1].p is None


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
    assert "training: not by one protocol everywhere; what differs: data." in notes
    assert "score: not by one protocol everywhere; what differs: data." in notes


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


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null"])
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
