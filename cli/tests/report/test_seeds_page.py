"""`intel report` of a folder of replicates: verdicts of all seeds side by side, means and spreads, a page for each."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from intel_cli.main import intel

from intel_core import load_run


def run(*words: object) -> Result:
    return CliRunner().invoke(intel, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "group"
    words = ("--data", "circle:n=300", "--mapping", "circle", "--steps", 20, "--replicates", 3)
    done = run("train", *words, "--run-dir", folder, "--quiet")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def group(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "group"))


def test_verdicts_side_by_side_and_a_page_for_each(group: Path) -> None:
    done = run("report", group, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    alone = [load_run(group / f"seed-{seed}").took() for seed in range(3)]
    assert [one["outcome"] for one in told["seeds"]] == [verdict.outcome for verdict in alone]
    asked = {one.question for verdict in alone for one in verdict.findings}
    assert {one["question"] for one in told["questions"]} == asked
    for one in told["questions"]:
        for seed, answer in one["answers"].items():
            mine = [f for f in alone[int(seed)].findings if f.question == one["question"]]
            assert [answer["sentence"]] == [f.sentence for f in mine]
    page = (group / "report.html").read_text(encoding="utf-8")
    for one in told["seeds"]:
        assert (group / one["file"]).is_file()
        assert f'href="{one["file"]}"' in page


def test_means_and_spreads_are_those_of_the_seeds(group: Path) -> None:
    assert run("report", group).exit_code == 0
    page = (group / "report.html").read_text(encoding="utf-8")
    elbos = [load_run(group / f"seed-{seed}").metrics["test"]["elbo"] for seed in range(3)]
    row = re.search(r">ELBO</th><td>(.*?)</td><td>(.*?)</td>", page)
    assert row is not None
    assert row.groups() == (f"{statistics.fmean(elbos):.2f}", f"{statistics.stdev(elbos):.2f}")


def test_seeds_that_have_not_ended_are_told(group: Path) -> None:
    summary = json.loads((group / "replicates.json").read_text())
    summary["runs"][1]["status"] = "diverged"
    (group / "replicates.json").write_text(json.dumps(summary))
    done = run("report", group, "--json")
    told = json.loads(done.stdout)
    assert [one["status"] for one in told["seeds"]] == ["finished", "diverged", "finished"]
    assert told["seeds"][1]["file"] == ""
    assert not (group / "seed-1" / "report.html").exists()
    assert all(one["answers"]["1"] is None for one in told["questions"])
    assert "2 of 3 seeds have ended" in (group / "report.html").read_text(encoding="utf-8")


def test_nothing_has_ended(group: Path) -> None:
    summary = json.loads((group / "replicates.json").read_text())
    for entry in summary["runs"]:
        entry["status"] = "interrupted"
    (group / "replicates.json").write_text(json.dumps(summary))
    done = run("report", group)
    assert done.exit_code == 2
    assert "no seed of" in done.output
    assert "intel train --resume" in done.output


def test_another_run_beside_a_folder_is_refused(group: Path) -> None:
    done = run("report", group, "--beside", group / "seed-0")
    assert done.exit_code == 2
    assert "--beside goes with one run" in done.output
