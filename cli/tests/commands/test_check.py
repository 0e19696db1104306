"""A mapping is checked from the shell: marks, failures in full, JSON, JUnit XML, every exit status, nonsense."""

import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from intel_cli.main import intel
from intel_cli.output.check_results import MEANINGS
from intel_conformance.outcomes import Broken
from intel_conformance.report import STATUSES

pytestmark = pytest.mark.usefixtures("flawed")

# --- exit statuses -----------------------------------------------------------------------------------------------


def test_what_keeps_the_contract_passes(quick):
    result = quick("identity", "--only", "rows,mode.repeat")
    assert result.exit_code == 0, result.output
    header, rows, mode, empty, verdict, summary = result.stdout.splitlines()
    assert verdict.startswith("The contract and all that is promised are kept")
    assert header.startswith("identity (intelvae-core ")
    assert header.endswith(" · seed 0 · quick · 2 dimensions of y, 2 of z")
    assert f" · torch {torch.__version__.partition('+')[0]}" in header
    assert rows == "rows       ✓✓✓✓"
    assert mode == "mode       ✓"
    assert empty == ""
    assert re.fullmatch(r"5 of 5 planned ran: 5 passed · [\d.]+ s", summary)
    assert result.stderr == ""


def test_a_failure_is_told_in_full(quick):
    result = quick("leaky", "--only", "rows,io.dtype")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1] == "io         ✓"
    assert re.fullmatch(r"rows       [✓✗]{4}  rows\.replace_others,.*", lines[2])
    told = result.stdout.partition("FAILED rows.replace_others  (contract, clause 3")[2].partition("\n\n")[0]
    assert "  likely: " in told
    repro = told.partition("  repro: ")[2]
    assert repro == "intel check leaky --latent 2 --seed 0 --level quick --only rows.replace_others"
    assert re.search(r"\d FAILED", lines[-1])
    again = CliRunner().invoke(intel, shlex.split(repro)[1:])
    assert again.exit_code == 1


@pytest.mark.usefixtures("with_rotten")
def test_a_plugin_that_does_not_load(quick):
    result = quick("crash")
    assert result.exit_code == 2
    assert "BROKEN (RuntimeError: no licence found)" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args", [("--only", "structure.levels"), ("--only", "rows", "--skip", "rows")], ids=["not applicable", "skipped"]
)
def test_nothing_ran(quick, here, args):
    result = quick("identity", *args, "--junit", "x.xml")
    assert result.exit_code == 1
    assert "0 of " in result.stdout
    assert result.stderr == "No check ran, so nothing is known about the mapping.\n"
    assert ElementTree.parse(here / "x.xml").getroot()[0].get("errors") == "1"
    assert json.loads(quick("identity", *args, "--json").stdout)["ran"] == 0


def test_a_check_that_breaks_down_shows_its_traceback(quick):
    result = quick("odd", "--only", "structure.norm_bound")
    assert result.exit_code == 1
    assert "structure  E  structure.norm_bound" in result.stdout
    assert "ERROR structure.norm_bound" in result.stdout
    told = result.stdout.partition("ERROR ")[2]
    assert "Traceback (most recent call last)" in told
    assert 'raise ZeroDivisionError("no properties today")' in told
    assert "1 ERROR" in told


# --- other ends --------------------------------------------------------------------------------------------------


def test_a_warning_is_told_and_passes(quick):
    result = quick("branching", "--only", "deploy.vmap")
    assert result.exit_code == 0
    assert "deploy     w  deploy.vmap" in result.stdout
    assert "WARNED deploy.vmap" in result.stdout
    assert "1 warned" in result.stdout


def test_expected_failures(quick):
    args = ["leaky", "--only", "rows"]
    failing = [r["id"] for r in json.loads(quick(*args, "--json").stdout)["results"] if r["status"] == "failed"]
    for name in failing:
        args += ["--expect", f"{name}=it takes = the mean"]
    result = quick(*args)
    assert result.exit_code == 0, result.stdout
    assert "x" in result.stdout.splitlines()[1]
    assert f"{len(failing)} xfailed" in result.stdout
    assert "it takes = the mean" in quick(*args, "-v").stdout
    result = quick("identity", "--only", "rows.permute", "--expect", "rows.permute=of old")
    assert result.exit_code == 1
    assert "rows       X  rows.permute" in result.stdout
    assert "remove it from the list" in result.stdout


