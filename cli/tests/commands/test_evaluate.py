"""`intel evaluate` and `intel compare`: what they print, keep and refuse."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from intel_cli.main import intel
from pydantic import Field

from intel_core import (
    IntelError,
    Measurement,
    MetricSpec,
    NotApplicableError,
    Number,
    PluginError,
    Run,
    Subject,
    fit_replicates,
)
from intel_core.components import discovery as plugins
from intel_core.components import loading

INTERRUPT: list[bool] = []


class SpreadSpec(MetricSpec):
    """How far z lies from 0 under the prior."""

    samples: int = Field(50, ge=1, description="draws of the prior")

    def measure(self, subject: Subject) -> Measurement:
        subject.tell("drawing", 0.5)
        z = subject.prior(self.samples, seed=self.seed).z
        number = Number(value=float(z.norm(dim=-1).mean()), error=0.01, unit="units", beside={"nothing": 0.0})
        shift = Number(value=float(subject.run.info["spec"]["seed"] % 10), better="lower")
        return Measurement(
            numbers={"mean_length": number, "seed_digit": shift},
            protocol={"samples": self.samples},
            notes=("A toy.",),
        )


class LookingSpec(MetricSpec):
    """Looks at the data."""

    def measure(self, subject: Subject) -> Measurement:
        return Measurement(numbers={"examples": Number(value=len(subject.split()))}, protocol={})


class RefusingSpec(MetricSpec):
    """Says no."""

    def measure(self, subject: Subject) -> Measurement:
        raise NotApplicableError("there is nothing to say")


class BrokenSpec(MetricSpec):
    """Fails."""

    def measure(self, subject: Subject) -> Measurement:
        if INTERRUPT:
            raise KeyboardInterrupt
        raise IntelError("the file is gone")


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("groups")
    common = {"data": "circle:n=40", "steps": 3, "latent": 2}
    first = fit_replicates(3, mapping="identity", run_dir=root / "vanilla", **common)
    second = fit_replicates(3, mapping="circle", seed=5, run_dir=root / "circle", **common)
    return first.path, second.path


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for spec in (SpreadSpec, LookingSpec, RefusingSpec, BrokenSpec):
        loading.register("metrics", spec.__name__.removesuffix("Spec").lower(), spec)
    yield
    INTERRUPT.clear()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(intel, [str(argument) for argument in arguments])


def test_numbers_with_what_is_beside_them(groups: tuple[Path, Path]) -> None:
    said = run("evaluate", groups[0] / "seed-0", "--metrics", "spread,refusing", "-v")
    assert said.exit_code == 0, said.output
    assert "mean length" in said.stdout
    assert "± 0.01" in said.stdout
    assert "nothing 0" in said.stdout
    assert "spread: A toy." in said.stdout
    assert "samples 50" in said.stdout
    assert "refusing: not applicable: there is nothing to say" in said.stdout
    assert "spread  measured" in said.stderr


def test_it_is_known_the_second_time(groups: tuple[Path, Path]) -> None:
    run("evaluate", groups[0] / "seed-1", "--metric", "spread")
    assert "spread  measured  known" in run("evaluate", groups[0] / "seed-1", "--metric", "spread").stderr
    assert "known" not in run("evaluate", groups[0] / "seed-1", "--metric", "spread", "--again").stderr


def test_every_replicate_as_json(groups: tuple[Path, Path]) -> None:
    said = run("evaluate", groups[1], "--metric", "spread:samples=9,seed=1", "--json", "--quiet")
    found = json.loads(said.stdout)["runs"]
    assert [one["seed"] for one in found] == [5, 6, 7]
    assert found[0]["metrics"][0]["measurement"]["protocol"] == {"samples": 9}
    assert said.stderr == ""


def test_runs_on_the_same_data_load_it_once(groups: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = [], Run.dataset
    monkeypatch.setattr(Run, "dataset", lambda run, data_dir=None: loaded.append(run.path) or load(run, data_dir))
    said = run("evaluate", *groups, "--metric", "looking", "--again", "--json", "--quiet")
    assert len(json.loads(said.stdout)["runs"]) == 6
    assert len(loaded) == 1


def test_a_failure_is_told_and_the_others_are_kept(groups: tuple[Path, Path]) -> None:
    said = run("evaluate", groups[0] / "seed-0", "--metrics", "broken,spread")
    assert said.exit_code == 7
    assert "broken: failed: the file is gone" in said.stdout
    assert "mean length" in said.stdout


def test_an_interruption_says_that_nothing_is_lost(groups: tuple[Path, Path]) -> None:
    INTERRUPT.append(True)
    said = run("evaluate", groups[0] / "seed-2", "--metrics", "spread,broken")
    assert said.exit_code == 130
    assert "all finished measurements are stored" in said.stderr
    assert "spread  measured  known" in run("evaluate", groups[0] / "seed-2", "--metric", "spread").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "Missing argument"),
        (["evaluate", "nowhere"], "is not a run directory"),
        (["evaluate", "{run}", "--metric", "spraed"], "did you mean 'spread'"),
        (["evaluate", "{run}", "--metric", "spread:sample=3"], "did you mean 'samples'"),
        (["evaluate", "{run}", "--metric", "spread:samples=0"], "samples"),
        (["evaluate", "{run}", "--all", "--metric", "spread"], "leave out --metric"),
        (["evaluate", "{run}", "--device", "gpu"], "gpu"),
        (["compare", "{run}", "--level", "2"], "between 0 and 1"),
        (["compare", "{run}", "--only", "sprad.*"], "no number is called sprad.*"),
        (["compare", "nowhere"], "is not a run directory"),
    ],
)
def test_nonsense_is_answered_in_a_line_or_two(groups: tuple[Path, Path], arguments: list[str], message: str) -> None:
    said = run(*(argument.format(run=groups[0] / "seed-0") for argument in arguments))
    assert said.exit_code == 2
    assert message in said.stderr
    assert len(said.stderr.splitlines()) <= 2
    assert "Traceback" not in said.output


def test_an_unfinished_run_is_refused(groups: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    path = shutil.copytree(groups[0] / "seed-0", tmp_path / "run")
    (path / "metrics.json").unlink()
    said = run("evaluate", path, "--metric", "spread")
    assert said.exit_code == 2
    assert "--resume" in said.stderr


def without_end(run_dir: Path, to: Path, **metrics: object) -> Path:
    import shutil

    shutil.copytree(run_dir, to)
    (to / "metrics.json").unlink()
    if metrics:
        (to / "metrics.json").write_text(json.dumps(metrics))
    return to


def test_of_several_runs_what_has_not_ended_is_left_out(groups: tuple[Path, Path], tmp_path: Path) -> None:
    begun = without_end(groups[0] / "seed-0", tmp_path / "be gun")
    lost = without_end(groups[0] / "seed-0", tmp_path / "lost", status="diverged", step=7, seconds=1.0)
    said = run("evaluate", begun, lost, groups[0] / "seed-1", "--metric", "spread", "--json", "--quiet")
    assert said.exit_code == 0, said.output
    assert [one["seed"] for one in json.loads(said.stdout)["runs"]] == [1]
    assert f"Warning: left out: {begun} is unfinished; end it with: intel train --resume '{begun}'" in said.stderr
    assert f"Warning: left out: {lost} diverged at step 7; train it anew with other settings" in said.stderr
    none = run("evaluate", begun, lost, "--metric", "spread")
    assert (none.exit_code, "none of these runs has ended" in none.stderr) == (2, True)
    reference = run("compare", begun, groups[0] / "seed-1")
    assert (reference.exit_code, "is unfinished" in reference.stderr) == (2, True)
    assert run("compare", groups[0] / "seed-1", begun).exit_code == 0


def test_a_metric_of_one_group_only_is_named(groups: tuple[Path, Path]) -> None:
    run("evaluate", groups[1], "--metric", "looking:seed=3")
    notes = json.loads(run("compare", *groups, "--only", "looking:seed=3", "--json").stdout)["notes"]
    assert notes == ["Nothing is known of identity by looking."]


def test_a_replicate_that_diverged_is_left_out_and_told(groups: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    path = shutil.copytree(groups[0], tmp_path / "group")
    (path / "seed-1" / "metrics.json").unlink()
    summary = json.loads((path / "replicates.json").read_text())
    summary["runs"][1]["status"] = "diverged"
    (path / "replicates.json").write_text(json.dumps(summary))
    said = run("evaluate", path, "--metric", "spread", "--json", "--quiet")
    assert said.exit_code == 0, said.output
    assert [one["seed"] for one in json.loads(said.stdout)["runs"]] == [0, 2]
    assert said.stderr == f"Warning: {path}: 1 of 3 seeds did not end and are left out: 1 (diverged)\n"
    for seed in (0, 2):
        (path / f"seed-{seed}" / "metrics.json").unlink()
    assert "is unfinished" in run("compare", path).stderr


def test_an_interruption_leaves_one_json_value(groups: tuple[Path, Path]) -> None:
    INTERRUPT.append(True)
    said = run("evaluate", groups[0] / "seed-2", "--metrics", "broken", "--json")
    assert (said.exit_code, json.loads(said.stdout)) == (130, {"runs": [], "interrupted": True})
    said = run("compare", groups[0] / "seed-2", "--metrics", "broken", "--json")
    assert (said.exit_code, json.loads(said.stdout)) == (130, {"error": "interrupted"})


def test_all_leaves_out_what_cannot_be_loaded(groups: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    load, available = loading.load, plugins.available

    def guarded(kind: str, name: str) -> object:
        if name == "refusing":
            raise PluginError("metric 'refusing' is BROKEN")
        return load(kind, name)

    def offered(kind: str) -> list[plugins.Component]:
        return [c for c in available(kind) if kind != "metrics" or c.name in ("spread", "refusing")]

    monkeypatch.setattr(loading, "load", guarded)
    monkeypatch.setattr(plugins, "available", offered)
    said = run("evaluate", groups[0] / "seed-0", "--all", "--json", "--quiet")
    assert said.exit_code == 0, said.output
    assert [one["name"] for one in json.loads(said.stdout)["runs"][0]["metrics"]] == ["spread"]
    assert said.stderr == "Warning: metric 'refusing' is BROKEN\n"


def test_a_number_that_some_runs_lack_says_of_how_many_it_is(groups: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    path = shutil.copytree(groups[0], tmp_path / "group")
    for seed in (0, 1, 2):
        shutil.rmtree(path / f"seed-{seed}" / "evaluation", ignore_errors=True)
    run("evaluate", path / "seed-0", path / "seed-2", "--metric", "spread")
    said = run("compare", path, "--only", "spread.seed_digit")
    assert "1 ± 1.4 of 2 runs" in said.stdout


def test_two_groups_with_a_test(groups: tuple[Path, Path]) -> None:
    said = run("compare", *groups, "--metric", "spread", "--only", "spread.*", "--quiet")
    assert said.exit_code == 0, said.output
    assert "identity" in said.stdout
    assert "circle" in said.stdout
    assert "spread mean length" in said.stdout
    assert "circle: Welch's t-test over seeds, since its seeds or data are not those of identity." in said.stdout
    assert "spread (1)" in said.stdout
    row = next(line for line in said.stdout.splitlines() if "seed digit" in line)
    assert "1 ± 1" in row
    assert "6 ± 1" in row
    assert [cell.strip() for cell in row.split("│")[4:6]] == ["+5.00 ± 0.82", "worse (p 0.0036; 1 test)"]


def test_the_test_elbo_is_called_that(groups: tuple[Path, Path]) -> None:
    said = run("compare", *groups, "--only", "elbo").stdout
    assert "test ELBO" in said
    assert "training" not in said


def test_the_comparison_as_json_and_as_markdown(groups: tuple[Path, Path]) -> None:
    found = json.loads(run("compare", *groups, "--json", "--only", "elbo").stdout)
    assert [len(group["runs"]) for group in found["groups"]] == [3, 3]
    (row,) = found["rows"]
    assert row["number"] == "elbo"
    assert len(row["cells"][1]["values"]) == 3
    test = row["cells"][1]["test"]
    assert (test["family"], test["tests"], row["cells"][0]["test"]) == ("test", 4, None)
    assert row["cells"][1]["p"] == test["p"] >= test["p_alone"]
    assert test["interval"][0] < test["difference"] < test["interval"][1]
    text = run("compare", *groups, "--markdown", "--only", "elbo").stdout
    assert text.startswith(
        "| | `identity` | `circle` | `less identity` | unit |\n|---|---|---|---|---|\n| test ELBO | -"
    )


def test_each_number_says_what_it_is(groups: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the table where lines are long enough, else below it where that is asked for."""
    import intel_cli.commands.evaluate as home

    pytest.importorskip("intel_metrics")
    asked = ("evaluate", groups[0] / "seed-0", "--metric", "units", "--quiet")
    about = "dimensions of y with a KL above"
    assert about in run(*asked).stdout
    monkeypatch.setattr(home, "_WIDE", 10_000)
    said = run(*asked).stdout
    assert about not in said
    assert "-v says what each number is" in said
    assert f"units: active by KL: {about}" in run(*asked, "-v").stdout


