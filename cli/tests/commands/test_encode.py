"""`intel encode`: which examples are encoded, and what is in the file."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from intel_core import load_run


@pytest.mark.parametrize(("split", "n"), [(None, 12), ("train", 96), ("validation", 12), ("test", 12)])
def test_encode_a_split(ok, trained, split, n):
    result = ok("encode", trained / "points", *(["--split", split] if split else []))
    arrays = np.load(trained / "points" / f"encoding-{split or 'test'}.npz")
    known = {"mean", "std", "y", "z", "z_mean", "labels", "class_names", "cluster", "cluster_probability", "splits"}
    assert set(arrays) - {"rows"} == known
    assert set(arrays["splits"]) == {split or "test"}
    assert all(len(array) == n for name, array in arrays.items() if name != "class_names")
    assert arrays["class_names"].tolist() == ["class 0", "class 1"]
    assert (arrays["std"] > 0).all()
    assert f"{n} examples of {split or 'test'}" in result.stdout


def test_encode_other_data(ok, call, trained, here):
    ok("encode", trained / "points", "--data", "toy_points:n=50", "-o", "a.npz")
    assert len(np.load("a.npz")["z"]) == 50
    ok("encode", trained / "points", "--data", "toy_points:n=50", "--split", "test", "-o", "b.npz")
    assert len(np.load("b.npz")["z"]) == 5
    ok("encode", trained / "points", "--data", "toy_points")
    assert (trained / "points" / "encoding-other.npz").exists()
    wrong = call("encode", trained / "points", "--data", "toy_images")
    assert wrong.exit_code == 3
    assert "shape (1, 8, 8)" in wrong.stderr
    wrong = call("encode", trained / "points", "-o", "a.png")
    assert wrong.exit_code == 2
    assert ".npz" in wrong.stderr


def test_encode_without_labels(ok, tiny):
    ok("train", "--data", "toy_space", *tiny, "--run-dir", "run", "--quiet", "--no-pictures")
    ok("encode", "run")
    assert "labels" not in np.load("run/encoding-test.npz")


# --- images --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(ok, here):
    """A run on grey pictures of 8x8, made from larger ones in colour, and a folder of others."""
    pytest.importorskip("intel_datasets")
    for folder, n in (("old", 20), ("new", 6)):
        (here / folder).mkdir()
        for i in range(n):
            Image.new("RGB", (16, 16), (9 * i, 200 - 9 * i, 50)).save(here / folder / f"{i:02d}.png")
    data = "images:path=old,size=8,channels=1"
    ok("train", "--data", data, "--steps", "5", "--run-dir", "run", "--quiet", "--no-pictures")
    return here


def grey(path):
    return np.asarray(Image.open(path).convert("L").resize((8, 8)))[None]


def test_rows_of_images_are_in_the_order_of_their_files_and_have_their_names(ok, pictures):
    result = ok("encode", "run", "--data", "new", "-o", "e.npz")
    with np.load("e.npz") as arrays:
        assert arrays["names"].tolist() == [f"{i:02d}.png" for i in range(6)]
        expected = load_run("run").encode(np.stack([grey(f"new/{i:02d}.png") for i in range(6)])).mean.numpy()
        np.testing.assert_allclose(arrays["mean"], expected, atol=1e-5)
    assert "6 examples" in result.stdout


@pytest.mark.parametrize("n", [1, 2])
def test_one_image_or_two_can_be_encoded(ok, pictures, n):
    for path in sorted((pictures / "new").iterdir())[n:]:
        path.unlink()
    ok("encode", "run", "--data", "new", "-o", "e.npz")
    assert len(np.load("e.npz")["mean"]) == n


def test_a_single_image_file_can_be_encoded(ok, pictures):
    ok("encode", "run", "--data", "new/03.png", "-o", "one.npz")
    ok("encode", "run", "--data", "new", "-o", "all.npz")
    assert np.load("one.npz")["names"].tolist() == ["03.png"]
    np.testing.assert_allclose(np.load("one.npz")["mean"][0], np.load("all.npz")["mean"][3], atol=1e-5)


def test_a_part_of_the_split_has_the_names_of_its_files_too(ok, pictures):
    ok("encode", "run", "--data", "old", "-o", "all.npz")
    for options in (["--split", "train"], ["--data", "old", "--split", "test"]):
        ok("encode", "run", *options, "-o", "part.npz")
        part, whole = np.load("part.npz"), np.load("all.npz")
        place = {name: row for row, name in enumerate(whole["names"].tolist())}
        rows = [place[name] for name in part["names"].tolist()]
        assert len(rows) == len(part["mean"]) < 20
        np.testing.assert_allclose(part["mean"], whole["mean"][rows], atol=1e-5)


def test_a_csv_file_has_the_names_and_classes_of_its_rows(ok, pictures):
    for name in ("b", "a"):
        (pictures / "mixed" / name).mkdir(parents=True)
        Image.new("RGB", (9, 12), (9, 9, 9)).save(pictures / "mixed" / name / "1.png")
    ok("encode", "run", "--data", "mixed", "-o", "e.csv")
    table = pd.read_csv("e.csv")
    assert table["name"].tolist() == ["a/1.png", "b/1.png"]
    assert table["label"].tolist() == ["a", "b"]
    assert [f"mean{i}" for i in range(10)] == [name for name in table.columns if name.startswith("mean")]


def test_what_is_said_goes_before_what_the_run_was_trained_with(call, pictures):
    wrong = call("encode", "run", "--data", "new:channels=3")
    assert wrong.exit_code != 0
    assert "shape (3, 8, 8)" in wrong.stderr


def test_a_path_that_is_not_utf8_is_refused_in_words(call, pictures):
    (pictures / "new").rename(pictures / "n\udce9w")
    wrong = call("encode", "run", "--data", "n\udce9w")
    assert wrong.exit_code != 0
    assert "n\\xe9w is not in UTF-8" in wrong.stderr


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tables(ok, here):
    """A run on two of the columns of a table, and tables of other rows."""
    pytest.importorskip("intel_datasets")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.array(["cat", "dog"])[np.arange(60) % 2]
    for name, part in (("old", frame[:40]), ("new", frame[40:])):
        part.to_csv(here / f"{name}.csv", index=False)
    data = "table:path=old.csv,label=kind,drop=c"
    ok("train", "--data", data, "--steps", "5", "--run-dir", "run", "--quiet", "--no-pictures")
    return here


def test_a_table_needs_not_say_again_what_the_run_said_of_its_own(ok, tables):
    ok("encode", "run", "--data", "new.csv:label=kind,drop=c", "-o", "said.npz")
    ok("encode", "run", "--data", "new.csv", "-o", "unsaid.npz")
    with np.load("said.npz") as said, np.load("unsaid.npz") as unsaid:
        assert set(said) == set(unsaid)
        assert all(np.array_equal(said[name], unsaid[name]) for name in said)
    frame = pd.read_csv("new.csv")
    frame[["b", "a"]].to_csv("fewer.csv", index=False, sep=";")
    ok("encode", "run", "--data", "fewer.csv:separator=;", "-o", "fewer.npz")
    assert np.array_equal(np.load("fewer.npz")["mean"], np.load("said.npz")["mean"])


def test_a_folder_with_a_table_for_each_part_is_read_as_a_table(ok, tables):
    (tables / "parts").mkdir()
    for name in ("train", "val", "test"):
        pd.read_csv("new.csv").to_csv(tables / "parts" / f"{name}.csv", index=False)
    ok("train", "--data", "parts:label=kind", "--steps", "5", "--run-dir", "other", "--quiet", "--no-pictures")
    data = load_run("other").info["data"]
    assert (data["train"], data["validation"], data["test"]) == (20, 20, 20)


@pytest.mark.filterwarnings("always:.*codes for missing")
@pytest.mark.parametrize(("options", "rows"), [((), 20), (("--split", "train"), 20)])
def test_a_code_for_missing_values_is_warned_of_once(ok, tables, options, rows):
    frame = pd.read_csv("new.csv")
    frame.loc[[3, 8], ["a", "c"]] = -999  # c is no column of the run
    frame.to_csv("codes.csv", index=False)
    said = ok("encode", "run", "--data", "codes.csv", "-o", "codes.npz", *options).stderr
    assert said.count("Warning") == 1
    assert f"codes for missing ones are taken as numbers: -999 (column 'a', 2 of {rows} rows)" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="a"), "other.csv: there is no column 'a'; columns: b, c"),
        (lambda frame: frame.drop(columns="a").assign(note="x"), "other.csv: there is no column 'a'; columns: b, c"),
        (lambda frame: frame.assign(a="?"), "column 'a' of other.csv is not numeric"),
        (lambda frame: frame.assign(a=1e300), "column 'a' of other.csv has values beyond"),
    ],
)
def test_other_data_that_do_not_fit_are_named(refused, tables, change, says):
    change(pd.read_csv("new.csv")).to_csv("other.csv", index=False)
    (line,) = refused("encode", "run", "--data", "other.csv", "-o", "other.npz", says=says, code=3)
    assert "other.csv" in line


# --- arrays --------------------------------------------------------------------------------------------------------


def test_arrays_of_one_name_need_not_be_named_again(ok, here):
    pytest.importorskip("intel_datasets")
    rng = np.random.default_rng(0)
    for name in ("old", "new"):
        np.savez(here / f"{name}.npz", other=rng.normal(size=5), cells=rng.normal(size=(20, 3)), kind=np.arange(20) % 2)
    data = "arrays:path=old.npz,key=cells,labels_key=kind"
    ok("train", "--data", data, "--steps", "5", "--run-dir", "run", "--quiet", "--no-pictures")
    ok("encode", "run", "--data", "new.npz", "-o", "e.npz")
    with np.load("e.npz") as arrays:
        assert arrays["mean"].shape[0] == 20
        assert arrays["labels"].tolist() == [0, 1] * 10


def test_a_part_of_other_images_is_read_as_the_run_read_its_own(ok, pictures):
    ok("encode", "run", "--data", "new", "--split", "train", "-o", "e.npz")
    assert len(np.load("e.npz")["mean"]) == 4


# --- mixture priors ------------------------------------------------------------------------------------------------

SMALL = ("--latent", "3", "--steps", "40", "--network", "mlp:hidden=[8]", "--quiet", "--no-pictures")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--prior", "mog:k=3"], "cluster"),
        (["--prior", "gmvae:k=3,w=1", "--mapping", "first:keep=2"], "cluster"),
        (["--prior", "mog:k=3", "--mapping", "halves"], "component"),  # the clusters are the mapping's
        (["--prior", "vamp:components=4"], "component"),  # as many as pseudo-inputs, and no clusters
    ],
)
def test_the_component_of_a_mixture_prior_is_written_under_the_name_that_evaluate_uses(ok, here, options, name):
    pytest.importorskip("intel_priors")
    ok("train", "--data", "toy_points", *options, *SMALL, "--run-dir", "run")
    result = ok("encode", "run", "-o", "e.npz")
    assert f"{name}, {name}_probability" in result.stdout
    prior = load_run("run").model.current_prior()
    with np.load("e.npz") as arrays, torch.no_grad():
        assert {"cluster", "component"} & set(arrays) == {name, *(["cluster"] if "halves" in options else [])}
        shares = prior.log_responsibilities(torch.from_numpy(arrays["mean"])).exp()
        assert arrays[name].tolist() == shares.argmax(-1).tolist()
        np.testing.assert_allclose(arrays[f"{name}_probability"], shares.max(-1).values, rtol=1e-5)
        assert arrays[f"{name}_probability"].min() >= 1 / prior.k - 1e-6
        expected = arrays[name].tolist()
    ok("encode", "run", "-o", "e.csv")
    assert pd.read_csv("e.csv")[name].tolist() == expected


@pytest.mark.parametrize("prior", ["standard", "flow:hidden=[8]", "mog:k=1"])
def test_no_component_is_written_where_there_are_not_several(ok, here, prior):
    pytest.importorskip("intel_priors")
    ok("train", "--data", "toy_points", "--prior", prior, *SMALL, "--run-dir", "run")
    ok("encode", "run", "-o", "e.npz")
    assert set(np.load("e.npz")) - {"splits", "rows"} == {"mean", "std", "y", "z", "z_mean", "labels", "class_names"}


def test_clusters_of_encodings_have_the_shares_that_evaluate_says(ok, here):
    pytest.importorskip("intel_priors")
    pytest.importorskip("intel_metrics")
    ok("train", "--data", "toy_points", "--prior", "mog:k=2,means=line", *SMALL, "--run-dir", "run")
    ok("encode", "run", "-o", "e.npz")
    (measured,) = load_run("run").measure("clusters")
    shares = [measured.measurement.numbers[f"data in cluster {i}"].value for i in range(2)]
    assert np.bincount(np.load("e.npz")["cluster"], minlength=2) / 12 == pytest.approx(shares)
