"""What can a plugin's fault, or a user's, not lose? The edges of `fit`."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import intel_core
from intel_core import (
    DataError,
    DivergenceError,
    IntelError,
    MappingSpec,
    PluginError,
    SpecError,
    fit,
    fit_replicates,
    load_run,
    make_dataset,
    parse_spec,
    register,
    resume,
)
from intel_core.components import discovery
from intel_core.fitting.arguments import read_arguments
from intel_core.recipe.runspec import make_run_spec
from intel_core.recipe.shipped import ELBOSpec

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SPLIT = make_dataset("data", X)
SMALL = {"steps": 4, "batch_size": 10, "latent": 2, "encoder": "mlp:hidden=[6]", "device": "cpu"}


class Talkative(nn.Module):
    """The identity, with a diagnosis that goes wrong in a chosen way."""

    def __init__(self, y_dim, fault):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.fault = fault

    def forward(self, y):
        return y

    def diagnose(self, y, labels):
        if self.fault == "raises":
            raise KeyError("no")
        return {"spread": y.std()}


class TalkativeSpec(MappingSpec):
    """The identity, talking."""

    fault: str = "raises"

    def build(self, y_dim):
        return Talkative(y_dim, self.fault)


@pytest.mark.parametrize("fault", ["raises", "tensor"])
def test_a_faulty_diagnosis_does_not_lose_the_numbers(fault, tmp_path):
    register("mappings", "talkative", TalkativeSpec)
    with pytest.warns(UserWarning, match="diagnosis failed"):
        run = fit(mapping=f"talkative:fault={fault}", data=X, run_dir=tmp_path / "run", **SMALL)
    assert run.status == "finished"
    assert np.isfinite(json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["elbo"])


class Norm(nn.Module):
    """An auxiliary loss whose gradient at its own parameter is NaN."""

    def __init__(self, y_dim):
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.u = nn.Parameter(torch.zeros(3))
        self.regularisers = {"norm": 1.0}

    def forward(self, y):
        return y

    def map_with_regularisers(self, y):
        return y, {"norm": (self.u**2).sum() ** 0.5}


class NormSpec(MappingSpec):
    """The identity with a bad norm."""

    def build(self, y_dim):
        return Norm(y_dim)


def test_a_gradient_that_breaks_at_a_parameter_is_blamed_on_it(tmp_path):
    register("mappings", "norm", NormSpec)
    with pytest.raises(DivergenceError, match=r"at step 1: a gradient is not finite, first in mapping\.u"):
        fit(mapping="norm", data=X, run_dir=tmp_path / "run", **SMALL)
    assert (tmp_path / "run" / "diverged-batch.safetensors").exists()


class UnknownSpec(ELBOSpec):
    """Registered nowhere."""


def test_an_unregistered_component_leaves_no_directory(tmp_path):
    with pytest.raises(PluginError, match=r"UnknownSpec.*intel_core\.register"):
        fit(objective=UnknownSpec(), data=X, run_dir=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_masks_of_bytes_are_encoded_as_they_were_trained(tmp_path):
    mask = np.random.default_rng(1).integers(0, 2, size=(60, 4, 4), dtype=np.uint8)
    run = fit(data=mask, run_dir=tmp_path / "run", **SMALL)
    assert torch.equal(run.encode(mask).mean, run.encode(mask.astype(np.float32)).mean)
    assert torch.equal(run.encode(mask[:1] * 0).mean, run.encode(mask[:1].astype(np.float32) * 0).mean)


def test_a_data_frame_and_a_single_column(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))
    assert fit(data=frame, run_dir=tmp_path / "frame", **SMALL).encode(frame.to_numpy()).mean.shape == (60, 2)
    settings = SMALL | {"latent": 1}
    assert fit(data=X[:, 0], run_dir=tmp_path / "column", **settings).encode(X[:, 0]).mean.shape == (60, 1)


def test_a_whole_spec_goes_with_arrays(tmp_path):
    spec = make_run_spec(**SMALL, data="memory:examples=1,shape=[1]")
    assert fit(spec, data=X, run_dir=tmp_path / "run").info["data"]["shape"] == [3]
    with pytest.raises(IntelError, match="not both"):
        fit(spec, data=X, seed=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mapping": 3}, "mapping=3: expected a text such as name:key=value .*, or a MappingSpec"),
        ({"mapping": ["identity", None]}, "mapping.1=null: expected a text .*MappingSpec"),
        ({"data": 5}, 'data: a int; expected an array, .*, or a text such as "digits"'),
        ({"encoder": {"mlp": {}}}, "encoder={.*: expected a text .*NetworkSpec"),
        ({"schedules": {"kl": 0.5}}, "schedules.kl=0.5: expected a text .*ScheduleSpec"),
        ({"objective": IntelError}, "objective=.*: expected a text .*ObjectiveSpec"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_component_is_told_how_one_is_written(settings, said):
    with pytest.raises(IntelError, match=f"^{said}$"):
        fit(**settings)


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_file_is_read_by_the_data_set_for_such_files(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(X, columns=list("abc")).assign(kind=["u", "v"] * 30).to_csv("mine.csv", index=False)
    np.save("mine.npy", X)
    run = fit(data=kind("mine.csv:label=kind"), run_dir=tmp_path / "run", **SMALL)
    assert run.spec.data == parse_spec("datasets", f"table:path={tmp_path / 'mine.csv'},label=kind")
    assert run.info["data"]["classes"] == ["u", "v"]
    assert read_arguments(None, kind("mine.npy"), None, {})[0].data == parse_spec(
        "datasets", f"arrays:path={tmp_path / 'mine.npy'}"
    )
    Path("digits").mkdir()
    assert read_arguments(None, "digits", None, {})[0].data == parse_spec("datasets", "digits")
    Path("notes.txt").write_text("a")
    with pytest.raises(DataError, match=r"^'notes.txt' cannot be read as data; expected a \.csv"):
        fit(data=kind("notes.txt"))
    with pytest.raises(SpecError, match=r"^labels= goes with data= as an object, .* says .*mine\.csv,label=kind$"):
        fit(data=kind("mine.csv"), labels="kind")


def test_a_run_keeps_what_was_asked_beside_what_became_of_it(tmp_path):
    fit(data=X, run_dir=tmp_path / "run", **SMALL)
    info = load_run(tmp_path / "run").info
    assert set(info["asked"]) == {*SMALL, "data"}
    assert info["spec"]["schedules"]["kl"].startswith("linear")
    assert info["device"] == "cpu"


def test_standardised_data_finds_its_units_again(tmp_path):
    data = make_dataset("x", X)
    scaled = intel_core.Dataset(
        "x", data.train, data.validation, data.test, "real", scaling=((1.0, 2.0, 3.0), (2.0, 2.0, 0.5))
    )
    assert scaled.summary()["scaling"] == {"mean": (1.0, 2.0, 3.0), "std": (2.0, 2.0, 0.5)}
    fit(data=X, run_dir=tmp_path / "run", **SMALL)
    path = tmp_path / "run" / "run.json"
    info = json.loads(path.read_text())
    info["data"]["scaling"] = scaled.summary()["scaling"]
    path.write_text(json.dumps(info))
    run = load_run(tmp_path / "run")
    raw = torch.tensor([[3.0, 2.0, 3.5]])
    assert run.standardise(raw).tolist() == [[1.0, 0.0, 1.0]]
    assert torch.equal(run.original_units(run.standardise(raw)), raw)


# --- what a script has set, and what it gives ------------------------------------------------------------------------


@pytest.fixture
def doubles():
    """Float64 as torch's default, as many scientific scripts set it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def answers(folder, **settings):
    """What a run gives in numbers: its training, and what can be asked of it."""
    run = fit(data=X, run_dir=folder / "run", **(SMALL | settings))
    again = load_run(folder / "run")
    assert run.took(dataset=SPLIT).headline
    code = again.encode(X)
    return run, [code.mean, code.z, again.reconstruct(X.tolist()), again.sample(5, noise=True), again.decode(code.z)]


