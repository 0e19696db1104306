"""Does the command do what its options say, and refuse what makes no sense in one line?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from intel_study import command as commands
from intel_study import crews
from intel_study.command import study

from intel_core import DataError, IntelError


@pytest.fixture
def intel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, doing its jobs in this process."""
    monkeypatch.setattr(crews, "LocalProcesses", lambda count: crews.Here())

    def run(*words: object) -> Result:
        return CliRunner().invoke(study, [str(word) for word in words])

    return run


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_a_study_leaves_its_pages_and_numbers(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    found = told(intel(file_with(), "--out", tmp_path / "out", "--json"))
    assert [cell["seed"] for cell in found["cells"]] == [0, 1, 0, 1]
    assert [row["arm"] for row in found["tables"][0]["arms"]] == ["plain", "ring"]
    written = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert written == {"study.json", "table.md", "table.tex", "index.html"}


def test_a_dry_run_trains_nothing(intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = told(intel(file_with(), "--out", out, "--dry-run", "--json"))
    assert not out.exists()
    assert [cell["done"] for cell in plan["cells"]] == [False] * 4
    assert all(cell["seconds"] > 0 for cell in plan["cells"])
    assert plan["cells"][0]["how"] == "training only, by timed steps"
    intel(file_with(), "--out", out, "--only", "plain", "--seeds", 1)
    plan = told(intel(file_with(), "--out", out, "--dry-run", "--json"))
    assert [(cell["arm"], cell["done"]) for cell in plan["cells"]] == [
        *(("plain", True), ("ring", False)),
        *(("plain", False), ("ring", False)),
    ]
    assert plan["cells"][2]["how"] == "as finished ones took"


def test_numbers_that_are_there_are_reused(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path, there, here = file_with(), tmp_path / "there", tmp_path / "here"
    intel(path, "--out", there, "--only", "plain")
    plan = intel(path, "--out", here, "--reuse", there / "study.json", "--dry-run", "--json")
    assert [cell["done"] for cell in told(plan)["cells"]] == [True, False, True, False]
    assert "study.json: 2 of 2 cells reused" in plan.stderr
    assert not here.exists()
    found = told(intel(path, "--out", here, "--reuse", there, "--json"))
    assert not found["missing"]
    assert len(list((here / "runs").iterdir())) == 2
    again = intel(path, "--out", here, "--reuse", there, "--dry-run")
    assert f"{there}: its 2 cells of this study are there already" in again.stderr
    counted = file_with("counted", metrics=["manifold:n=300,places=100"])
    other = intel(counted, "--out", tmp_path / "c", "--reuse", there, "--dry-run")
    assert "none of 2 cells is reused; 2 have the same settings and data, and other metrics" in other.stderr
    others = intel(file_with("others", base={"data": "circle:n=200", "latent": 2, "steps": 1}), "--out", tmp_path / "o",
                   "--reuse", there, "--dry-run")  # fmt: skip
    assert f"warning: {there}: none of 2 cells is reused; the settings or the data" in others.stderr


def test_only_some_arms_and_other_seeds_are_done(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path = file_with(problems={"small": {}, "large": {"latent": 3}})
    words = ("--out", tmp_path / "out", "--first-seed", 5, "--seeds", 1, "--json")
    found = told(intel(path, "--only", "plain@large", *words))
    assert [(cell["problem"], cell["arm"], cell["seed"]) for cell in found["cells"]] == [("large", "plain", 5)]
    assert len(found["missing"]) == 3


def test_nothing_is_begun_that_does_not_fit_the_budget(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path = file_with(base={"data": "circle:n=300", "latent": 2, "steps": 10**7, "network": "mlp:hidden=[4]"})
    result = intel(path, "--out", tmp_path / "out", "--budget", "30s")
    assert result.exit_code == 0
    assert "The budget does not reach further: 4 cells are missing" in result.stderr
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("one.json", "two.json"), "one study at a time"),
        (("table",), "name the files: intel study table"),
        (("claims",), "name the files: intel study claims"),
        (("table", "x.json", "--reuse", "y.json"), "table only reads numbers that are there; leave out --reuse"),
        (("table", "x.json", "--seeds", "3"), "table only reads numbers that are there; leave out --seeds"),
        (("fig4", "--budget", "2"), "has no unit"),
        (("fig4", "--budget", "soon"), "expected a time such as 45m"),
        (("fig4", "--budget", "0s"), "expected more than nothing"),
        (("fig4", "--scheduler", "tcp://x:1", "--jobs", "2"), "a cluster has workers of its own"),
    ],
)
def test_nonsense_is_a_wrong_use(intel: Callable[..., Result], words: tuple[str, ...], expected: str) -> None:
    result = intel(*words)
    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fig44",), "no study is called 'fig44'; did you mean 'fig4'?"),
        (("fig4", "--only", "vmap"), "--only vmap: no arm and no problem has that name; did you mean 'vamp'?"),
        (("fig4", "--only", "vamp@cirle, ELBO"), "no problem is called 'cirle, ELBO'; did you mean 'circle, ELBO'?"),
        (("fig4", "--only", "cluster, ours@circle, ELBO"), "that arm takes no part in that problem"),
        (("fig4", "--reuse", "nowhere.json"), "nowhere.json cannot be read: No such file or directory"),
        (("fig3", "--full"), "no other protocol under full"),
        (("fig4", "--seeds", "0"), "0 seeds, expected 1 to 1,000"),
        (("fig4", "--first-seed", "-1"), "seeds begin at -1"),
    ],
)
def test_nonsense_is_refused_before_torch_is_needed(
    intel: Callable[..., Result], words: tuple[str, ...], expected: str
) -> None:
    result = intel(*words)
    assert isinstance(result.exception, IntelError)
    assert expected in str(result.exception)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1.5 h", 5400), ("1d", 86400)]
)
def test_budgets_are_times(text: str, seconds: float) -> None:
    assert commands._seconds(text) == seconds


