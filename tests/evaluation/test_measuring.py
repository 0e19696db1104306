"""What metrics say of a run is asked once, kept with its protocol, and read again."""

import dataclasses
import importlib
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from pydantic import Field, ValidationError

from intel_core import (
    DataError,
    Dataset,
    Measured,
    Measurement,
    MetricSpec,
    NotApplicableError,
    Number,
    Run,
    RunError,
    Split,
    Subject,
    fit,
    load_run,
    make_dataset,
    measure,
    measurements,
    parse_spec,
    usual_metrics,
)
from intel_core.components import discovery as plugins
from intel_core.components import loading

CALLS: list[str] = []


class WidthSpec(MetricSpec):
    """Mean length of z under the prior."""

    samples: int = Field(64, ge=1, description="draws of the prior")

    def measure(self, subject: Subject) -> Measurement:
        CALLS.append(str(self))
        subject.tell("drawing", 0.5)
        z = subject.prior(self.samples, seed=self.seed).z
        lengths = z.norm(dim=-1)
        number = Number(value=float(lengths.mean()), error=float(lengths.std()) / len(z) ** 0.5)
        return Measurement(numbers={"length": number}, protocol={"samples": self.samples, "seed": self.seed})


class LabelsSpec(MetricSpec):
    """Number of classes."""

    def measure(self, subject: Subject) -> Measurement:
        classes = len(subject.labels().unique())
        return Measurement(numbers={"classes": Number(value=classes)}, protocol={})


class BrokenSpec(MetricSpec):
    """Raises what no metric should."""

    def measure(self, subject: Subject) -> Measurement:
        raise KeyError("oops\nsecond line")


class WrongSpec(MetricSpec):
    """Returns what no metric should."""

    def measure(self, subject: Subject) -> Measurement:
        return {"length": 1.0}  # type: ignore[return-value]


class SlowSpec(WidthSpec):
    """Takes minutes."""

    cost: ClassVar = "minutes"


class InfiniteSpec(MetricSpec):
    """Says what JSON cannot hold."""

    def measure(self, subject: Subject) -> Measurement:
        details = {"list": [1.0, float("nan"), {"deep": float("-inf")}]}
        return Measurement(numbers={"one": Number(value=1)}, protocol={"bound": float("inf")}, details=details)


class NothingSpec(MetricSpec):
    """Has a number that is none."""

    def measure(self, subject: Subject) -> Measurement:
        return Measurement(numbers={"one": Number(value=float("nan"))}, protocol={})


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for name, spec in (
        ("width", WidthSpec), ("classes", LabelsSpec), ("broken", BrokenSpec), ("wrong", WrongSpec), ("slow", SlowSpec),
        ("infinite", InfiniteSpec), ("nothing", NothingSpec),
    ):  # fmt: skip
        loading.register("metrics", name, spec)
    CALLS.clear()


