"""`intel encode`: which examples are encoded, and what is in the file."""

import numpy as np
import pytest


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
