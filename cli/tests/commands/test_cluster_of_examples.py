"""`intel encode` says in which cluster each example is, and `intel sample --cluster` draws from one, numbered alike."""

import numpy as np
import pandas as pd
import pytest

from intel_core import load_run


def test_each_example_has_its_most_probable_cluster_and_how_probable_it_is(ok, trained, here):
    told = ok("encode", trained / "points", "-o", "e.npz").stdout
    assert "cluster, cluster_probability" in told
    run = load_run(trained / "points")
    encoding = run.encode(run.dataset().test.x, standardised=True)
    with np.load("e.npz") as arrays:
        assert arrays["cluster"].tolist() == encoding.cluster.tolist()
        assert arrays["cluster_probability"].tolist() == encoding.cluster_probability.tolist()
        assert set(arrays["cluster"].tolist()) <= {0, 1}
        assert 0.5 <= arrays["cluster_probability"].min() <= arrays["cluster_probability"].max() <= 1
        by_hand = (arrays["mean"][:, 0] > 0).astype(int)  # as the mapping assigns a mean
        sure = arrays["cluster_probability"] > 0.7
        assert arrays["cluster"][sure].tolist() == by_hand[sure].tolist()
    ok("encode", trained / "points", "-o", "e.csv")
    assert {"cluster", "cluster_probability"} <= set(pd.read_csv("e.csv"))


def test_a_run_without_clusters_has_no_such_columns(ok, trained, here):
    assert "cluster" not in ok("encode", trained / "images", "-o", "e.npz").stdout


@pytest.mark.parametrize("cluster", [0, 1])
def test_samples_of_one_cluster(ok, trained, here, cluster):
    told = ok("sample", trained / "points", "-n", 50, "--cluster", cluster).stdout
    path = trained / "points" / f"samples-50-cluster{cluster}.npy"
    assert told == f"50 samples of cluster {cluster} in {path}\n"
    drawn = load_run(trained / "points").sample(50, cluster=cluster)
    np.testing.assert_array_equal(np.load(path), drawn.numpy())


@pytest.mark.parametrize(
    ("run", "cluster", "says"),
    [
        ("points", "2", "points has no cluster 2; its 2 clusters are 0 to 1"),
        ("points", "two", "'two' is not a valid integer"),
        ("images", "0", "images has no clusters: neither its mapping nor its prior makes some"),
    ],
)
def test_what_is_no_cluster_is_told(refused, trained, run, cluster, says):
    refused("sample", trained / run, "--cluster", cluster, says=says)


@pytest.mark.slow
def test_show_encode_and_sample_number_the_clusters_alike(ok, here):
    pytest.importorskip("intel_cluster")
    pytest.importorskip("intel_datasets")
    words = ("--mapping", "cluster:k=4", "--latent", "4", "--steps", "800", "--network", "mlp:hidden=[64]", "--quiet")
    ok("train", "--data", "digits:classes=[0,1,4,6]", *words, "--no-pictures", "--run-dir", "run")
    ok("encode", "run", "-o", "e.npz")
    run = load_run("run")
    mapping = run.model.mapping
    with np.load("e.npz") as arrays:
        sure = arrays["cluster_probability"] > 0.9
        means = run.encode(run.dataset().test.x, standardised=True).mean
        assert arrays["cluster"][sure].tolist() == mapping.assign(means)[sure].tolist()
    for cluster in range(4):
        ok("sample", "run", "-n", 40, "--cluster", cluster, "-o", "s.npz")
        found = run.encode(np.load("s.npz")["x"]).cluster
        assert np.bincount(found, minlength=4).argmax() == cluster