def points(seed: int = 0) -> torch.Tensor:
    return torch.randn(200, 2, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(mapping="identity", data=points(), steps=20, run_dir=tmp_path_factory.mktemp("run") / "run").path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy, whose stored measurements are its own."""
    import shutil

    return load_run(shutil.copytree(trained, tmp_path / "run"))


def subject(run: Run) -> Subject:
    return Subject(run, dataset=make_dataset("data", points()))


def ask(run: Run, *texts: str, again: bool = False) -> list[Measured]:
    specs = [parse_spec("metrics", text) for text in texts]
    return list(measure(subject(run), specs, again=again))  # type: ignore[arg-type]


def test_a_number_is_kept_with_its_protocol_and_read_again(run: Run) -> None:
    (first,) = ask(run, "width:samples=32,seed=3")
    assert first.status == "measured"
    assert first.measurement is not None
    assert first.measurement.protocol == {"samples": 32, "seed": 3}
    (again,) = ask(run, "width:samples=32,seed=3")
    assert again == first
    assert len(CALLS) == 1
    (file,) = (run.path / "evaluation").iterdir()
    stored = json.loads(file.read_text())
    assert stored["metric"] == "width:seed=3,samples=32"
    assert stored["measurement"]["numbers"]["length"]["value"] == first.measurement.numbers["length"].value
    assert [one.name for one in measurements(load_run(run.path))] == ["width"]


def test_it_is_measured_anew_for_other_settings_for_other_weights_and_when_asked_to(run: Run) -> None:
    ask(run, "width")
    ask(run, "width:samples=8")
    assert len(CALLS) == 2
    ask(run, "width", again=True)
    assert len(CALLS) == 3
    with torch.no_grad():
        next(run.model.parameters()).add_(1.0)
    assert measurements(run) == []
    ask(run, "width")
    assert len(CALLS) == 4


def test_the_same_seed_gives_the_same_number(run: Run) -> None:
    first, second = ask(run, "width")[0], ask(run, "width", again=True)[0]
    other = ask(run, "width:seed=1")[0]
    assert first.measurement == second.measurement
    assert first.measurement is not None
    assert other.measurement is not None
    assert first.measurement.numbers != other.measurement.numbers


def test_what_does_not_apply_or_fails_is_said_and_not_kept(run: Run) -> None:
    said = ask(run, "classes", "broken", "wrong", "width")
    assert [one.status for one in said] == ["not applicable", "failed", "failed", "measured"]
    assert said[0].reason == "data has no labels"
    assert said[1].reason.startswith("KeyError: 'oops")
    assert "\n" not in said[1].reason
    assert "expected a Measurement" in said[2].reason
    assert [one.name for one in measurements(run)] == ["width"]


def test_what_is_stored_is_json_and_the_same_when_it_is_read(run: Run) -> None:
    (first,) = ask(run, "infinite")
    assert first.measurement is not None
    assert first.measurement.protocol == {"bound": None}
    assert first.measurement.details == {"list": [1.0, None, {"deep": None}]}
    (file,) = (run.path / "evaluation").iterdir()

    def refuse(text: str) -> None:
        raise AssertionError(text)

    json.loads(file.read_text(), parse_constant=refuse)
    assert ask(run, "infinite") == [first]


def test_a_number_that_is_not_finite_is_named(run: Run) -> None:
    (said,) = ask(run, "nothing")
    assert said.status == "failed"
    assert said.reason.startswith("ValidationError: Number.value: Input should be a finite number, got nan (test_meas")


def test_other_data_than_the_run_was_trained_on_are_refused(run: Run) -> None:
    other = Subject(run, dataset=make_dataset("data", points(1)))
    (said,) = measure(other, [LabelsSpec()])
    assert said.status == "failed"
    assert "other data" in said.reason


def test_other_test_data_or_labels_are_measured_anew(run: Run) -> None:
    """The fingerprint of a run is that of its training examples; the numbers are those of the test part."""
    data = make_dataset("data", points(), torch.arange(200) % 2)
    spec = LabelsSpec()

    def classes(given: Dataset | None) -> float:
        (said,) = measure(Subject(run, dataset=given), [spec])
        assert said.measurement is not None
        return said.measurement.numbers["classes"].value

    assert classes(data) == 2
    assert classes(dataclasses.replace(data, test=Split(data.test.x, torch.zeros(20, dtype=torch.int64)))) == 1
    assert classes(None) == 1  # the arrays are not given again: what is known is told
    assert classes(data) == 2


def test_all_answers_of_one_call_are_about_the_same_data(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for the data before the second metric; the first has an answer from before they changed."""

    class MoreSpec(LabelsSpec):
        """The same by another name."""

    loading.register("metrics", "more_labels", MoreSpec)
    data = make_dataset("data", points(), torch.arange(200) % 2)
    list(measure(Subject(run, dataset=data), [LabelsSpec()]))
    changed = dataclasses.replace(data, test=Split(data.test.x, torch.zeros(20, dtype=torch.int64)))
    monkeypatch.setattr(run, "dataset", lambda data_dir=None: changed)
    said = list(measure(Subject(run), [LabelsSpec(), MoreSpec()]))
    assert [one.measurement and one.measurement.numbers["classes"].value for one in said] == [1, 1]


def test_data_that_were_an_array_must_be_given_again(run: Run) -> None:
    (said,) = measure(Subject(run), [LabelsSpec()])
    assert said.status == "failed"
    with pytest.raises(DataError):
        _ = Subject(run).dataset


def test_an_interrupted_evaluation_keeps_what_it_has(run: Run) -> None:
    class Stop(Exception):
        pass

    def asked(spec: MetricSpec) -> None:
        if isinstance(spec, LabelsSpec):
            raise Stop

    with pytest.raises(Stop):
        list(measure(subject(run), [WidthSpec(), LabelsSpec()], asked=asked))
    assert [one.name for one in measurements(run)] == ["width"]


def test_a_damaged_file_is_measured_anew(run: Run) -> None:
    ask(run, "width")
    (file,) = (run.path / "evaluation").iterdir()
    file.write_text(file.read_text()[:-30])
    assert measurements(run) == []
    ask(run, "width")
    assert len(CALLS) == 2
    assert len(measurements(run)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")
def test_a_folder_of_measurements_that_is_a_link_is_neither_read_nor_written(run: Run, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (run.path / "evaluation").symlink_to(private)
    with pytest.raises(RunError, match="evaluation cannot be written: it is a link"):
        ask(run, "width")
    with pytest.raises(RunError, match="evaluation cannot be read: it is a link"):
        measurements(run)
    assert CALLS == []
    assert list(private.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")
def test_a_measurement_that_is_no_plain_file_is_left_out(run: Run) -> None:
    ask(run, "width")
    (file,) = (run.path / "evaluation").iterdir()
    os.mkfifo(file.with_name("pipe.json"))
    file.with_name("link.json").symlink_to(file)
    file.with_name("deep.json").write_text("[" * 200_000 + "]" * 200_000)
    assert len(measurements(run)) == 1
    file.write_text(json.dumps(json.loads(file.read_text()) | {"later": 1}))
    assert len(measurements(run)) == 1


def test_a_directory_that_takes_nothing_is_found_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / "evaluation").write_text("no folder")
    with pytest.raises(RunError, match="cannot be made"):
        ask(run, "width")
    (run.path / "evaluation").unlink()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(RunError, match="cannot be written to"):
        ask(run, "width")
    assert CALLS == []


def test_encodings_that_are_not_finite_are_said_to_be_so(run: Run) -> None:
    with torch.no_grad():
        next(run.model.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(RunError, match="encodes some test examples as numbers that are not finite"):
        subject(run).encode()


def test_the_usual_ones_take_seconds(run: Run) -> None:
    names = {str(spec).partition(":")[0] for spec in usual_metrics()}
    assert {"width", "classes", "broken", "wrong"} <= names
    assert "slow" not in names


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        Number(value=float("nan"))
    with pytest.raises(ValidationError):
        Number(value=1.0, error=-0.1)


def test_prior_generated_and_encoded_are_those_of_the_run(run: Run) -> None:
    it = subject(run)
    assert torch.equal(it.generated(50, seed=2), run.sample(50, seed=2))
    assert torch.equal(it.prior(50, seed=2).y, it.prior(50, seed=2).z)  # the identity
    assert torch.equal(it.encode("test", 10).mean, run.encode(it.split("test").x[:10]).mean)
    assert it.encode("test", 10) is it.encode("test", 10)
    with pytest.raises(NotApplicableError, match="no labels"):
        it.labels()


def test_where_shared_files_are_kept(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEL_CACHE_DIR", str(tmp_path / "cache"))
    assert Subject(run).cache("classifiers") == tmp_path / "cache" / "classifiers"
    assert (tmp_path / "cache" / "classifiers").is_dir()
    assert Subject(run, cache_dir=tmp_path / "mine").cache("x") == tmp_path / "mine" / "x"


METRIC = '''
from intel_core import Measurement, MetricSpec, Number, register

VALUE = {value}


class TunedSpec(MetricSpec):
    """A number that its author changes."""

    def measure(self, subject):
        return Measurement(numbers={{"value": Number(value=VALUE)}}, protocol={{}})


register("metrics", "tuned", TunedSpec)
'''


def test_a_metric_of_this_process_is_measured_again_once_its_file_has_changed(run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for value in (1.0, 1.0, 2.0):
        (tmp_path / "tuned_metric.py").write_text(METRIC.format(value=value))
        sys.modules.pop("tuned_metric", None)
        importlib.invalidate_caches()
        monkeypatch.setattr(plugins, "registered", {k: v for k, v in plugins.registered.items() if k[1] != "tuned"})
        importlib.import_module("tuned_metric")
        found.append(run.measure("tuned")[0])
    sys.modules.pop("tuned_metric", None)
    assert [one.measurement.numbers["value"].value for one in found] == [1.0, 1.0, 2.0]
    assert found[0].created == found[1].created
    assert found[0].seconds == found[1].seconds