@pytest.mark.parametrize(
    "settings", [{}, {"mapping": "cluster:k=3"}, {"objective": "iwae:particles=3", "likelihood": "laplace"}]
)
def test_a_script_whose_floats_are_double_gets_the_same_run(settings, tmp_path, request):
    run, expected = answers(tmp_path / "float", **settings)
    request.getfixturevalue("doubles")
    again, found = answers(tmp_path / "double", **settings)
    assert all(torch.equal(a, b) and b.dtype == torch.float32 for a, b in zip(expected, found, strict=True))
    assert again.metrics["test"] == run.metrics["test"]
    (units,) = again.measure("units", dataset=SPLIT)
    assert units.measurement is not None
    assert torch.get_default_dtype() == torch.float64


def test_replicates_of_a_script_whose_floats_are_double(tmp_path, doubles):
    group = fit_replicates(2, data=X, run_dir=tmp_path / "group", **SMALL)
    assert group.summary["status"] == "finished"


def test_a_default_device_without_gradients_does_not_matter(tmp_path):
    expected = answers(tmp_path / "plain")[1]
    torch.set_default_device("meta")
    try:
        with torch.inference_mode():
            found = answers(tmp_path / "odd")[1]
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_default_device_for_a_while_is_one_for_a_while(tmp_path):
    with torch.device("meta"):
        fit(data=X, run_dir=tmp_path / "run", **SMALL)
        assert torch.zeros(1).device.type == "meta"
    assert torch.zeros(1).device.type == "cpu"