def test_claims_of_a_study_without_numbers_are_told_as_not_run(intel: Callable[..., Result]) -> None:
    result = intel("claims", "fig3")
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if line.endswith("| `intel study fig3` |")]
    assert len(rows) == 2
    assert all("| – | **not run** |" in row for row in rows)
    assert "2 claims: 2 not run." in result.stdout


CLAIM = {"sentence": "more is active", "number": "active", "arm": "ring", "against": "plain", "direction": "above"}


def test_a_number_that_no_run_has_is_told_at_once_and_in_the_verdict(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path = file_with(numbers={"elbo": None, "active": {"of": "manifold.covrage"}}, claims=[CLAIM])
    result = intel(path, "--out", tmp_path / "out")
    assert result.exit_code == 0
    said = "No run has a number 'manifold.covrage'; did you mean 'manifold.coverage'?"
    assert result.stderr.count(f"warning: {said}") == 1
    assert result.stderr.index(said) < result.stderr.index("4/4")
    assert f"| – | **not run**: {said[:1].lower()}{said[1:]}" in result.stdout
    result = intel(path, "--out", tmp_path / "out")  # nothing is left to do
    assert result.stderr.count(f"warning: {said}") == 1


def test_the_command_of_a_claim_names_the_file_of_a_study_that_is_not_published(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path = file_with(claims=[{**CLAIM, "number": "elbo"}])
    told(intel(path, "--out", tmp_path / "out", "--seeds", 1, "--json"))
    found = intel("claims", tmp_path / "out" / "study.json")
    assert "| `intel study mine.json --seeds 1` |" in found.stdout


def test_data_that_are_not_here_are_told_with_their_arm(
    intel: Callable[..., Result], file_with: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "my.csv").write_text("a,b,kind\n" + "".join(f"{i},{-i},x\n" for i in range(50)), encoding="utf-8")
    result = intel(file_with(base={"data": f"{tmp_path / 'my.csv'}:label=kinds", "latent": 2, "steps": 9}), "--dry-run")
    assert isinstance(result.exception, DataError)
    assert str(result.exception).startswith("arm plain: table: my.csv has no column 'kinds' (label)")
