"""Conditions on the command line: `--conditions` of `intel train` and `intel sample`, and in files."""

import csv

import numpy as np
import pytest


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with a batch that moves both columns."""
    path, random = tmp_path_factory.mktemp("tables") / "cells.csv", np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["p", "q", "batch", "age"])
        for row in range(120):
            batch, age = "ab"[row % 2], 40 + row % 7
            writer.writerow([*(random.normal(size=2) + 3 * (batch == "b")).round(4), batch, age])
    return path


SHORT = ["--steps", 40, "--latent", 2, "--device", "cpu", "--no-pictures"]


def test_a_run_with_conditions_from_training_to_report(ok, table, here):
    ok("train", "--data", table, "--conditions", "batch,age", "--mapping", "cluster:k=2", "--run-dir", "run", *SHORT)
    ok("sample", "run", "-n", 5, "--conditions", "batch=b,age=41", "-o", "b.npy")
    ok("sample", "run", "-n", 5, "--conditions", "batch=a,age=41", "-o", "a.npy")
    ok("sample", "run", "-n", 5, "-o", "any.npy")
    assert not np.array_equal(np.load("a.npy"), np.load("b.npy"))
    ok("encode", "run", "--split", "test", "-o", "own.npz")
    ok("encode", "run", "--data", table, "-o", "again.npz")
    assert len(np.load("again.npz")["mean"]) == 120
    ok("report", "run")
    assert (here / "run" / "report.html").is_file()


def test_the_word_is_the_same_in_a_config_file(ok, table, here):
    (here / "c.yaml").write_text(f"data: {table}\nconditions: [batch]\n")
    ok("train", "--config", "c.yaml", "--run-dir", "listed", *SHORT)
    ok("train", "--data", f"{table}:conditions=batch", "--run-dir", "said", *SHORT)
    for name in ("listed", "said"):
        ok("sample", name, "-n", 4, "--conditions", "batch=b", "-o", f"{name}.npy")
    assert np.array_equal(np.load("listed.npy"), np.load("said.npy"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["train", "--data", "{table}", "--conditions", "bach"], "did you mean 'batch'"),
        (["train", "--data", "digits", "--conditions", "bach"], "conditions=labels takes its labels"),
        (["train", "--data", "circle", "--conditions", "labels"], "has no labels"),
        (["sample", "{run}", "--conditions", "batch"], "expected NAME=VALUE"),
        (["sample", "{run}", "--conditions", "batch=c"], "no training example has 'c'"),
        (["sample", "{run}", "--conditions", "batch=a,batch=b"], "given twice"),
        (["sample", "{run}", "--conditions", "bach=a"], "did you mean 'batch'"),
        (["encode", "{run}", "--data", "{other}"], "do not tell them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_refused(ok, call, table, here, args, said):
    (here / "other.csv").write_text("p,q\n" + "1.5,2\n2,3\n1,0.5\n3,1\n2,2.5\n")
    if "{run}" in args:
        ok("train", "--data", f"{table}:drop=age", "--conditions", "batch", "--run-dir", "run", *SHORT)
    places = {"{table}": table, "{run}": "run", "{other}": "other.csv"}
    result = call(*[places.get(one, one) for one in args], *(SHORT if args[0] == "train" else []))
    assert result.exit_code in (2, 3), result.output  # a wrong setting, or data that do not fit
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
