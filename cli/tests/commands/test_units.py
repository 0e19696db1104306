"""Are tables spoken of in their own units? Encoding other rows, and sampling, of a standardised table."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("intel_datasets")


@pytest.fixture
def trained(ok, here):
    x = np.random.default_rng(0).normal(size=(80, 2)) * [10, 0.1] + [100, -5]
    pd.DataFrame(x, columns=["a", "b"]).to_csv(here / "a.csv", index=False)
    pd.DataFrame(3 * x + 100, columns=["a", "b"]).to_csv(here / "b.csv", index=False)
    ok("train", "--data", "a.csv", "--steps", "30", "--run-dir", "run", "--no-pictures", "--quiet")
    return here


def means(ok, data):
    ok("encode", "run", "--data", data, "-o", "out.npz")
    with np.load("out.npz") as arrays:
        return arrays["mean"]


def test_other_rows_are_standardised_as_the_training_rows_were(trained, ok):
    same, other = means(ok, "a.csv"), means(ok, "b.csv")
    assert same.shape == other.shape == (80, 2)
    assert not np.allclose(same, other, atol=0.5)


def test_samples_are_in_the_units_of_the_file(trained, ok):
    ok("sample", "run", "-n", "50", "--noise", "-o", "s.npy")
    samples = np.load("s.npy")
    assert 70 < samples[:, 0].mean() < 130
    assert -5.5 < samples[:, 1].mean() < -4.5


def test_a_config_from_a_run_keeps_what_was_asked_only(trained, ok):
    done = ok("train", "--config", "run/run.json", "--steps", "2000", "--dry-run")
    assert "linear:start=0.0,end=1.0,steps=1000" in done.stdout
    assert "evaluate_every: 100" in done.stdout
