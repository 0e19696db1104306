"""`intel sample`: what it draws, into which files, and what it refuses."""

import os
import shutil

import numpy as np
import pytest


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
        (["-n", "0"], "not in the range x>=1"),
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


@pytest.mark.parametrize("sampler", ["pooled:components=2", "flow:transforms=1,hidden=[8],steps=50"])
def test_a_sampler_is_fitted_once_named_and_never_the_default(ok, trained, here, sampler):
    pytest.importorskip("intel_metrics")
    pytest.importorskip("intel_priors")
    shutil.copytree(trained / "points", "run")
    name = sampler.partition(":")[0]
    first = ok("sample", "run", "-n", 5, "--from", sampler, "-o", "a.npy")
    assert f"Fitting {name}" in first.stderr
    assert f"5 samples from {sampler}" in first.stdout
    assert "fitted now" in first.stdout
    again = ok("sample", "run", "-n", 5, "--from", sampler, "-o", "b.npy")
    assert "Fitting" not in again.stderr
    ok("sample", "run", "-n", 5, "-o", "c.npy")
    assert np.array_equal(np.load("a.npy"), np.load("b.npy"))
    assert not np.array_equal(np.load("a.npy"), np.load("c.npy"))


def test_a_sampler_that_is_not_there_is_told_in_a_line(refused, trained):
    pytest.importorskip("intel_priors")
    refused("sample", trained / "points", "--from", "flwo", says="did you mean 'flow'")
    refused("sample", trained / "points", "--from", "flow:form=glow", says="form")