def test_all_shows_reasons_and_times(quick):
    result = quick("nested", "--only", "structure.clusters,structure.levels,structure.places", "-v")
    lines = result.stdout.splitlines()
    assert any(re.fullmatch(r"✓ passed         structure\.places   +\d\.\d{3} s", line) for line in lines)
    assert any(re.fullmatch(r"- not applicable structure\.levels   +\d\.\d{3} s  .*Levelled.*", line) for line in lines)
    assert any(re.fullmatch(r"✗ failed         structure\.clusters +\d\.\d{3} s", line) for line in lines)
    assert "FAILED structure.clusters" in result.stdout
    assert "not applicable structure.levels" not in quick("nested", "--only", "structure.places").stdout


def test_failures_of_one_cause_are_told_once(quick):
    result = quick("leaky", "--only", "rows.replace_others,rows.alone")
    assert result.stdout.count("FAILED ") == 1 + 1  # and in the summary
    assert "\n  the same cause: rows.alone (-v tells each)\n" in result.stdout
    assert "2 FAILED" in result.stdout
    assert "FAILED rows.alone" in quick("leaky", "--only", "rows.replace_others,rows.alone", "-v").stdout


def test_stop_after_the_first_failure(quick):
    result = quick("leaky", "--only", "rows,mode.repeat,mode.train_eval", "-x")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1] == "rows       ✗  rows.replace_others"
    assert "stopped, 5 not taken up" in result.stdout
    assert result.stdout.count("FAILED ") == 1 + 1  # and in the summary
    assert "mode " not in result.stdout


def test_an_interruption_keeps_what_was_found(quick, monkeypatch):
    from intel_conformance import runner

    run = runner.Planned.run

    def interrupted(self, **options):
        if self.id == "rows.permute":
            raise KeyboardInterrupt
        return run(self, **options)

    monkeypatch.setattr(runner.Planned, "run", interrupted)
    result = quick("leaky", "--only", "rows", "--junit", "x.xml")
    assert result.exit_code == 130
    assert result.stdout.splitlines()[1] == "rows       ✗  rows.replace_others"
    assert "FAILED rows.replace_others" in result.stdout
    assert result.stderr == "Interrupted.\n"


# --- what is checked ---------------------------------------------------------------------------------------------


def test_composition_and_latent(quick):
    args = ["halves:dims=0-1", "halves:gap=2,dims=2-3", "--latent", 5, "--only", "rows.permute,io.dtype"]
    result = quick(*args)
    assert result.exit_code == 0, result.output
    header = result.stdout.splitlines()[0]
    assert header.startswith("halves:dims=0-1 (toys 1.2, api 1) → halves:gap=2,dims=2-3 (toys 1.2, api 1) · core ")
    assert "5 dimensions of y, 5 of z" in header
    found = json.loads(quick(*args, "--json").stdout)
    assert (found["y_dim"], found["z_dim"]) == (5, 5)
    assert found["versions"]["toys"] == "1.2"


def test_a_run_is_checked_as_trained(quick, trained, here):
    (here / "runs").symlink_to(trained)
    result = quick("points", "--only", "rows,plugin")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("halves (toys 1.2, api 1), as trained in runs/points · core ")
    assert "rows       ✓✓✓✓" in result.stdout
    found = json.loads(quick(trained / "points", "--only", "rows.permute", "--json").stdout)
    assert found["mapping"] == f"halves, as trained in {trained / 'points'}"


def test_what_repeats_a_failure_of_a_run(quick, trained, monkeypatch):
    from intel_conformance import catalogue, check

    def broken(_):
        raise Broken("no")

    catalogue.all_checks()
    monkeypatch.setitem(check.registered, "rows.permute", replace(check.registered["rows.permute"], run=broken))
    run = trained / "points"
    found = json.loads(quick(run, "--only", "rows.permute", "--dtype", "float64", "--json").stdout)
    assert found["results"][0]["repro"] == (
        f"intel check {run} --seed 0 --level quick --dtype float64 --only rows.permute"
    )


