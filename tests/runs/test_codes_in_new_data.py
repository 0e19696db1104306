"""A code such as -999 that training warns of is warned of in new data as well, in the same words."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from intel_core import fit, make_dataset
from intel_core.reading.capabilities import Examples

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(np.c_[100 + 5 * RNG.normal(size=200), RNG.normal(size=200)], columns=["temp", "c"])
WITH_CODES = TABLE.copy()
WITH_CODES.loc[::20, "temp"] = -999.0
SAID = "values that look like codes for missing ones are taken as numbers: -999 (column 'temp', {} of {} rows); if they"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    small = {"steps": 20, "latent": 2, "device": "cpu", "batch_size": 50}
    return fit(data=TABLE, standardize=True, run_dir=tmp_path_factory.mktemp("codes") / "run", **small)


def told(call, *args, **settings):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call(*args, **settings)
    return [str(one.message) for one in seen]


def test_new_data_are_looked_through_as_training_data_are(run):
    (first,) = told(make_dataset, "examples", WITH_CODES, standardize=True)
    assert first.startswith(f"examples: {SAID.format(10, 200)}")
    for call in (run.encode, run.reconstruct):
        assert told(call, WITH_CODES) == [first]
    raw = Examples(torch.tensor(WITH_CODES.to_numpy()), columns=("temp", "c"))
    assert told(run.adapt, raw, "examples") == [first]
    assert told(run.adapt, raw, "") == []


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_a_few_rows_are_held_against_what_the_training_data_had(run, rows):
    assert told(run.encode, TABLE[:rows]) == []
    (said,) = told(run.encode, WITH_CODES[:rows])
    assert said.startswith(f"examples: {SAID.format(1, rows)}")


def test_standardised_values_and_the_runs_own_data_are_not_looked_through(run):
    assert told(run.encode, run.units.standardise(torch.tensor(TABLE.to_numpy())), standardised=True) == []
    assert told(run.encode, TABLE) == []


def test_bytes_are_no_codes(tmp_path):
    x = np.zeros((40, 1, 4, 4), np.uint8)
    x[:, 0, 0, 0] = np.arange(40) % 5
    x[3, 0, 1, 1] = 99
    run = fit(data=x, run_dir=tmp_path / "run", steps=5, latent=2, device="cpu", batch_size=20)
    assert told(run.encode, x) == []