def test_the_comparison_for_latex(groups: tuple[Path, Path]) -> None:
    said = run("compare", *groups, "--latex", "--metric", "spread", "--only", "spread.*", "--only", "elbo", "--quiet")
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    rules = [line for line in lines if line.startswith(("\\begin", "\\end", "\\toprule", "\\midrule", "\\bottomrule"))]
    assert rules == ["\\begin{tabular}{lrrrrl}", "\\toprule", "\\midrule", "\\bottomrule", "\\end{tabular}"]
    table = lines[lines.index("\\toprule") + 1 : lines.index("\\bottomrule")]
    rows = [line for line in table if line != "\\midrule"]
    assert all(line.endswith(" \\\\") and line.count(" & ") == 5 for line in rows), rows
    assert rows[0] == " & identity & circle & less identity & verdict & unit \\\\"
    assert any("+5.00 $\\pm$ 0.82 & worse (p 0.0036; 1 test)" in line for line in rows)
    assert "$-$" in next(line for line in rows if line.startswith("test ELBO"))
    assert all(line.startswith("%") for line in lines[lines.index("\\end{tabular}") + 1 :])


def test_what_latex_reads_as_a_command_is_escaped() -> None:
    from intel_cli.output.comparison import _escaped

    assert _escaped("50 % of a_b & {c} #1 $x ~ y^2 \\z") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x \textasciitilde{} y\textasciicircum{}2 \textbackslash{}z"
    )


