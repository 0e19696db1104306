"""`intel show`: a mapping's promises in words and as JSON, runs by path and by name, errors in a line."""

import itertools
import json

import pytest

# --- the command -------------------------------------------------------------------------------------------------


def test_text_says_what_is_declared_and_no_more(ok, here):
    lines = dict(line.split(None, 1) for line in ok("show", "ring", "--latent", 3).stdout.splitlines())
    assert lines["mapping"] == "ring"
    assert lines["latent"] == "3 dimensions of y, 3 of z"
    assert lines["norm"] == "‖z‖ ≤ 1"
    assert lines["topology"] == "Betti numbers 1, 0, 1: 1 piece, 0 loops, 1 void"
    assert lines["centres"] == "(y0, y1, y2) = (0, 0, 0)"
    assert lines["picture"] == "ring.png"
    assert (here / "ring.png").exists()
    assert {"seams", "sparsity", "clusters", "steepness", "parameters"}.isdisjoint(lines)


@pytest.mark.promptly(every=4)
@pytest.mark.parametrize(
    ("args", "latent"),
    [
        (["identity"], 2),
        (["halves"], 2),
        (["ring"], 3),  # a surface
        (["halves:dims=4-5"], 6),
        (["halves:dims=3"], 4),
        (["big", "--latent", 40], 40),
        (["big"], 48),
        (["wider", "halves:dims=2"], 2),
    ],
)
def test_default_latent(ok, args, latent):
    told = ok("show", *args, "-o", "x.png").stdout
    assert f"{latent} dimensions of y" in told
    assert ("--latent" in told) == ("--latent" not in args)


def test_json(ok, here):
    found = json.loads(ok("show", "halves:gap=2,dims=0-1", "torn:dims=2-3", "--latent", 5, "--json").stdout)
    assert found["mapping"] == ["halves:gap=2,dims=0-1", "torn:dims=2-3"]
    assert found["run"] is None
    assert (found["y_dim"], found["z_dim"], found["parameters"]) == (5, 5, 0)
    assert found["continuous"] is False
    assert found["clusters"] is None  # a tear keeps none
    assert found["file"] == "halves-gap=2-dims=0-1-torn-dims=2-3.png"
    assert (here / found["file"]).exists()
    found = json.loads(ok("show", "torn", "--json").stdout)
    assert found["seams"] == [{"dims": [1], "point": [0.5], "directions": []}]
    assert found["planes"] == [[0, 1]]
    keys = {"injective", "norm_bound", "betti", "sparsity", "hoelder", "centres", "proportions", "left_out", "seed"}
    assert keys <= set(found)


@pytest.mark.slow
def test_planes_beyond_four_are_counted(ok):
    assert "2 more planes, for lack of room: (y8, y9), (y10, y11)" in ok("show", "big", "--latent", 40).stdout
    assert json.loads(ok("show", "big", "--latent", 40, "--json").stdout)["left_out"] == [[8, 9], [10, 11]]


def test_parameters_are_said_to_be_untrained(ok):
    assert "6, untrained" in ok("show", "drawn").stdout


# --- runs --------------------------------------------------------------------------------------------------------


def test_a_run_is_shown_as_trained(ok, trained, here):
    told = ok("show", trained / "points").stdout
    assert f"as trained in {trained / 'points'}" in told
    assert (here / "points-mapping.png").exists()
    found = json.loads(ok("show", trained / "points", "--json", "-o", "x.svg").stdout)
    assert found["run"] == str(trained / "points")
    assert found["mapping"] == ["halves"]


def test_a_run_by_its_name(ok, trained, here):
    (here / "runs").symlink_to(trained)
    assert "as trained in runs/points" in ok("show", "points").stdout


def test_a_mapping_wins_over_a_folder_of_its_name(ok, here):
    (here / "halves").mkdir()
    (here / "halves" / "run.json").write_text("{}")
    assert "as trained" not in ok("show", "halves").stdout


# --- what can go wrong -------------------------------------------------------------------------------------------

NONSENSE = {
    "nothing": ([], "Missing argument"),
    "unknown": (["halvs"], "did you mean 'halves'?"),
    "unknown of a distribution": (["toys/halvs"], "halves"),
    "key": (["halves:gpa=3"], "did you mean 'gap'?"),
    "too small": (["ring", "--latent", "1"], "a ring needs 2 dimensions, there are 1"),
    "no size": (["huge"], "needs 1000 dimensions, there are 128; give --latent"),
    "dims": (["halves:dims=7", "--latent", "3"], "dims=[7]"),
    "no mapping": (["silent"], "returned NoneType"),
    "latent": (["halves", "--latent", "0"], "--latent"),
    "huge": (["halves", "--latent", "100000000"], "--latent"),
    "points": (["halves", "-n", "0"], "--points"),
    "seed": (["halves", "--seed", "-1"], "--seed"),
    "suffix": (["halves", "-o", "x.jpg"], "suffixes: .pdf, .png, .svg"),
    "no suffix": (["halves", "-o", "x"], "no suffix that can be written"),
    "folder": (["halves", "-o", "nowhere/x.png"], "there is no folder 'nowhere'"),
    "no run": (["./nothing"], "is not a run directory"),
    "nobody's home": (["~nobody-at-all"], "no mapping is called"),
    "bytes": (["\x00\x1b[31m:{[\"'"], "no mapping is called"),
    "long": (["a" * 5000], "no mapping is called"),
}


@pytest.mark.parametrize("case", NONSENSE, ids=str)
def test_nonsense(refused, case):
    args, expected = NONSENSE[case]
    refused("show", *args, says=expected)


def test_runs_are_shown_alone(call, trained, here):
    run = trained / "points"
    for args in itertools.permutations(["halves", run]):
        result = call("show", *args)
        assert result.exit_code == 2
        assert f"{str(run)!r} is a run, whose mapping is complete; show it alone, without 'halves'" in result.stderr
    assert "show it alone" in call("show", run, run).stderr
    result = call("show", run, "--latent", "5")
    assert result.exit_code == 2
    assert "has 2 latent dimensions, not 5; leave out --latent" in result.stderr
    assert not list(here.iterdir())


def test_an_error_as_json(call):
    result = call("show", "halvs", "--json")
    assert result.exit_code == 2
    assert "halves" in json.loads(result.stdout)["error"]


def test_a_prior_is_drawn_as_well_as_a_mapping(tmp_path, monkeypatch):
    from click.testing import CliRunner
    from intel_cli.commands.show import show as command

    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(command, ["prior:standard", "-n", "50"])
    assert found.exit_code == 0, found.output
    assert (tmp_path / "prior-standard.png").stat().st_size > 1000
