"""Is a file encoded as the training data was: its rows in order, its columns by name, its units, its classes?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from intel_cli.main import intel

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": np.arange(60),
        "length": RNG.normal(1000, 3, 60),
        "weight": RNG.normal(0, 0.1, 60),
        "kind": np.array(["fox", "hare", "wolf"])[RNG.integers(3, size=60)],
    }
)
TABLE = "table:path={},label=kind,drop=id"


def call(*args: object) -> Result:
    return CliRunner().invoke(intel, [str(arg) for arg in args])


def encoded(*args: object) -> dict[str, Any]:
    result = call("encode", "run", "-o", "out.npz", *args)
    assert result.exit_code == 0, result.output
    return dict(np.load("out.npz"))


def refused(*args: object, code: int = 3) -> str:
    result = call("encode", "run", "-o", "out.npz", *args)
    assert result.exit_code == code, result.output
    assert not Path("out.npz").exists()
    return str(result.stderr.strip().splitlines()[-1])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on the table, in the working directory."""
    monkeypatch.chdir(tmp_path)
    FRAME.to_csv("t.csv", index=False)
    quick = ("--steps", 20, "--network", "mlp:hidden=[4]", "--run-dir", "run", "--quiet", "--no-pictures")
    result = call("train", "--data", TABLE.format("t.csv"), *quick)
    assert result.exit_code == 0, result.output


@pytest.fixture
def whole(run: None) -> dict[str, Any]:
    return encoded("--data", TABLE.format("t.csv"))


def test_rows_keep_their_order(whole: dict[str, Any]) -> None:
    assert whole["class_names"].tolist() == ["fox", "hare", "wolf"]
    assert whole["class_names"][whole["labels"]].tolist() == FRAME["kind"].tolist()
    order = np.argsort(FRAME["length"].to_numpy())
    FRAME.iloc[order].to_csv("sorted.csv", index=False)
    again = encoded("--data", TABLE.format("sorted.csv"))
    np.testing.assert_allclose(again["mean"], whole["mean"][order], rtol=1e-5)


def test_a_part_of_the_run_s_own_data_is_encoded_alike(whole: dict[str, Any]) -> None:
    own = encoded("--split", "train")
    nearest = np.abs(own["mean"][:, None] - whole["mean"][None]).sum(-1).min(1)
    assert nearest.max() < 1e-4


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_are_found_by_name_and_others_do_not_matter(whole: dict[str, Any], suffix: str) -> None:
    other = FRAME[["kind", "weight", "length"]].assign(more=1.0)
    other.to_csv("o.csv", index=False) if suffix == "csv" else other.to_parquet("o.parquet")
    found = encoded("--data", f"table:path=o.{suffix},label=kind")
    np.testing.assert_allclose(found["mean"], whole["mean"], rtol=1e-5)


def test_a_column_that_is_missing(run: None) -> None:
    FRAME.rename(columns={"length": "lenght"}).to_csv("o.csv", index=False)
    said = refused("--data", TABLE.format("o.csv"))
    assert "there is no column 'length'; did you mean 'lenght'?" in said
    assert "trained on length, weight" in said


def test_one_row_and_classes_that_are_new(whole: dict[str, Any]) -> None:
    FRAME.iloc[[7]].assign(kind="bear").to_csv("one.csv", index=False)
    found = encoded("--data", TABLE.format("one.csv"))
    np.testing.assert_allclose(found["mean"], whole["mean"][[7]], rtol=1e-5)
    assert found["class_names"].tolist() == ["fox", "hare", "wolf", "bear"]
    assert found["labels"].tolist() == [3]
    FRAME.iloc[[7]].assign(kind="hare").to_csv("one.csv", index=False)
    assert encoded("--data", TABLE.format("one.csv"))["labels"].tolist() == [1]


def test_an_array_is_in_the_units_of_the_table(whole: dict[str, Any]) -> None:
    np.save("x.npy", FRAME[["length", "weight"]].to_numpy())
    np.testing.assert_allclose(encoded("--data", "x.npy")["mean"], whole["mean"], rtol=1e-5)
    np.save("x.npy", FRAME[["length"]].to_numpy())
    Path("out.npz").unlink()
    assert "examples have shape (1,), the run was trained on (2,)" in refused("--data", "x.npy")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda frame: frame.iloc[:50], "fingerprint"),
        (lambda frame: frame.assign(weight=1000 * frame["weight"]), "mean or spread"),
        (lambda frame: frame.assign(weight=frame["weight"] + 5), "mean or spread"),
        (lambda frame: frame.rename(columns={"weight": "mass"}), "columns"),
    ],
    ids=["fewer rows", "another unit", "another zero", "another name"],
)
def test_data_that_have_changed_are_not_taken_for_the_run_s_own(run: None, change: Any, what: str) -> None:
    change(FRAME).to_csv("t.csv", index=False)
    assert f"was trained on other data: the {what} of the training examples differs" in refused(code=2)


def test_means_that_another_machine_rounds_otherwise_are_the_same_data(run: None) -> None:
    info = json.loads(Path("run/run.json").read_text())
    info["data"]["scaling"]["mean"] = [mean * (1 + 1e-13) for mean in info["data"]["scaling"]["mean"]]
    Path("run/run.json").write_text(json.dumps(info))
    assert len(encoded()["mean"]) == 6


def test_a_single_column(tmp_path: Path, run: None) -> None:
    np.save("one.npy", FRAME["weight"].to_numpy())
    quick = ("--steps", 20, "--network", "mlp:hidden=[4]", "--run-dir", "line", "--quiet", "--no-pictures")
    assert call("train", "--data", "one.npy", *quick).exit_code == 0
    assert call("encode", "line", "--data", "one.npy", "-o", "line.npz").exit_code == 0
    assert len(np.load("line.npz")["mean"]) == 60


def test_samples_have_the_names_of_the_columns(run: None) -> None:
    assert call("sample", "run", "-n", 5, "-o", "s.csv").exit_code == 0
    assert list(pd.read_csv("s.csv").columns) == ["length", "weight"]


def test_a_column_of_large_numbers_does_not_drown_the_others_in_the_report(tmp_path: Path, run: None) -> None:
    """Principal axes of raw columns would be those of the largest unit alone."""
    wide = FRAME.assign(tall=RNG.normal(0, 1e4, 60))
    wide.to_csv("wide.csv", index=False)
    quick = ("--steps", 20, "--network", "mlp:hidden=[4]", "--run-dir", "wide", "--quiet", "--no-pictures")
    assert call("train", "--data", TABLE.format("wide.csv"), *quick).exit_code == 0
    assert call("report", "wide").exit_code == 0
    page = Path("wide/report.html").read_text(encoding="utf-8")
    assert "over training data in grey, columns standardised" in page
    shares = [int(found) for found in re.findall(r"principal axis 1 \((\d+)% of variance\)", page)]
    assert shares
    assert max(shares) < 75
