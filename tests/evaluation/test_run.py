"""What can be asked of a run in one call: did its bias take, and what do metrics say?"""

from pathlib import Path

import pytest
import torch
from torch import nn

from intel_core import (
    EnvironmentProblem,
    MappingSpec,
    Measurement,
    MetricSpec,
    Number,
    Properties,
    Run,
    RunError,
    SpecError,
    fit,
    load_run,
    make_dataset,
    register,
)
from intel_core.components import discovery as plugins

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) + 4 * (torch.arange(60) % 2).unsqueeze(1)
DATA, OTHER = make_dataset("data", X), make_dataset("other", -X)
SETTINGS = {"data": X, "latent": 2, "steps": 60, "learning_rate": 0.01, "batch_size": 16, "device": "cpu"}


class Circle(nn.Module):
    """The unit circle."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.properties = Properties(norm_bound=1.0, betti=(1, 1))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y / y.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class CircleSpec(MappingSpec):
    """The unit circle."""

    def build(self, y_dim: int) -> Circle:
        return Circle(y_dim)


class RowsSpec(MetricSpec):
    """How many test examples there are."""

    def measure(self, subject) -> Measurement:
        return Measurement(numbers={"rows": Number(value=len(subject.split("test")))}, protocol={})


@pytest.fixture
def circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    register("mappings", "unit_circle", CircleSpec)
    register("metrics", "rows", RowsSpec)
    return fit(**SETTINGS, mapping="unit_circle", run_dir=tmp_path / "circle")


@pytest.fixture
def plain(tmp_path: Path) -> Run:
    return fit(**SETTINGS, run_dir=tmp_path / "plain")


def test_what_is_declared_is_held_against_the_data(circle: Run) -> None:
    found = circle.took(dataset=DATA)
    assert [one.question for one in found.findings] == [
        "Do the data use the whole shape?",
        "Do the data lie where the model draws its samples?",
    ]
    assert found.outcome != "unknown"
    assert found == load_run(circle.path).took(dataset=DATA)


def test_another_run_may_be_given_or_its_directory(circle: Run, plain: Run) -> None:
    found = circle.took(plain, dataset=DATA)
    assert found.findings[-1].question == "Are the test data modelled worse than without the bias?"
    assert "paired" in found.findings[-1].sentence
    assert found == circle.took(plain.path, dataset=DATA) == circle.took(str(plain.path), dataset=DATA)


def test_without_data_it_cannot_be_told_and_says_why(circle: Run) -> None:
    found = circle.took()
    assert found.outcome == "unknown"
    assert "passed as arrays" in found.caveats[0]


def test_a_run_is_not_held_against_itself_or_one_on_other_data(circle: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be held against itself"):
        circle.took(circle.path, dataset=DATA)
    others = fit(**(SETTINGS | {"data": -X}), run_dir=tmp_path / "other")
    with pytest.raises(RunError, match="was trained on other data"):
        circle.took(others, dataset=DATA)
    with pytest.raises(RunError, match="was trained on other data"):
        circle.took(dataset=OTHER)


def test_a_metric_is_asked_by_its_text_or_spec_and_answers_once(circle: Run) -> None:
    (first,) = circle.measure("rows", dataset=DATA)
    (again,) = circle.measure(RowsSpec(), dataset=DATA)
    assert first.measurement is not None
    assert first.measurement.numbers["rows"].value == len(DATA.test)
    assert again == first
    with pytest.raises(SpecError):
        circle.measure("rows:colour=red")


@pytest.mark.parametrize("device", ["cuda:77", "mps:5", "xpu"])
def test_a_device_that_is_not_here_is_told_as_fit_does(device: str) -> None:
    for ask in (lambda: load_run("nowhere", device=device), lambda: fit(**(SETTINGS | {"device": device}))):
        with pytest.raises(EnvironmentProblem, match=f"^device '{device}' is not here; devices: auto, cpu"):
            ask()


@pytest.mark.parametrize("device", ["meta", "cpuu", ""])
def test_a_word_that_is_no_device_is_told_as_fit_does(device: str) -> None:
    for ask in (lambda: load_run("nowhere", device=device), lambda: fit(**(SETTINGS | {"device": device}))):
        with pytest.raises(SpecError, match=f"^device '{device}' is not here.*devices: auto, cpu"):
            ask()


def test_a_run_computes_where_it_is_told_to(plain: Run) -> None:
    expected = load_run(plain.path).sample(3)
    assert torch.equal(load_run(plain.path, device="auto").sample(3).cpu(), expected) or torch.cuda.is_available()


def test_a_training_that_has_not_ended_is_told_first(circle: Run) -> None:
    assert not [line for line in circle.took().caveats if "unfinished" in line]
    (circle.path / "metrics.json").unlink()
    unfinished = load_run(circle.path)
    first = unfinished.took().caveats[0]
    steps = circle.spec.steps
    assert first.startswith(f"This training is unfinished: it has logged {steps} of {steps} steps")
    assert f"intel train --resume {circle.path}" in first
