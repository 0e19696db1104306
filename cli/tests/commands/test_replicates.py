"""`intel train --replicates`: its table and JSON, the runs it leaves, its plan, and what it refuses."""

import json

import pytest


def test_the_table_and_the_runs(ok, tiny, here):
    result = ok("train", "--data", "toy_points", *tiny, "--replicates", "3", "--seed", "4")
    for said in ("3 of 3 seeds", "at once", "ELBO", " ± ", "toy_points-identity-seeds4-6/", "finished"):
        assert said in result.stdout
    for said in ("3 replicates, seeds 4 to 6", "step 20/20", " ± "):
        assert said in result.stderr
    group = here / "runs" / "toy_points-identity-seeds4-6"
    assert {path.name for path in group.iterdir()} == {"replicates.json", "latent.png", "seed-4", "seed-5", "seed-6"}
    listed = json.loads(ok("runs", "--json").stdout)
    assert [run["status"] for run in listed] == ["finished"] * 3
    assert "seeds4-6/seed-5" in ok("runs").stdout
    ok("sample", str(group / "seed-5"))


def test_json_is_one_object(ok, tiny):
    found = json.loads(ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--json").stdout)
    assert (found["seeds"], found["stacked"], found["status"]) == ([0, 1], True, "finished")
    assert found["test"]["elbo"]["std"] > 0
    assert [entry["status"] for entry in found["runs"]] == ["finished", "finished"]


def test_one_replicate_has_no_spread(ok, tiny):
    found = json.loads(ok("train", "--data", "toy_points", *tiny, "--replicates", "1", "--json").stdout)
    assert found["test"]["elbo"]["std"] is None


def test_the_plan_names_the_seeds(ok, tiny, here):
    plan = json.loads(ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--dry-run", "--json").stdout)
    assert (plan["seeds"], plan["run_dir"]) == ([0, 1], "runs/toy_points-identity-seeds0-1")
    assert "seeds 0 to 1" in ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--dry-run").stdout
    assert not (here / "runs").exists()


@pytest.mark.parametrize("count", ["0", "-3"])
def test_a_wrong_number_is_one_line(call, count, here):
    result = call("train", "--replicates", count)
    assert result.exit_code == 2
    assert f"{count} replicates were asked for" in result.stderr


@pytest.mark.filterwarnings("ignore:.*goes on alone, so it will differ by rounding")
def test_the_last_run_to_be_continued_completes_the_summary(ok, tiny, here):
    """As an interruption leaves them: one seed ended, one did not."""
    ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--run-dir", "group", "--quiet")
    whole = json.loads((here / "group" / "replicates.json").read_text())
    outcome = {"status": "interrupted", "step": 7, "seconds": 1.0}
    (here / "group" / "seed-1" / "metrics.json").write_text(json.dumps(outcome))
    (here / "group" / "seed-1" / "model.safetensors").unlink()
    spoiled = {**whole, "status": "interrupted", "test": {}}
    (here / "group" / "replicates.json").write_text(json.dumps(spoiled))
    ok("train", "--resume", "group/seed-1", "--quiet")
    found = json.loads((here / "group" / "replicates.json").read_text())
    assert found["test"]["elbo"] == pytest.approx(whole["test"]["elbo"], rel=1e-5)
    assert (found["status"], found["runs"][1]["step"]) == ("finished", whole["runs"][1]["step"])
    assert {**found, "runs": 0, "test": 0, "validation": 0, "mapping": 0, "seconds": 0} == {
        **whole, "runs": 0, "test": 0, "validation": 0, "mapping": 0, "seconds": 0
    }  # fmt: skip


def test_a_group_is_found_by_its_name(ok, refused, tiny, here):
    ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--run-dir", "runs/mine", "--quiet")
    for command in ("sample", "encode"):
        refused(command, "mine", says="runs/mine holds several runs; choose one of them, such as runs/mine/seed-0")
    ok("report", "mine")
    assert (here / "runs" / "mine" / "report.html").is_file()


def test_a_group_is_continued_by_its_folder(ok, refused, tiny, here):
    ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--run-dir", "group", "--quiet")
    whole = json.loads((here / "group" / "replicates.json").read_text())
    refused("train", "--resume", "group", says="group is finished, all 2 seeds; there is nothing to resume")
    (here / "group" / "replicates.json").write_text(json.dumps({**whole, "status": "interrupted", "test": {}}))
    for seed in (0, 1):
        (here / "group" / f"seed-{seed}" / "metrics.json").unlink()
    refused("train", "--resume", "group", "--devices", "2", says="leave out --devices")
    result = ok("train", "--resume", "group")
    assert "2 of 2 seeds, trained at once" in result.stdout
    found = json.loads((here / "group" / "replicates.json").read_text())
    assert found["status"] == "finished"
    assert found["test"] == whole["test"]


def test_other_commands_want_one_seed_of_a_group(ok, refused, tiny, here):
    ok("train", "--data", "toy_points", *tiny, "--replicates", "2", "--run-dir", "group", "--quiet")
    for command in (("sample",), ("show",), ("encode",)):
        refused(*command, "group", says="group holds several runs; choose one of them, such as group/seed-0;")
    refused("train", "--resume", "group/seed-0", "--replicates", "2", says="leave out --replicates")
