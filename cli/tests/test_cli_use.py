"""What can be done with a run: sample, encode, list; and what is said of the components."""

import json
import os
import shutil

import numpy as np
import pytest

# --- sample ----------------------------------------------------------------------------------------------------


def test_samples_of_images_are_a_picture(ok, trained, here):
    result = ok("sample", trained / "images", "-n", 9)
    assert (trained / "images" / "samples-9.png").stat().st_size > 500
    assert result.stdout == f"9 samples in {trained / 'images' / 'samples-9.png'}\n"


def test_samples_of_vectors_are_numbers(ok, trained):
    ok("sample", trained / "points", "-n", 7)
    assert np.load(trained / "points" / "samples-7.npy").shape == (7, 2)


@pytest.mark.parametrize("run", ["points", "images"])
@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "png"])
def test_every_kind_of_file(ok, trained, here, run, suffix):
    path = here / "new" / f"s.{suffix}"
    ok("sample", trained / run, "-n", 5, "-o", path, "--noise")
    width = 2 if run == "points" else 64
    if suffix == "csv":
        assert np.loadtxt(path, delimiter=",", skiprows=1).shape == (5, width)
    elif suffix == "png":
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        array = np.load(path)
        array = array["x"] if suffix == "npz" else array
        assert array.reshape(5, -1).shape == (5, width)


