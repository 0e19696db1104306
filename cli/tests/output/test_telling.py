"""Whatever a user can get wrong is told in a line or two, with the exit code of its kind and no traceback."""

import json
import subprocess
import sys
import warnings

import pytest

NONSENSE = {
    "command": (["trian"], "did you mean 'train'?"),
    "subcommand": (["plugins", "lst"], "did you mean 'list'?"),
    "option": (["train", "--maping", "x"], "--mapping"),
    "mapping": (["train", "--mapping", "halvs"], "did you mean 'halves'?"),
    "key": (["train", "--mapping", "halves:gpa=3"], "did you mean 'gap'?"),
    "bound": (["train", "--mapping", "halves:gap=-1"], "gap=-1"),
    "syntax": (["train", "--mapping", "halves:gap"], "expected key=value"),
    "data": (["train", "--data", "toy_point"], "did you mean 'toy_points'?"),
    "missing file": (["train", "--data", "nothing.csv"], "no file or folder 'nothing.csv'"),
    "missing folder": (["train", "--data", "./nothing"], "no file or folder"),
    "empty data": (["train", "--data", ""], "names no component"),
    "no number": (["train", "--steps", "many"], "'many' is not a valid integer"),
    "zero steps": (["train", "--data", "toy_points", "--steps", "0"], "steps"),
    "huge latent": (["train", "--data", "toy_points", "--latent", "1000000000"], "latent"),
    "steps and epochs": (["train", "--data", "toy_points", "--steps", "1", "--epochs", "1"], "not both"),
    "nan": (["train", "--data", "toy_points", "--lr", "nan"], "learning_rate"),
    "likelihood": (["train", "--data", "toy_points", "--likelihood", "bernoulli"], "real numbers"),
    "network": (["train", "--data", "toy_points", "--network", "conv"], "conv needs images"),
    "seed": (["train", "--data", "toy_points", "--seed", "-1"], "seed"),
    "device": (["train", "--data", "toy_points", "--device", "cdua"], "device 'cdua' is not here"),
    "name": (["train", "--data", "toy_points", "--name", "../up"], "name"),
    "schedule": (["train", "--schedule", "linear:steps=3"], "is not NAME=SPEC"),
    "schedule twice": (["train", "--schedule", "kl=constant", "--schedule", "kl=constant"], "twice"),
    "schedule's weight": (
        ["train", "--data", "toy_points", "--schedule", "gama=constant", "--dry-run"],
        "no weight is called 'gama'",
    ),
    "two warm-ups": (["train", "--warmup", "3", "--schedule", "kl=constant"], "give one of them"),
    "negative warm-up": (["train", "--warmup", "-3"], "negative"),
    "no config": (["train", "--config", "nothing.yaml"], "no file"),
    "no data folder": (["train", "--data", "toy_points", "--data-dir", "nowhere"], "is not a folder"),
    "resume nothing": (["train", "--resume", "nowhere"], "is not a run directory"),
    "resume and more": (["train", "--resume", "nowhere", "--seed", "0"], "leave out --seed"),
    "no mapping": (["train", "--data", "toy_points", "--mapping", "silent"], "returned NoneType"),
    "dims": (["train", "--data", "toy_points", "--mapping", "halves:dims=5"], "dims=[5]"),
    "sample nothing": (["sample", "nowhere"], "is not a run directory"),
    "sample without a run": (["sample"], "Missing argument"),
    "encode nothing": (["encode", "nowhere"], "is not a run directory"),
    "split": (["encode", "nowhere", "--split", "tset"], "tset"),
    "runs nowhere": (["runs", "nowhere"], "is not a folder"),
    "kind": (["plugins", "list", "mapings"], "did you mean 'mappings'?"),
    "component": (["plugins", "show", "halvs"], "did you mean 'halves'?"),
    "component of a kind": (["plugins", "show", "halves", "--kind", "network"], "no network is called 'halves'"),
    "schema": (["schema", "maping", "x"], "did you mean 'mapping'?"),
    "schema of nothing": (["schema", "mapping", "halvs"], "did you mean 'halves'?"),
    "schema unnamed": (["schema", "objective"], "elbo, iwae"),
    "schema of a run": (["schema", "run", "x"], "leave out 'x'"),
    "no plugin": (["--no-plugin", "halvs", "plugins", "list"], "did you mean 'halves'?"),
    "no such global": (["--nonsense"], "No such option"),
    "bytes": (["train", "--mapping", "\x00\x1b[31m:{[\"'"], "no mapping is called"),
    "long": (["train", "--mapping", "a" * 5000], "no mapping is called"),
}


