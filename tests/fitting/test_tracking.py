"""Are trackers told what a training tells, once each, and does one that fails leave the training alone?"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from intel_core import (
    DivergenceError,
    Ending,
    PluginError,
    SpecError,
    TrackedRun,
    TrackerSpec,
    Tracking,
    fit,
    fit_replicates,
    register,
    resume,
)
from intel_core.fitting.tracking import FILE, read_trackers

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
USUAL: dict[str, Any] = {"data": X, "latent": 2, "steps": 20, "log_every": 5, "evaluate_every": 10, "batch_size": 10}
USUAL |= {"device": "cpu", "network": "mlp:hidden=[8]", "save_every": 5}


class Recorder:
    """Keeps what it is told; `broken` names the moment at which it fails."""

    def __init__(self, run: TrackedRun, broken: str) -> None:
        self.run, self.broken = run, broken
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.endings: list[Ending] = []
        self._fail("begin")

    def _fail(self, moment: str) -> None:
        if moment == self.broken:
            raise OSError("the disk is full\nand there is no network")

    def log(self, step: int, numbers: dict[str, float]) -> None:
        self._fail("log")
        self.lines.append((step, dict(numbers)))

    def end(self, ending: Ending) -> None:
        self._fail("end")
        self.endings.append(ending)


class RecorderSpec(TrackerSpec):
    """Keeps everything in this process."""

    told: ClassVar[list[Recorder]] = []
    broken: str = ""
    tags: tuple[str, ...] = ()

    def begin(self, run: TrackedRun) -> Recorder:
        found = Recorder(run, self.broken)
        self.told.append(found)
        return found


class OtherSpec(RecorderSpec):
    """Another of them."""


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    monkeypatch.setattr(RecorderSpec, "told", [])
    register("trackers", "recorder", RecorderSpec)
    register("trackers", "other", OtherSpec)
    return RecorderSpec.told


def test_it_hears_settings_lines_evaluations_and_the_end(tmp_path: Path, told: list[Recorder]) -> None:
    run = fit(mapping="cluster:k=2", start="none", track="recorder", run_dir=tmp_path / "run", **USUAL)
    (heard,) = told
    assert heard.run.is_new
    assert heard.run.name == run.info["name"]
    assert heard.run.folder == run.path
    assert heard.run.settings["steps"] == 20
    assert str(heard.run.settings["mapping"]).startswith("cluster:")
    records = run.records()
    assert [step for step, _ in heard.lines] == [record["step"] for record in records]
    for (_, numbers), record in zip(heard.lines, records, strict=True):
        assert numbers[f"{record['kind']}/elbo"] == record["elbo"]
    assert heard.lines[0][1]["weights/kl"] == records[0]["weights"]["kl"]
    assert heard.lines[1][1].keys() != heard.lines[0][1].keys() or records[1]["kind"] == "train"
    (ending,) = heard.endings
    assert (ending.status, ending.step) == ("finished", 20)
    assert ending.numbers["final/test/elbo"] == run.metrics["test"]["elbo"]
    assert ending.outcome == run.took(dataset=X).outcome
    assert ending.verdict == str(run.took(dataset=X))


def test_what_is_tracked_is_the_same_run_bit_for_bit(tmp_path: Path) -> None:
    plain = fit(run_dir=tmp_path / "plain", **USUAL)
    followed = fit(run_dir=tmp_path / "followed", track="recorder,other", **USUAL)
    assert plain.metrics["weights_sha256"] == followed.metrics["weights_sha256"]


def test_a_run_that_goes_on_is_the_same_record(tmp_path: Path, told: list[Recorder], stop_at: Any) -> None:
    fit(run_dir=tmp_path / "run", track="recorder", hooks=[stop_at(13)], **USUAL)
    assert [ending.status for ending in told[0].endings] == ["interrupted"]
    assert told[0].endings[0].verdict == ""
    done = resume(tmp_path / "run", data=X, track=["recorder", OtherSpec()])
    again, other = told[1:]
    assert (again.run.id, again.run.is_new, again.run.step) == (told[0].run.id, False, 13)
    assert (other.run.id, other.run.is_new) == (told[0].run.id, True)
    assert [step for step, _ in again.lines] == [r["step"] for r in done.records() if r["step"] > 13]
    assert [ending.status for ending in again.endings] == ["finished"]


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path: Path, stop_at: Any) -> None:
    fit(run_dir=tmp_path / "run", track="recorder,other", hooks=[stop_at(13)], **USUAL)
    with pytest.warns(UserWarning, match="was tracked by other; to go on there, say --track other"):
        resume(tmp_path / "run", data=X, track="recorder")


@pytest.mark.parametrize(
    "content", ['{"id": "../../x", "trackers": []}', "[", '{"id": "abcdefgh", "trackers": ["a;b"]}']
)
def test_a_damaged_note_of_trackers_is_left_alone(tmp_path: Path, stop_at: Any, told: Any, content: str) -> None:
    fit(run_dir=tmp_path / "run", hooks=[stop_at(13)], **USUAL)
    (tmp_path / "run" / FILE).write_text(content)
    with pytest.warns(UserWarning, match=r"trackers.json .*trackers begin anew"):
        resume(tmp_path / "run", data=X, track="recorder")
    assert told[0].run.is_new
    assert json.loads((tmp_path / "run" / FILE).read_text()) == {"id": told[0].run.id, "trackers": ["recorder"]}


@pytest.mark.parametrize("moment", ["begin", "log", "end"])
def test_one_that_fails_costs_one_warning(tmp_path: Path, told: list[Recorder], moment: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(run_dir=tmp_path / "run", track=f"recorder:broken={moment},other", **USUAL)
    said = [str(one.message) for one in caught if "tracker" in str(one.message)]
    expected = f"tracker recorder failed ({moment}: the disk is full and there is no network); it is told no more"
    assert said == [f"{expected}, the training goes on"]
    assert run.status == "finished"
    assert told[-1].endings[0].status == "finished"  # of the other


def test_a_training_that_diverges_ends_the_record(tmp_path: Path, told: list[Recorder]) -> None:
    with pytest.raises(DivergenceError):
        fit(run_dir=tmp_path / "run", track="recorder", **{**USUAL, "learning_rate": 100, "steps": 200})
    assert [ending.status for ending in told[0].endings] == ["diverged"]


@pytest.mark.parametrize("stack", [True, False])
def test_each_seed_of_several_is_a_record(tmp_path: Path, told: list[Recorder], stack: bool) -> None:
    group = fit_replicates(2, run_dir=tmp_path / "group", track="recorder", stack=stack, **USUAL)
    assert [heard.run.folder for heard in told] == [run.path for run in group.runs]
    assert len({heard.run.id for heard in told}) == 2
    for heard, run in zip(told, group.runs, strict=True):
        assert [step for step, _ in heard.lines] == [record["step"] for record in run.records()]
        assert [ending.numbers["final/test/elbo"] for ending in heard.endings] == [run.metrics["test"]["elbo"]]


def test_a_tracking_of_ones_own_is_ended_with_pictures(tmp_path: Path, told: list[Recorder]) -> None:
    with Tracking("recorder") as tracking:
        run = fit(run_dir=tmp_path / "run", track=tracking, **USUAL)
        assert told[0].endings == []
        tracking.end(run, [tmp_path / "a.png"])
    assert [ending.pictures for ending in told[0].endings] == [(tmp_path / "a.png",)]


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ([RecorderSpec()], r"hooks: RecorderSpec is a tracker, which goes beside the hooks: track=RecorderSpec\(\)"),
        ([RecorderSpec], r"track=RecorderSpec\(\)"),
        (["recorder"], r"hooks: 'recorder' is a text, expected an object; trackers are named by track='recorder'"),
        ("recorder", "track='recorder'"),
    ],
)
def test_a_tracker_among_the_hooks_is_told_where_it_goes(tmp_path: Path, hooks: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        fit(run_dir=tmp_path / "run", hooks=hooks, **USUAL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("track", [3, print, [None]])
def test_what_is_no_tracker_is_told(tmp_path: Path, track: Any) -> None:
    with pytest.raises(SpecError, match=r"^track: a \w+; expected a text such as 'tensorboard', or a tracker's spec"):
        fit(run_dir=tmp_path / "run", track=track, **USUAL)


def test_texts_and_specs_are_read() -> None:
    found = read_trackers('recorder:tags=["a","b]"],broken=no,other')
    assert found == [RecorderSpec(tags=("a", "b]"), broken="no"), OtherSpec()]
    for wrong, said in [("recoder", "did you mean 'recorder'"), (["other", "other"], "named twice"), ([3], "a int")]:
        with pytest.raises(SpecError, match=said):
            read_trackers(wrong)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="no tracker"):
        fit(track="nobody", **USUAL)
