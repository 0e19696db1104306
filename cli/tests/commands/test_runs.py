"""`intel runs`: good runs and bad ones, as a table and as JSON."""

import json
import shutil


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