def test_a_seed_gives_the_same_samples(ok, trained, here):
    for name, seed, noise in (("a", 1, []), ("b", 1, []), ("c", 2, []), ("d", 1, ["--noise"])):
        ok("sample", trained / "points", "-n", 5, "-o", f"{name}.npy", "--seed", seed, *noise)
    a, b, c, d = (np.load(f"{name}.npy") for name in "abcd")
    assert (a == b).all()
    assert (a != c).any()
    assert (a != d).any()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-n", "0"], "at least 1"),
        (["-o", "x.jpg"], "suffixes: .csv, .npy, .npz, .png"),
        (["-o", "x.pngg"], "did you mean '.png'?"),
        (["-n", "20000", "-o", "x.png"], "too many for one picture"),
        (["--device", "gpu"], "device 'gpu' is not here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_sample_refuses(call, trained, args, expected):
    result = call("sample", trained / "points", *args)
    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_disk_that_does_not_take_it(call, trained, here):
    here.chmod(0o500)
    result = call("sample", trained / "points", "-o", here / "x.npy")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_an_output_that_is_in_the_way(call, trained, here):
    (here / "file").write_text("")
    result = call("sample", trained / "points", "-o", here / "file" / "x.npy")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_run_is_found_by_its_name(ok, trained, here):
    (here / "runs").mkdir()
    shutil.copytree(trained / "points", here / "runs" / "first")
    ok("sample", "first", "-n", 3)
    assert (here / "runs" / "first" / "samples-3.npy").exists()


def test_damaged_weights_are_told(call, trained, here):
    shutil.copytree(trained / "points", here / "run")
    (here / "run" / "model.safetensors").write_bytes(b"x")
    result = call("sample", "run")
    assert result.exit_code == 2
    assert "damaged" in result.stderr


# --- encode ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "n"), [(None, 12), ("train", 96), ("validation", 12), ("test", 12)])
def test_encode_a_split(ok, trained, split, n):
    result = ok("encode", trained / "points", *(["--split", split] if split else []))
    arrays = np.load(trained / "points" / f"encoding-{split or 'test'}.npz")
    assert set(arrays) == {"mean", "std", "y", "z", "z_mean", "labels", "class_names"}
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
    assert wrong.exit_code == 2
    assert "shape (1, 8, 8)" in wrong.stderr
    wrong = call("encode", trained / "points", "-o", "a.png")
    assert wrong.exit_code == 2
    assert ".npz" in wrong.stderr


def test_encode_without_labels(ok, tiny):
    ok("train", "--data", "toy_space", *tiny, "--run-dir", "run", "--quiet", "--no-pictures")
    ok("encode", "run")
    assert "labels" not in np.load("run/encoding-test.npz")


# --- runs ------------------------------------------------------------------------------------------------------


def test_runs_lists_good_and_bad(ok, trained, here):
    shutil.copytree(trained / "points", here / "runs" / "good")
    broken = {
        "empty": None,
        "damaged": "{",
        "list": "[]",
        "nothing": "{}",
        "future": '{"format": 99}',
        "undated": json.dumps({**json.loads((trained / "points" / "run.json").read_text()), "created": "yesterday"}),
    }
    for name, text in broken.items():
        (here / "runs" / name).mkdir()
        if text is not None:
            (here / "runs" / name / "run.json").write_text(text)
    (here / "runs" / ".hidden").mkdir()
    (here / "runs" / "notes.txt").write_text("x")
    rows = {row["run_dir"].removeprefix("runs/"): row for row in json.loads(ok("runs", "--json").stdout)}
    assert set(rows) == {"good", *broken}
    good = rows.pop("good")
    assert good["problem"] is None
    assert (good["status"], good["step"], good["mapping"], good["data"]) == ("finished", 20, ["halves"], "toy_points")
    assert isinstance(good["test_elbo"], float)
    assert all(row["status"] == "broken" and row["problem"] for row in rows.values())
    assert "no run.json" in rows["empty"]["problem"]
    assert "format 99" in rows["future"]["problem"]
    table = ok("runs").stdout
    assert all(name in table for name in broken)
    assert "format 99" in table
    assert "nats per example" in table


def test_runs_of_one_run_and_of_none(ok, trained, here):
    assert len(json.loads(ok("runs", trained / "points", "--json").stdout)) == 1
    assert json.loads(ok("runs", "--json").stdout) == []
    assert "No runs in runs" in ok("runs").stderr


def test_an_unfinished_run_shows_how_far_it_came(ok, trained, here):
    shutil.copytree(trained / "points", here / "runs" / "killed")
    (here / "runs" / "killed" / "metrics.json").unlink()
    with (here / "runs" / "killed" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 2')
    (row,) = json.loads(ok("runs", "--json").stdout)
    assert (row["status"], row["step"], row["test_elbo"]) == ("unfinished", 20, None)
    assert "20/20" in ok("runs").stdout


def test_a_run_whose_plugin_is_gone_is_listed(ok, trained, monkeypatch):
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "toys")
    assert "halves:dims=null" in json.loads(ok("runs", trained / "points", "--json").stdout)[0]["mapping"][0]


# --- plugins and schema ----------------------------------------------------------------------------------------


def test_plugins_list_tells_every_status(ok, call, with_rotten):
    rows = {(row["distribution"], row["name"]): row for row in json.loads(ok("plugins", "list", "--json").stdout)}
    status = {key: row["status"] for key, row in rows.items()}
    assert status["toys", "halves"] == "OK"
    assert status["intelvae-core", "identity"] == "OK"
    assert status["one", "twice"] == status["two", "twice"] == "CONFLICT"
    assert status["futuristic", "future"] == "TOO NEW"
    for name in ("crash", "heavy", "plain", "gone", "bad_hook"):
        assert status["rotten", name] == "BROKEN"
        assert rows["rotten", name]["reason"]
    assert rows["toys", "halves"]["summary"] == "Two half planes, pulled apart."
    assert call("plugins", "list", "--check").exit_code == 1
    assert call("plugins", "list", "networks", "--check").exit_code == 0
    table = ok("plugins", "list", "mappings").stdout
    assert "BROKEN" in table
    assert "no licence found" in table
    assert "toy_points" not in table


def test_plugins_can_be_left_out(ok, call, monkeypatch):
    rows = json.loads(ok("--no-plugin", "toys", "--no-plugin", "iwae", "plugins", "list", "--json").stdout)
    disabled = {row["name"] for row in rows if row["status"] == "DISABLED"}
    assert {"halves", "toy_points", "iwae"} <= disabled
    assert "identity" not in disabled
    result = call("--no-plugin", "halves", "train", "--data", "toy_points", "--mapping", "halves")
    assert result.exit_code == 2
    assert "DISABLED" in result.stderr
    monkeypatch.setenv("INTEL_DISABLE_PLUGINS", "iwae")
    assert call("--no-plugin", "halves", "train", "--objective", "iwae", "--data", "toy_points").exit_code == 2
    assert "INTEL_DISABLE_PLUGINS" in os.environ
    assert os.environ["INTEL_DISABLE_PLUGINS"] == "iwae"


def test_plugins_show(ok):
    text = ok("plugins", "show", "halves").stdout
    for said in ("Two half planes", "toys 1.2", "plugin API 1", "gap", "number >= 0, <= 100", "5.0", "how far apart"):
        assert said in text
    assert "Example: intel train --mapping halves:gap=5.0" in text
    both = json.loads(ok("plugins", "show", "linear", "--json").stdout)
    assert {entry["kind"] for entry in both} == {"networks", "schedules"}
    one = json.loads(ok("plugins", "show", "intelvae-core/linear", "--kind", "schedule", "--json").stdout)
    assert one[0]["example"] == "intel train --schedule kl=linear:steps=1000"
    assert "takes no settings" in ok("plugins", "show", "bernoulli").stdout


def test_the_examples_of_plugins_show_can_be_parsed(ok, with_rotten):
    from intel_core import parse_spec

    for row in json.loads(ok("plugins", "list", "--json").stdout):
        if row["status"] == "OK" and row["distribution"] in ("toys", "intelvae-core") and row["name"] != "memory":
            (entry,) = json.loads(ok("plugins", "show", row["name"], "--kind", row["kind"], "--json").stdout)
            parse_spec(row["kind"], entry["example"].split()[-1].removeprefix("kl="))


def test_schema(ok, call):
    run = json.loads(ok("schema").stdout)
    assert run == json.loads(ok("schema", "run").stdout)
    assert run["properties"]["latent"]["description"]
    assert run["additionalProperties"] is False
    halves = json.loads(ok("schema", "mapping", "halves").stdout)
    assert halves["properties"]["gap"]["maximum"] == 100
    assert json.loads(ok("schema", "mappings", "toys/halves").stdout) == halves