class Watcher:
    """Counts steps."""

    def __init__(self):
        self.steps = 0

    @intel_core.hookimpl
    def step_end(self, trainer):
        self.steps += 1


class Unbound:
    """A class that needs no object."""

    steps = 0

    @staticmethod
    @intel_core.hookimpl
    def step_end(trainer):
        Unbound.steps += 1


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ([Watcher], r"^hooks: Watcher is a class, expected an object of it: Watcher\(\)$"),
        ([Watcher(), Watcher], r"^hooks: Watcher is a class, expected an object of it: Watcher\(\)$"),
        ([Path], r"^hooks: nothing in the class Path is marked with intel_core.hookimpl$"),
        (Watcher, r"^hooks: expected a list of objects, not the class Watcher; say hooks=\[…\]$"),
        (Watcher(), r"^hooks: expected a list of objects, not one Watcher; say hooks=\[…\]$"),
    ],
)
def test_hooks_that_are_a_class_or_no_list_are_told_so(hooks, said, tmp_path):
    with pytest.raises(PluginError, match=said):
        fit(data=X, run_dir=tmp_path / "run", hooks=hooks, **SMALL)
    with pytest.raises(PluginError, match=said):
        fit_replicates(2, data=X, run_dir=tmp_path / "group", hooks=hooks, **SMALL)
    assert not list(tmp_path.iterdir())


def test_hooks_that_are_objects_or_need_none_are_called(tmp_path):
    watcher = Watcher()
    fit(data=X, run_dir=tmp_path / "run", hooks=(one for one in (watcher, Unbound)), **SMALL)
    assert (watcher.steps, Unbound.steps) == (4, 4)


def test_a_component_of_this_process_is_to_be_registered_again(tmp_path, monkeypatch):
    register("mappings", "norm-free", TalkativeSpec)
    with pytest.warns(UserWarning, match="diagnosis failed"):
        fit(mapping="norm-free", data=X, run_dir=tmp_path / "run", **SMALL)
    monkeypatch.setattr(discovery, "registered", {})
    again = r"register it again: intel_core\.register\('mappings', 'norm-free', ITS_CLASS\)"
    with pytest.raises(PluginError, match=again) as caught:
        load_run(tmp_path / "run").sample(1)
    assert "pip" not in str(caught.value)
    register("mappings", "norm-free", TalkativeSpec)
    assert load_run(tmp_path / "run").sample(1).shape == (1, 3)


def test_a_frame_resumes_as_the_frame_or_its_numbers(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))
    for given in (frame, X):
        folder = tmp_path / type(given).__name__
        stopping = type("Stop", (), {"step_end": intel_core.hookimpl(lambda self, trainer: os.kill(os.getpid(), 2))})
        assert fit(data=frame, run_dir=folder, hooks=[stopping()], **SMALL).status == "interrupted"
        assert resume(folder, data=given).status == "finished"
        assert load_run(folder).info["data"]["columns"] == ["a", "b", "c"]