@pytest.mark.parametrize(
    "args",
    [("points", "--latent", "5"), ("points", "--latent", "2,3"), ("points", "identity")],
    ids=["latent", "latents", "not alone"],
)
def test_runs_are_checked_alone(quick, trained, here, args):
    (here / "runs").symlink_to(trained)
    result = quick(*args)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_one_dtype_and_a_seed(quick):
    header = quick("identity", "--only", "io.dtype", "--dtype", "float32", "--seed", 7).stdout.splitlines()[0]
    assert " · seed 7 · quick · float32 · " in header


def test_several_numbers_of_dimensions(quick, here):
    args = ["halves", "--only", "rows.permute,io.dtype"]
    result = quick(*args, "--latent", "2,3, 8")
    assert result.exit_code == 0, result.output
    for y_dim in (2, 3, 8):
        assert f" · {y_dim} dimensions of y, {y_dim} of z\n" in result.stdout
    assert result.stdout.endswith("\nDimensions of y: passed in 2, 3, 8\n")
    found = json.loads(quick(*args, "--latent", "2,3", "--json", "--junit", "x.xml").stdout)
    assert (found["y_dims"], found["ok"], found["ran"]) == ([2, 3], True, 4)
    assert [report["y_dim"] for report in found["reports"]] == [2, 3]
    assert [s.get("name") for s in ElementTree.parse(here / "x.xml").getroot()] == [
        "intel check halves in 2 dimensions",
        "intel check halves in 3 dimensions",
    ]
    assert set(json.loads(quick(*args, "--latent", "2", "--json").stdout)) >= {"y_dim", "results"}  # as ever


def test_one_of_several_numbers_of_dimensions_is_wrong(quick):
    result = quick("leaky", "--only", "rows", "--latent", "2,3")
    assert result.exit_code == 1
    assert "did not pass in 2, 3" in result.stdout
    assert "repro: intel check leaky --latent 3 --seed 0" in result.stdout
    result = quick("leaky", "--only", "rows", "--latent", "2,3", "-x")
    assert result.exit_code == 1
    assert result.stdout.endswith("did not pass in 2 · not tried in 3\n")


# --- forms of output ---------------------------------------------------------------------------------------------


def test_json(quick):
    result = quick("leaky", "--only", "rows", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["mapping"], found["level"], found["seed"], found["ok"]) == ("leaky", "quick", 0, False)
    assert found["planned"] == found["ran"] == len(found["results"]) == 4
    assert {"id", "status", "clause", "message", "hint", "evidence", "repro", "seconds"} <= set(found["results"][0])
    assert result.stderr == ""


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_junit(quick, here, form):
    (here / "out.xml").write_text("old")
    result = quick("leaky", "--only", "rows,io.dtype", "--junit", "out.xml", *form)
    assert result.exit_code == 1
    suite = ElementTree.parse(here / "out.xml").getroot()[0]
    assert suite.get("tests") == "5"
    cases = {case.get("name"): case for case in suite}
    assert cases["rows.replace_others"].find("failure") is not None
    assert not list(cases["io.dtype"])
    assert int(suite.get("failures")) == sum(case.find("failure") is not None for case in suite)
    assert [path.name for path in here.iterdir()] == ["out.xml"]


# --- the list ----------------------------------------------------------------------------------------------------


def test_list(ok):
    from intel_conformance import all_checks

    told = ok("check", "--list").stdout
    for check in all_checks():
        assert re.search(rf"^  {re.escape(check.id)} +{check.level} +{re.escape(check.summary)}$", told, re.MULTILINE)
        assert f"{check.clause}\n" in told
    rows = json.loads(ok("check", "--list", "--json").stdout)
    assert [row["id"] for row in rows] == [check.id for check in all_checks()]
    assert set(rows[0]) == {"id", "group", "level", "passes", "clause"}
    assert all(row["passes"] and row["clause"] for row in rows)


