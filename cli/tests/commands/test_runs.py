"""`intel runs`: good runs and bad ones, as a table and as JSON."""

import json
import os
import shutil
import sys

import pytest


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


@pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")
def test_one_bad_folder_hides_no_other(ok, trained, here):
    secret = here / "secret.yaml"
    secret.write_text("token_hunter2: 1")
    deep = "[" * 200_000 + "]" * 200_000
    info = json.loads((trained / "points" / "run.json").read_text())
    texts = {
        ("deep", "run.json"): deep,
        ("deep-metrics", "metrics.json"): deep,
        ("long-number", "metrics.json"): '{"step": ' + "9" * 4000 + "}",
        ("odd", "metrics.json"): '{"status": [], "step": {}}',
        ("binary", "run.json"): "\0\1",
        ("asks", "run.json"): json.dumps(info | {"spec": info["spec"] | {"mapping": [f"halves:@{secret}"]}}),
    }
    shutil.copytree(trained / "points", here / "runs" / "good")
    for (name, file), text in texts.items():
        shutil.copytree(trained / "points", here / "runs" / name)
        (here / "runs" / name / file).write_text(text)
    for name, file in (("pipe", "run.json"), ("pipe-metrics", "metrics.json")):
        shutil.copytree(trained / "points", here / "runs" / name)
        (here / "runs" / name / file).unlink()
        os.mkfifo(here / "runs" / name / file)
    shutil.copytree(trained / "points", here / "runs" / "link")
    (here / "runs" / "link" / "run.json").unlink()
    (here / "runs" / "link" / "run.json").symlink_to(trained / "points" / "run.json")
    (here / "runs" / "seeds").mkdir()
    (here / "runs" / "seeds" / "seed-0").symlink_to(here / "nowhere")
    told = ok("runs", "--json").stdout
    assert "hunter2" not in told
    rows = {row["run_dir"].removeprefix("runs/"): row["problem"] for row in json.loads(told)}
    assert rows.pop("good") is None
    assert rows.pop("asks") is None  # it is listed as it is written
    assert set(rows) == {*(name for name, _ in texts), "pipe", "pipe-metrics", "link", "seeds"} - {"asks"}
    assert all(rows.values())
    assert "metrics.json cannot be read: it is nested deeper" in rows["deep-metrics"]
    assert "run.json cannot be read: it is a pipe or a device" in rows["pipe"]
    assert all(name in ok("runs").stdout for name in rows)


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
