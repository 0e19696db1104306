"""Arrays in ordinary units: are they trained on, kept in their units, and resumed on the same scale?"""

import contextlib
import json
import shutil

import numpy as np
import pytest

from intel_core import SpecError, fit, load_run, resume

RNG = np.random.default_rng(0)
THOUSANDS = np.c_[1000 + 30 * RNG.normal(size=200), 20 + 5 * RNG.normal(size=200)]
NEAR = RNG.normal(size=(200, 2))
FAR = r"^data: column 0 is .* ± .*, far from the scale .* each column was standardised"


def test_numbers_in_the_thousands_are_standardised_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=FAR):
        run = fit(data=THOUSANDS, steps=3, run_dir=tmp_path / "run")
    stored = load_run(run.path).info["data"]["scaling"]
    assert stored["mean"] == pytest.approx([1000, 20], rel=0.05)
    assert stored["std"] == pytest.approx([30, 5], rel=0.2)
    assert run.spec.data.standardize
    assert run.reconstruct(THOUSANDS[:5]).numpy()[:, 0] == pytest.approx([1000] * 5, abs=200)


def test_numbers_near_the_scale_of_about_1_are_trained_on_as_they_are(tmp_path):
    asked, told = (
        fit(data=NEAR, steps=3, run_dir=tmp_path / name, **options)
        for name, options in (("a", {}), ("b", {"standardize": False}))
    )
    assert asked.info["data"]["scaling"] is None
    assert asked.metrics["test"] == told.metrics["test"]


@pytest.mark.parametrize("standardize", [True, False])
def test_what_is_said_is_done_without_a_warning(standardize, tmp_path):
    run = fit(data=NEAR * 3 + 2, steps=3, run_dir=tmp_path / "run", standardize=standardize)
    assert (run.info["data"]["scaling"] is not None) == standardize


@pytest.mark.parametrize("data", [None, "digits", "toy:n=5"])
def test_standardize_goes_with_an_array(data, tmp_path):
    with pytest.raises(SpecError, match=r"standardize= goes with data= as an object, .*:.*standardize=true"):
        fit(data=data, steps=3, run_dir=tmp_path / "run", standardize=True)


@pytest.mark.parametrize("data", [THOUSANDS, NEAR], ids=["thousands", "near"])
def test_a_run_is_resumed_on_the_scale_that_it_was_begun_on(data, tmp_path, monkeypatch):
    options = {"data": data, "steps": 8, "save_every": 4, "standardize": "auto"}
    with pytest.warns(UserWarning, match=FAR) if data is THOUSANDS else contextlib.nullcontext():
        whole = fit(run_dir=tmp_path / "whole", **options)
        halved = fit(run_dir=tmp_path / "half", **options)
    (halved.path / "metrics.json").unlink()
    for step in sorted((halved.path / "checkpoints").iterdir())[1:]:
        shutil.rmtree(step)
    resumed = resume(halved.path, data=data)
    assert resumed.metrics["test"] == whole.metrics["test"]


def test_a_run_of_a_former_version_was_not_scaled(tmp_path):
    run = fit(data=NEAR, steps=4, save_every=2, run_dir=tmp_path / "run")
    description = json.loads((run.path / "run.json").read_text())
    for spec in (description["spec"], description["asked"]):
        spec["data"] = spec["data"].replace(",standardize=false", "")
    (run.path / "run.json").write_text(json.dumps(description))
    assert load_run(run.path).spec.data.standardize is False
