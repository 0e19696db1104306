"""Clusters that a training begins from: named on the command line, told as it goes, kept with the run."""

import json

import numpy as np
import pytest

pytest.importorskip("intel_starts")

HALVES = ("train", "--data", "toy_points", "--mapping", "halves", "--latent", "2", "--batch-size", "20")
SHORT = ("--steps", "40", "--log-every", "5", "--evaluate-every", "10", "--network", "mlp:hidden=[8]", "--no-pictures")
LABELS = np.arange(120) % 2


@pytest.fixture
def groups(here):
    (here / "groups.csv").write_text("kind,half\n" + "".join(f"{'ab'[k]},0\n" for k in LABELS))
    (here / "short.csv").write_text("kind\n" + "a\nb\n" * 20)
    (here / "three.csv").write_text("kind\n" + "0\n1\n2\n" * 40)
    (here / "none.csv").write_text("kind\n" + "-1\n" * 120)
    np.save(here / "long.npy", np.arange(121) % 2)
    return here


def found_in(run):
    return json.loads((run / "metrics.json").read_text())["start"]


def test_what_the_start_found_is_told_once_and_kept(ok, groups):
    told = ok(*HALVES, *SHORT, "--start", "groups.csv:column=kind", "--run-dir", "run")
    line = "after 10 steps: 2 clusters, 50.0%, 50.0% of 96 training examples; read from groups.csv"
    assert told.stderr.count(line) == 1
    assert told.stdout.replace("\n", " ").count(line) == 1
    kept = found_in(groups / "run")
    assert (kept["step"], kept["sizes"], kept["shares"], kept["file"]) == (10, [48, 48], [0.5, 0.5], "groups.csv")
    assert kept["spec"].startswith("file:path=")


def test_the_progress_says_in_which_phase_the_training_is(ok, here):
    start = "kmeans:hold=0.5,of=encodings"
    lines = ok(*HALVES, *SHORT, "--start", start, "--run-dir", "run").stderr.splitlines()
    assert any(f"start     {start}: clusters are found after 10 steps" in line for line in lines)
    phases = {}
    for line in lines:
        if line.startswith("step "):
            phases[int(line.split("/")[0].split()[1])] = [p for p in ("before its start", "pulled") if p in line]
    assert phases == {10: ["before its start"], 20: ["pulled"], 30: ["pulled"], 40: []}
    told = next(number for number, line in enumerate(lines) if line.startswith("Start: "))
    assert "step 10/" in lines[told - 1].replace("  ", " ")


def test_no_word_of_a_start_where_there_is_none(ok, here):
    told = ok(*HALVES, *SHORT, "--start", "none", "--run-dir", "run")
    assert "start" not in told.output.replace("--start", "").lower()
    assert "start" not in json.loads((here / "run" / "metrics.json").read_text())


def test_a_run_without_clusters_has_no_start_by_default(ok, here):
    ok("train", "--data", "toy_points", *SHORT, "--run-dir", "run", "--quiet")
    assert json.loads((here / "run" / "run.json").read_text())["spec"]["start"].startswith("none")


@pytest.mark.slow
def test_a_resumed_run_keeps_what_the_start_found_and_does_not_tell_it_again(start, ok, here):
    words = (*HALVES, "--steps", "1500", "--log-every", "5", "--save-every", "10", "--start", "kmeans:after=0.02")
    begun = start(*words, "--network", "mlp:hidden=[8]", "--run-dir", "run", "--no-pictures")
    assert any(line.startswith("Start: ") for line in iter(begun.stderr.readline, ""))
    begun.send_signal(2)
    begun.communicate(timeout=60)
    before = found_in(here / "run")
    assert before["step"] == 30
    told = ok("train", "--resume", "run", "--no-pictures")
    assert "Start: " not in told.stderr
    assert "Start: kmeans:after=0.02, after 30 steps: 2 clusters" in told.stdout
    assert found_in(here / "run") == before


