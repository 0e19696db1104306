"""`intel encode` of tables: what tells the rows apart is written beside their encodings, in every format."""

import numpy as np
import pandas as pd
import pytest

from intel_core import load_run


@pytest.fixture
def tables(ok, here):
    """A run on a table with ids and gaps, and the same rows as a file of other data."""
    pytest.importorskip("intel_datasets")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)) * 10 + 50, columns=["height", "age"])
    frame.loc[[3, 9], "height"] = np.nan
    frame = frame.assign(patient=[f"{i:03d}" for i in range(40)], kind=np.array(["cat", "dog"])[np.arange(40) % 2])
    frame.to_csv("t.csv", index=False)
    settings = "label=kind,id=patient,missing=median"
    mapping = "cluster:k=3"
    ok(
        "train",
        "--data",
        f"table:path=t.csv,{settings}",
        "--mapping",
        mapping,
        "--steps",
        "5",
        "--run-dir",
        "run",
        "--quiet",
        "--no-pictures",
    )
    return frame


def read(path):
    return pd.read_parquet(path) if str(path).endswith("parquet") else pd.read_csv(path, dtype={"name": str})


@pytest.mark.parametrize("path", ["latents.csv", "latents.parquet"])
def test_all_parts_with_ids_splits_rows_classes_and_clusters(path, ok, tables):
    ok("encode", "run", "--split", "all", "-o", path)
    table = read(path)
    assert list(table.columns[:4]) == ["name", "split", "row", "label"]
    assert list(table.columns[-2:]) == ["cluster", "cluster_probability"]
    assert sorted(table["row"]) == list(range(40))
    assert table["name"].tolist() == [f"{row:03d}" for row in table["row"]]
    assert table["label"].tolist() == tables["kind"][table["row"]].tolist()
    assert table["split"].value_counts().to_dict() == {"train": 32, "validation": 4, "test": 4}
    expected = load_run("run").encode(tables).to_frame().iloc[table["row"]]
    for column in ("mean0", "std0", "z_mean0"):
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-4, atol=1e-5)
    assert table["cluster"].tolist() == expected["cluster"].tolist()


def test_one_part_and_the_format_of_arrays(ok, tables):
    ok("encode", "run", "--split", "validation")
    ok("encode", "run", "--split", "all")
    with np.load("run/encoding-validation.npz") as part, np.load("run/encoding-all.npz") as whole:
        assert set(part["splits"]) == {"validation"}
        rows = whole["splits"] == "validation"
        for name in ("names", "rows", "labels", "cluster"):
            assert np.array_equal(part[name], whole[name][rows])
        np.testing.assert_allclose(part["mean"], whole["mean"][rows], rtol=1e-5, atol=1e-6)


def test_rows_of_other_data_are_filled_in_by_the_training_rows_of_the_run(ok, tables):
    tables[:10].to_csv("new.csv", index=False)
    ok("encode", "run", "--data", "new.csv", "-o", "new.csv.parquet")
    table = read("new.csv.parquet")
    fill = load_run("run").info["data"]["missing"]["values"]
    expected = load_run("run").encode(tables[:10].fillna({"height": fill[0]})[["height", "age"]])
    assert table["name"].tolist() == [f"{i:03d}" for i in range(10)]
    np.testing.assert_allclose(table["mean0"], expected.mean[:, 0], rtol=1e-5, atol=1e-6)
    said = ok("encode", "run", "--data", "new.csv:missing=drop", "-o", "fewer.csv").output
    assert "2 rows are left out, since something is missing in them" in said
    assert read("fewer.csv")["name"].tolist() == [f"{i:03d}" for i in range(10) if i not in (3, 9)]


def test_rows_without_a_label_are_encoded_and_have_none(ok, tables):
    new = tables[10:20].copy()
    new.loc[[12, 15], "kind"] = None
    new.to_csv("unlabelled.csv", index=False)
    ok("encode", "run", "--data", "unlabelled.csv", "-o", "some.csv")
    said = read("some.csv")["label"]
    assert said.isna().tolist() == [row in (12, 15) for row in range(10, 20)]
    assert said.dropna().tolist() == new["kind"].dropna().tolist()
    tables[10:20].drop(columns="kind").to_csv("without.csv", index=False)
    tables[10:20].assign(kind=None).to_csv("none.csv", index=False)
    for name in ("without", "none"):
        ok("encode", "run", "--data", f"{name}.csv", "-o", f"{name}-out.csv")
        assert "label" not in read(f"{name}-out.csv")


def test_a_run_without_ids_says_the_numbers_of_the_rows(ok, trained):
    ok("encode", trained / "points", "--split", "all", "-o", "p.csv")
    table = read("p.csv")
    assert list(table.columns[:3]) == ["split", "row", "label"]
    assert sorted(table["row"]) == list(range(len(table)))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-o", "x.xlsx"], "no suffix that can be written"),
        (["--split", "everything"], "'everything' is not one of"),
    ],
)
def test_what_cannot_be_written_is_refused(options, says, refused, trained):
    refused("encode", trained / "points", *options, says=says, code=2)