def test_list_of_some(ok):
    rows = json.loads(ok("check", "--list", "--json", "--only", "mode,io", "--skip", "mode.state,io").stdout)
    assert {row["group"] for row in rows} == {"mode"}
    assert "mode.state" not in {row["id"] for row in rows}
    rows = json.loads(ok("check", "--list", "--json", "--level", "quick").stdout)
    assert {row["level"] for row in rows} == {"quick"}


# --- nonsense ----------------------------------------------------------------------------------------------------

NONSENSE = {
    "nothing": ([], "Missing argument 'MAPPING...'"),
    "mapping": (["halvs"], "did you mean 'halves'?"),
    "key": (["halves:gpa=3"], "did you mean 'gap'?"),
    "no mapping": (["silent"], "returned NoneType"),
    "dims": (["halves:dims=7", "--latent", "3"], "dims=[7]"),
    "no run": (["./nothing"], "is not a run directory"),
    "bytes": (["\x00\x1b[31m:{[\"'"], "no mapping is called"),
    "level": (["identity", "--level", "quik"], "did you mean 'quick'?"),
    "level of a list": (["--list", "--level", "depe"], "did you mean 'deep'?"),
    "latent": (["identity", "--latent", "0"], "--latent"),
    "latent twice": (["identity", "--latent", "2,3,2"], "2 is named twice"),
    "latent of nothing": (["identity", "--latent", "2,,3"], "'' is not a valid integer"),
    "one latent of several": (["halves:dims=2", "--latent", "3,2"], "dims=[2]"),
    "seed": (["identity", "--seed", "-1"], "--seed"),
    "only": (["identity", "--only", "rows,rows.permut"], "did you mean 'rows.permute'?"),
    "only a group": (["identity", "--only", "rwos"], "did you mean 'rows'?"),
    "only nothing": (["identity", "--only", " ,"], "--only ' ,' names no check"),
    "skip": (["identity", "--skip", "stucture"], "did you mean 'structure'?"),
    "expect": (["identity", "--expect", "rows.permute"], "is not CHECK=REASON"),
    "expect without a reason": (["identity", "--expect", "rows.permute= "], "is not CHECK=REASON"),
    "expect nothing": (["identity", "--expect", "=why"], "is not CHECK=REASON"),
    "expect unknown": (["identity", "--expect", "row.permute=why"], "did you mean 'rows.permute'?"),
    "expect twice": (["identity", "--expect", "io=a", "--expect", "io=b"], "twice"),
    "device": (["identity", "--device", "cdua"], "device 'cdua' is not here"),
    "dtype": (["identity", "--dtype", "float23"], "'float32', 'float64'"),
    "junit": (["identity", "--junit", "nowhere/x.xml"], "there is no folder 'nowhere'"),
    "junit of no name": (["identity", "--junit", ""], "it is not a file"),
    "junit of a folder": (["identity", "--junit", "."], "--junit"),
    "junit of a device": (["identity", "--junit", "/dev/null"], "'/dev/null' cannot be written: it is not a file"),
    "junit of a long name": (["identity", "--junit", "x" * 300], "cannot be written: File name too long"),
    "listing": (["--list", "--only", "rwos"], "did you mean 'rows'?"),
}


@pytest.mark.parametrize("case", NONSENSE, ids=str)
def test_nonsense(refused, monkeypatch, case):
    from intel_conformance import runner

    def never(*_, **__):
        raise AssertionError("a check was run")

    monkeypatch.setattr(runner.Planned, "run", never)
    args, expected = NONSENSE[case]
    refused("check", *args, says=expected)


def test_an_error_as_json(quick):
    result = quick("halvs", "--json")
    assert result.exit_code == 2
    assert "halves" in json.loads(result.stdout)["error"]


# --- help and completion -----------------------------------------------------------------------------------------