@pytest.mark.parametrize(("order", "code"), [((0, 1), 6), ((1, 0), 0)])
def test_worse_can_be_a_failure(groups: tuple[Path, Path], order: tuple[int, int], code: int) -> None:
    run("evaluate", *groups, "--metric", "spread", "--quiet")
    asked = ("compare", *(groups[i] for i in order), "--only", "spread.*")
    said = run(*asked, "--fail-if", "worse")
    assert said.exit_code == code, said.output
    assert ("spread seed_digit of circle is worse than that of identity" in said.stderr) is (code == 6)
    assert run(*asked).exit_code == 0


def test_where_nothing_is_tested_fail_if_says_so(groups: tuple[Path, Path]) -> None:
    said = run("compare", groups[0] / "seed-0", groups[1] / "seed-5", "--only", "elbo", "--fail-if", "worse")
    assert said.exit_code == 0
    assert "no number that has a better direction was tested" in said.stderr


def test_a_metric_that_fails_is_in_the_exit_status(groups: tuple[Path, Path]) -> None:
    said = run("compare", groups[0], "--metric", "broken", "--only", "elbo", "--quiet")
    assert said.exit_code == 7
    assert "broken is failed: the file is gone" in said.stderr
    assert "test ELBO" in said.stdout


def test_one_seed_each_is_no_test(groups: tuple[Path, Path]) -> None:
    said = run("compare", groups[0] / "seed-0", groups[1] / "seed-5", "--only", "elbo")
    assert "No test: at least two runs" in said.stdout


def test_names_and_settings_in_one_word(groups: tuple[Path, Path]) -> None:
    said = run("evaluate", groups[0] / "seed-0", "--metrics", "refusing,spread:samples=7,seed=1", "--json", "--quiet")
    metrics = json.loads(said.stdout)["runs"][0]["metrics"]
    assert [one["name"] for one in metrics] == ["refusing", "spread"]
    assert metrics[1]["measurement"]["protocol"] == {"samples": 7}


def test_every_spec_in_a_help_text_can_be_asked_for() -> None:
    """Examples of settings must be settings that there are."""
    import re

    from intel_core import parse_spec

    for command in ("evaluate", "compare"):
        examples = re.findall(r"--metrics? ([a-z][\w,:=]*)", run(command, "--help").stdout)
        assert examples
        for text in examples:
            for part in text.split(",") if ":" not in text else [text]:
                parse_spec("metrics", part)


def test_metrics_are_listed_with_the_other_components() -> None:
    said = run("plugins", "list", "metrics")
    assert "spread" in said.stdout
    assert "intel evaluate RUN --metric spread" in run("plugins", "show", "spread").stdout
