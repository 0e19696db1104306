"""Is the reader of an object found by its class, are those of strangers equal, and is nothing imported for it?"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import Field

from intel_core import DataError, Examples, InputSpec, SpecError, fit, make_dataset, parse_spec, register
from intel_core.components import discovery
from intel_core.reading.inputs import reader_class

X = np.random.default_rng(0).normal(size=(60, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
SMALL = {"steps": 4, "batch_size": 10, "latent": 2, "encoder": "mlp:hidden=[6]", "device": "cpu"}


class Crate:
    """What a stranger's library holds data in."""

    def __init__(self, x):
        self.boxes = {"x": x, "twice": 2 * x}


class CrateInput(InputSpec):
    """Reads the boxes of a crate."""

    types = (f"{Crate.__module__.partition('.')[0]}.Crate",)
    box: str = Field("x", description="which one")

    def read(self, name, given, choose=None):
        return Examples(torch.tensor(given.boxes[self.box]))


@pytest.fixture
def crates(monkeypatch):
    monkeypatch.setattr(discovery, "registered", dict(discovery.registered))
    register("inputs", "crate", CrateInput)


def test_a_stranger_adds_a_kind_of_object_and_its_options_are_kept_for_what_comes_later(crates, tmp_path):
    run = fit(data=Crate(X), box="twice", standardize=True, run_dir=tmp_path / "run", **SMALL)
    assert run.info["data"]["reader"] == "crate:box=twice"
    assert torch.equal(run.encode(Crate(X)).mean, run.encode(2 * X).mean)
    assert run.took(dataset=Crate(X)).headline


def test_the_reader_of_the_nearest_class_is_taken_and_equal_ones_are_told(crates):
    class Better(CrateInput):
        """Reads crates as well."""

    class Special(Crate):
        """A crate of another library."""

    register("inputs", "better", Better)
    with pytest.raises(
        SpecError, match=r"^data: a Crate is read by this-process/crate and by this-process/better; INTEL"
    ):
        reader_class(Crate(X))
    Better.types = (f"{Special.__module__.partition('.')[0]}.{Special.__qualname__}",)
    assert reader_class(Special(X)) is Better
    assert reader_class(Crate(X)) is CrateInput


def test_a_reader_that_is_broken_keeps_no_other_from_reading(monkeypatch):
    monkeypatch.setattr(discovery, "registered", dict(discovery.registered))
    component = discovery.Component("inputs", "lost", "intel-lost", "1", "no_such_module:Lost")
    monkeypatch.setattr(
        discovery,
        "_entries",
        lambda path, found=discovery._entries: {**found(path), "inputs": (*found(path)["inputs"], component)},
    )
    assert make_dataset("x", FRAME).columns == ("a", "b", "c")


@pytest.mark.slow
def test_nothing_is_imported_that_was_not_given():
    """An array, and an object whose class only has the name of another library's, import no library."""
    code = (
        "import sys, numpy as np; from intel_core import make_dataset;"
        "make_dataset('x', np.random.default_rng(0).normal(size=(20, 2)));"
        "heavy = ('pandas', 'polars', 'narwhals', 'anndata', 'datasets', 'sklearn', 'scipy');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("text", ['frame:label=kind,drop=["x"]', "torch:examples=3", "array", "sparse_matrix", "parts"])
def test_readers_have_texts(text):
    assert str(parse_spec("inputs", text)) == text


def test_an_object_that_only_looks_like_a_frame_is_told(tmp_path):
    made = type("DataFrame", (), {"__module__": "polars"})
    with pytest.raises(DataError, match=r"^data: a DataFrame that is no data frame for narwhals: "):
        fit(data=made(), run_dir=tmp_path / "run", **SMALL)