ABOUT_DATA = ("missing file", "missing folder", "likelihood", "no data folder")


@pytest.mark.parametrize("case", NONSENSE, ids=str)
def test_nonsense(refused, case):
    args, expected = NONSENSE[case]
    refused(*args, says=expected, code=3 if case in ABOUT_DATA else 2)


@pytest.mark.parametrize("args", [["train", "--mapping"], ["train", "--resume"], ["sample", "x", "--seed"]])
def test_an_option_without_its_value_points_to_the_help_of_its_command(refused, call, args):
    refused(*args, says="requires an argument")
    assert call(*args).stderr.endswith(f"intel {args[0]} --help explains the options.\n")


@pytest.mark.parametrize("args", [["train", "--maping", "x"], ["train", "--mapping", "halvs"], ["runs", "nowhere"]])
def test_with_json_the_error_is_on_stdout_too(call, args):
    result = call(*args, "--json")
    assert result.exit_code == 2
    message = json.loads(result.stdout)["error"]
    assert result.stderr.startswith(f"Error: {message}")


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback_of_a_user_error(call, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("INTEL_DEBUG", "1")
    result = call(*(["--debug"] if how == "option" else []), "train", "--mapping", "halvs")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "Error: no mapping is called" in result.stderr


def test_no_command_shows_help(call):
    result = call()
    assert result.exit_code in (0, 2)
    assert "Commands of intelvae-cli:" in result.output


def test_a_bug_keeps_its_traceback():
    code = "import intel_cli.main as m, intel_cli.commands.runs as r; r.runs.callback = lambda **_: 1 / 0; m.main()"
    done = subprocess.run([sys.executable, "-c", code, "runs"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("This is a bug")


def test_interruption_before_training(call, monkeypatch):
    import intel_core.fitting.fit

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(intel_core.fitting.fit, "fit", interrupted)
    result = call("train", "--data", "toy_points")
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_no_error(start):
    process = start("plugins", "list", "--json")
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(timeout=60)
    process.stderr.close()
    assert "Traceback" not in errors
    assert "bug" not in errors


def test_a_warning_is_one_line(call, monkeypatch):
    import intel_cli.commands.runs as home

    def warn(_):
        warnings.warn("a plugin\nsays   this", stacklevel=1)
        return {}

    monkeypatch.setattr(home, "json_text", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = call("runs", "--json")
    assert result.stderr == "Warning: a plugin says this\n"


def test_broken_plugins_harm_nobody_but_their_users(call, ok, tiny, with_rotten):
    result = call("train", "--data", "toy_points", "--mapping", "crash")
    assert result.exit_code == 2
    assert "BROKEN (RuntimeError: no licence found)" in result.stderr
    assert "pip uninstall rotten" in result.stderr
    assert "needs plugin API 99" in call("train", "--mapping", "future").stderr
    assert "say one/twice or two/twice" in call("train", "--mapping", "twice").stderr
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        trained = ok("train", "--data", "toy_points", "--mapping", "one/twice", *tiny, "--no-pictures", "--quiet")
    assert [line[:8] for line in trained.stderr.splitlines()] == ["Warning:"]
    assert "bad_hook is BROKEN" in trained.stderr


def test_strict_json():
    from intel_cli.output.telling import json_text

    assert json.loads(json_text({"a": [float("nan"), (1.5, float("inf"))], 2: None})) == {
        "a": [None, [1.5, None]],
        "2": None,
    }
