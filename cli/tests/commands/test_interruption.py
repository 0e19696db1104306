"""A run that is asked to end does so whole, and says how to go on; one that has not begun leaves nothing."""

import json
import signal
from pathlib import Path

import pytest

SLOW = ("train", "--data", "toy_points", "--steps", "100000", "--batch-size", "20", "--network", "linear")
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def until(process, word):
    for line in process.stderr:
        if line.startswith(word):
            return line
    raise AssertionError(f"no line began with {word!r}")


@pytest.mark.promptly("2")
@pytest.mark.parametrize("number", SIGNALS)
def test_during_the_trials_nothing_is_written(start, here, number):
    process = start(*SLOW, "--restarts", "50", "--trial", "0.001", "--run-dir", "mine")
    until(process, "start 1/50")
    process.send_signal(number)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    assert last == "Interrupted before training began; nothing was written."
    assert "Traceback" not in errors
    assert printed == ""
    assert not list(here.iterdir())


@pytest.mark.slow
@pytest.mark.promptly("15")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_says_how_to_go_on_and_does(start, ok, here, number):
    process = start(*SLOW[:4], "3000", *SLOW[5:], "--run-dir", "mine", "--save-every", "100", "--evaluate-every", "100")
    until(process, "step")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"({'signal ' + signal.Signals(number).name})." in errors
    assert errors.strip().splitlines()[-1] == "Continue with: intel train --resume mine"
    assert not (here / "mine" / ".lock").exists()
    ok("train", "--resume", "mine", "--quiet", "--no-pictures")
    assert json.loads((here / "mine" / "metrics.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_a_run_that_was_killed_is_resumed(start, ok, here):
    process = start(*SLOW[:4], "3000", *SLOW[5:], "--run-dir", "mine", "--save-every", "50")
    until(process, "step")
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    ok("train", "--resume", "mine", "--quiet", "--no-pictures")
    ok(*SLOW[:4], "3000", *SLOW[5:], "--run-dir", "whole", "--quiet", "--no-pictures")
    first, second = ((here / name / "model.safetensors").read_bytes() for name in ("mine", "whole"))
    assert first == second


def test_two_processes_on_one_directory(start, call, here):
    process = start(*SLOW, "--run-dir", "mine", "--save-every", "50", "--log-every", "10", "--evaluate-every", "100")
    until(process, "step")
    for args in (("--resume", "mine"), ("--data", "toy_points", "--run-dir", "mine")):
        result = call("train", *args)
        assert result.exit_code == 2
        assert f"in use by process {process.pid}" in result.stderr or "not empty" in result.stderr
    process.kill()
    process.communicate(timeout=60)
    assert (here / "mine" / ".lock").exists()


@pytest.mark.parametrize("args", [("--save-every", "5"), ("--save-minutes", "0.5")])
def test_the_cadence_reaches_the_spec(ok, args):
    spec = json.loads(ok("train", "--data", "toy_points", *args, "--dry-run", "--json").stdout)["spec"]
    assert spec[args[0][2:].replace("-", "_")] == float(args[1])


def test_a_run_from_elsewhere_says_what_it_needs(call, trained, here, monkeypatch):
    import shutil

    shutil.copytree(trained / "points", here / "theirs")
    info = json.loads((here / "theirs" / "run.json").read_text())
    needed = {"kind": "mappings", "name": "spiral", "distribution": "intelvae-spiral", "version": "2.3"}
    info["components"].append(needed)
    info["spec"]["mapping"] = ["spiral:turns=2"]
    (here / "theirs" / "run.json").write_text(json.dumps(info))
    (here / "theirs" / "metrics.json").unlink()
    for args in (("sample", "theirs"), ("train", "--resume", "theirs")):
        result = call(*args)
        assert result.exit_code == 2
        assert "needs mapping 'spiral' of intelvae-spiral 2.3, which is not installed" in result.stderr
        assert "pip install intelvae-spiral" in result.stderr
    assert Path(here / "theirs" / "model.safetensors").exists()


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize(
    "option", [("--precision", "bfloat16"), ("--device", "cpu"), ("--log-every", "7"), ("--data", "toy_points")]
)
def test_a_run_that_goes_on_keeps_its_own_settings(option, ok, refused, tiny, here):
    """Whatever would change it is refused by name."""
    ok("train", "--data", "toy_points", *tiny, "--run-dir", "run", "--quiet")
    before = (here / "run" / "run.json").read_bytes()
    refused("train", "--resume", "run", *option, says=f"leave out {option[0]}")
    assert (here / "run" / "run.json").read_bytes() == before


def test_there_is_no_option_for_threads(refused, ok, tiny, here):
    ok("train", "--data", "toy_points", *tiny, "--run-dir", "run", "--quiet")
    refused("train", "--resume", "run", "--threads", "2", says="No such option")
