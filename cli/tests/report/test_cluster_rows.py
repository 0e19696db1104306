"""The report's section on clusters: a row for each, what other runs say of them, and nothing where there are none."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from intel_cli.report.clusters import clusters_part, examples_of

from intel_core import fit, load_run
from intel_core.evaluation.bias.gathering import choose_rows

QUICK = ("--steps", "30", "--network", "mlp:hidden=[8]", "--batch-size", "20", "--quiet", "--no-pictures")


@pytest.fixture
def points(trained, here):
    shutil.copytree(trained / "points", here / "points")
    return load_run(here / "points")


def examples(run):
    dataset = run.dataset()
    rows = choose_rows(len(dataset.test), 5000)
    return examples_of(dataset.test, dataset.class_names, rows, run.encode(dataset.test.x[rows], standardised=True))


def section(ok, *words):
    ok("report", *words, "-o", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    found = re.search(r'<section id="clusters".*?</section>', page, re.DOTALL)
    assert ('href="#clusters"' in page) == (found is not None)
    return found[0] if found else ""


def test_each_cluster_has_its_size_with_an_interval_its_share_samples_and_data(ok, points):
    part = clusters_part(points, examples(points))
    found = points.encode(points.dataset().test.x, standardised=True).cluster
    assert [row.count for row in part.rows] == found.bincount(minlength=2).tolist()
    for row in part.rows:
        low, high = (float(v) for v in re.findall(r"([\d.]+)%", row.size)[1:])
        assert low <= 100 * row.count / 12 <= high
        assert row.prior == "50.0%"
        assert "<svg" in row.samples
        assert bool(row.nearest) == bool(row.count)
    shown = section(ok, "points")
    assert "share of 12 test examples (95 % interval)" in shown
    assert all(row.size in shown for row in part.rows)


def test_sizes_and_shares_are_there_for_programs(ok, points):
    told = json.loads(ok("report", "points", "--json").stdout)["clusters"]
    counts = points.encode(points.dataset().test.x, standardised=True).cluster.bincount(minlength=2)
    assert [(one["cluster"], one["count"], one["of"], one["prior_share"]) for one in told["each"]] == [
        (0, int(counts[0]), 12, 0.5),
        (1, int(counts[1]), 12, 0.5),
    ]
    assert all(low <= one["count"] / 12 <= high for one in told["each"] for low, high in [one["interval"]])


def test_rows_of_images(ok, here):
    ok("train", "--data", "toy_images", "--mapping", "halves", *QUICK, "--run-dir", "run")
    shown = section(ok, "run")
    assert shown.count('alt="Samples of cluster') == 2
    assert shown.count("data:image/") >= 3


def test_no_section_where_there_are_no_clusters(ok, trained, here):
    shutil.copytree(trained / "images", here / "images")
    assert section(ok, "images") == ""


def test_a_cluster_that_no_example_is_in_says_so(ok, here):
    run = fit(data="toy_line", mapping="halves", latent=1, steps=1, start="none", run_dir="run")
    some = examples(run)
    part = clusters_part(run, some._replace(cluster=some.cluster * 0))
    assert [row.note for row in part.rows] == ["", "No test example is in it."]
    assert part.rows[1].size.startswith("0.0% (0.0% to ")
    assert part.rows[1].nearest == ""


def test_without_data_there_are_samples_and_the_priors_shares(points):
    part = clusters_part(points, None)
    assert part.data == 0
    assert [(row.size, row.prior, bool(row.samples)) for row in part.rows] == [("", "50.0%", True)] * 2


def test_the_most_probable_examples_come_first(points):
    import torch
    from intel_cli.report.clusters import _nearest_first

    apart, certainty = torch.tensor([[3.0], [1.0], [2.0], [0.5]]), torch.tensor([1.0, 1.0, 1.0, 0.5])
    assert _nearest_first(apart, certainty).tolist() == [1, 2, 0, 3]


def test_clusters_of_other_seeds_in_the_same_folder_are_compared(ok, here):
    ok("train", "--data", "toy_points", "--mapping", "halves", *QUICK[:-1], "--replicates", 3, "--run-dir", "group")
    shown = section(ok, "group/seed-1")
    assert "The clusters of 3 runs, this one and the other seeds beside it, were compared on the test data" in shown
    assert "their adjusted Rand index" in shown


def test_clusters_of_several_starts_are_compared(ok, here):
    ok("train", "--data", "toy_points", "--mapping", "halves", *QUICK, "--restarts", 3, "--run-dir", "run")
    assert re.search(
        r"the clusters of the 2 other starts agreed with those of the start that was trained by a normalised mutual "
        r"information of [\d.]+ \([\d.]+ to [\d.]+\), on 12 validation examples",
        section(ok, "run"),
    )


def test_clusters_of_runs_that_are_named_are_compared(ok, points, refused):
    shutil.copytree("points", "again")
    shown = section(ok, "points", "--beside", "again")
    assert "The clusters of 2 runs, this one and other runs, were compared" in shown
    assert "information of two runs is 1.00, their adjusted Rand index 1.00" in shown


def test_a_run_of_other_data_is_not_compared(refused, trained, points):
    refused("report", "points", "--beside", trained / "images", says="was trained on other data than points")


def test_the_price_is_told_beside_a_run_without_clusters_that_lies_there(ok, here):
    ok("train", "--data", "toy_points", "--mapping", "halves", *QUICK, "--run-dir", "runs/halves")
    assert "nats per example" not in section(ok, "runs/halves")
    ok("train", "--data", "toy_points", *QUICK, "--run-dir", "runs/longer", "--steps", "40")
    assert "nats per example" not in section(ok, "runs/halves")  # it differs in more than the clusters
    ok("train", "--data", "toy_points", *QUICK, "--run-dir", "runs/plain")
    shown = section(ok, "runs/halves")
    assert re.search(
        r"It is [\d.]+ ± [\d.]+ nats per example (behind|ahead of) \S*runs/plain, which has no clusters", shown
    )


def test_a_run_with_clusters_of_its_own_is_not_called_one_without(ok, points):
    ok("train", "--data", "toy_points", "--mapping", "halves:gap=1", *QUICK, "--run-dir", "other")
    shown = section(ok, "points", "--against", "other")
    assert "nats per example" in shown
    assert "has no clusters" not in shown


def test_what_the_start_found_is_told(ok, here):
    pytest.importorskip("intel_starts")
    start = "kmeans:of=encodings"
    ok("train", "--data", "toy_points", "--mapping", "halves", *QUICK, "--start", start, "--run-dir", "run")
    assert re.search(f"<p>Start: {start}, after 7 steps: 2 clusters, .* of 96 training examples", section(ok, "run"))


def test_the_command_that_trains_the_same_without_clusters_can_be_pasted(ok, here):
    pytest.importorskip("intel_starts")
    pytest.importorskip("intel_cluster")
    data = ("--data", "toy_space", "--mapping", "cluster:k=3", "--start", "kmeans")
    ok("train", *data, *QUICK, "--run-dir", "run")
    command = next(
        words for words in re.findall(r"`(intel train [^`]*)`", ok("report", "run").stdout) if "identity" in words
    )
    planned = json.loads(ok(*shlex.split(command)[1:], "--dry-run", "--json").stdout)["spec"]
    assert planned["start"].startswith("none")
    assert planned["latent"] == load_run("run").spec.latent