def test_plans_say_when_the_start_is_found(ok, groups):
    told = ok(*HALVES, *SHORT, "--start", "groups.csv:column=kind", "--dry-run").stdout
    assert "clusters are found after 10 steps" in told
    assert not (groups / "runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--start", "grups.csv"], 3, "there is no file or folder 'grups.csv' in "),
        (["--start", "file:path=grups.csv"], 3, "did you mean 'groups.csv'?"),
        (["--start", "mixtur"], 2, "no start is called 'mixtur'; did you mean 'mixture'?"),
        (["--start", "groups.csv"], 3, "groups.csv has 2 columns; say which, e.g. groups.csv:column=kind"),
        (["--start", "groups.csv:column=knid"], 3, "has no column 'knid'; did you mean 'kind'?"),
        (["--start", "short.csv"], 3, "short.csv has 40 rows, expected 120 (all examples) or 96 (the training ex"),
        (["--start", "long.npy"], 3, "long.npy has 121 rows, expected 120 (all examples) or 96 (the training ex"),
        (["--start", "three.csv"], 3, "three.csv names cluster 2, and the mapping has 2: 0 to 1"),
        (["--start", "none.csv"], 3, "none.csv names no cluster for any training example"),
        (["--start", "labels", "--data", "toy_space"], 3, "the data have no labels; use start=mixture"),
        (["--start", "labels", "--data", "toy_images"], 3, "have 10 classes and the mapping has 2 clusters"),
        (["--start", "labels:count=1"], 3, "count=1, expected 2 (one per class) to 96, which are there"),
        (["--start", "labels:cuont=10"], 2, "labels has no key 'cuont'; did you mean 'count'?"),
    ],
)
@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_what_a_start_cannot_find_is_told_before_the_training(refused, groups, words, code, says, how):
    refused(*HALVES, *SHORT, *words, *how, says=says, code=code)


def test_a_start_for_a_mapping_without_clusters_is_refused(refused, here):
    words = ("train", "--data", "toy_points", "--start", "kmeans", *SHORT)
    refused(*words, says="start kmeans is for a mapping or a prior with clusters, not for identity; e.g. --mapping")


def test_more_clusters_than_rows_are_told(refused, here):
    pytest.importorskip("intel_cluster")
    words = ("train", "--data", "toy_points:n=20", "--mapping", "cluster:k=30", "--latent", "30", *SHORT)
    refused(*words, says="30 clusters are more than the 16 training examples; use fewer")


def test_a_settings_file_names_a_start_file_too(ok, groups):
    (groups / "run.yaml").write_text("start: groups.csv:column=kind\nmapping: halves\ndata: toy_points\nlatent: 2\n")
    ok("train", "--config", "run.yaml", *SHORT, "--run-dir", "run", "--quiet")
    assert found_in(groups / "run")["sizes"] == [48, 48]


def test_fit_understands_a_start_file(groups):
    from intel_core import fit

    kept = fit(data="toy_points", mapping="halves", start="groups.csv:column=kind", steps=8, run_dir="run").metrics
    assert kept["start"]["sizes"] == [48, 48]


def test_too_few_dimensions_for_cells_are_told_with_how_many_there_must_be(ok, here):
    plan = ok("train", "--mapping", "cluster:k=10", "--latent", "2", "--dry-run").stdout
    assert "10 clusters in 2 dimensions are sectors of a plane; in 9 or more" in plan
    assert (
        "sectors"
        not in ok("train", "--mapping", "cluster:k=10", "--latent", "9", "--dry-run").stdout.split("mapping:")[0]
    )


def test_values_are_clustered_before_the_first_step(ok, here):
    told = ok(*HALVES, *SHORT, "--start", "kmeans", "--run-dir", "run")
    assert "clusters are found before the first step" in told.stderr
    assert "before its start" not in told.stderr
    assert found_in(here / "run")["step"] == 0