def test_help_names_statuses_and_marks(ok):
    told = ok("check", "--help").stdout
    for line in ("0  passed", "1  a check failed, or no check ran", "2  the plugin will not load"):
        assert f"\n  {line}" in told
    assert set(MEANINGS) == set(STATUSES)
    for sign in "✓✗Ews-xX":
        assert re.search(rf"^  {sign}  \w", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("args", "environment", "expected"),
    [
        (["check", "--help"], {}, "Marks:"),
        ([], {"COMP_WORDS": "intel check identity --only rows,pl", "COMP_CWORD": "4"}, "rows,plugin"),
        ([], {"COMP_WORDS": "intel check identity --level q", "COMP_CWORD": "4"}, "quick"),
    ],
    ids=["help", "checks", "levels"],
)
def test_help_and_completion_import_nothing_heavy(args, environment, expected):
    code = (
        "import sys\nfrom intel_cli.main import main\nsys.argv = ['intel', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print('IMPORTED', *sys.modules)"
    )
    complete = {"_INTEL_COMPLETE": "bash_complete"} if environment else {}
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8", **environment, **complete},
        capture_output=True,
        text=True,
        check=False,
    )
    printed, _, modules = done.stdout.partition("IMPORTED")
    assert expected in printed, done.stderr
    assert not set(modules.split()) & {"torch", "numpy", "pydantic", "rich", "matplotlib", "intel_core.components.spec"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--only", "st"], ["structure"]),
        (["--skip", "rows,m"], ["rows,mode"]),
        (["--skip", "rows,r"], []),
        (["--level", ""], ["quick", "standard", "deep"]),
        (["--level", "nonsense", "--dtype", "float6"], ["float64"]),
        (["hal"], ["halves"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_completions(words, expected):
    from click.shell_completion import BashComplete

    items = BashComplete(intel, {}, "intel", "_INTEL_COMPLETE").get_completions(["check", *words[:-1]], words[-1])
    assert [item.value for item in items] == expected


# --- other kinds -------------------------------------------------------------------------------------------------

OTHERS = {
    "prior:standard": ("prior", "io,density", "2 dimensions of y, 2 of noise"),
    "posterior:gaussian": ("posterior", "io,density", "2 dimensions of y, 2 of noise"),
    "data:circle:n=100": ("dataset", "io,mode", "100 + 20 + 20 examples of shape (2,)"),
    "network:linear": ("network", "grad.reach,mode.repeat", "(6,) to 5 features, 3 of z to (6,)"),
    "metric:hoyer": ("metric", "io.finite,mode.repeat", "on runs of 20 steps"),
    "likelihood:laplace": ("likelihood", "io,density", "2 values of x, 2 of the decoder"),
}


@pytest.mark.parametrize("text", OTHERS)
def test_a_component_is_checked_by_its_kind(quick, text, tmp_path):
    kind, only, about = OTHERS[text]
    result = quick(text, "--only", only)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{text} (intelvae-")
    assert result.stdout.splitlines()[0].endswith(about)
    first = only.partition(",")[0]
    report = json.loads(quick(text, "--only", first, "--json", "--junit", str(tmp_path / "report.xml")).stdout)
    assert (report["kind"], report[kind], report["ok"]) == (kind, text, True)
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()[0]
    assert int(suite.attrib["tests"]) == report["planned"] > 0
    assert "--latent" not in str(report["results"]) or kind in ("prior", "posterior")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["prior:standrd"], "did you mean 'standard'?"),
        (["prior:"], "names no prior"),
        (["prior:standard", "identity"], "is checked alone"),
        (["prior:standard", "--only", "densty"], "did you mean 'density'?"),
        (["prior:standard", "--expect", "densty=x"], "did you mean 'density'?"),
        (["likelihood:poison"], "did you mean 'poisson'?"),
        (["likelihood:laplace", "--latent", "2"], "not built for a number of dimensions"),
        (["likelyhood:laplace"], "no kind is called 'likelyhood'; did you mean 'likelihood'?"),
        (["objective:elbo"], "objectives have no checks"),
        (["data:digit"], "did you mean 'digits'?"),
    ],
)
def test_nonsense_about_other_kinds(quick, args, says):
    result = quick(*args)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_the_checks_of_a_kind_are_listed(quick):
    assert "density.characteristic" in quick("prior", "--list").stdout
    assert "density.jacobian" in quick("posterior", "--list", "--level", "deep").stdout
    assert "density.values" in quick("likelihood", "--list").stdout
