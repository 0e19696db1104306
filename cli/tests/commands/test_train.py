"""`intel train`: what it takes, what it leaves behind, what it says, and how it goes on after an interruption."""

import json
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

FILES = {"run.json", "metrics.json", "metrics.jsonl", "model.safetensors", "checkpoints"}
PICTURES = {"samples.png", "reconstructions.png", "latent.png"}


def spec_of(folder):
    return json.loads((Path(folder) / "run.json").read_text())["spec"]


def plan(ok, *args):
    return json.loads(ok("train", *args, "--dry-run", "--json").stdout)


def test_a_run_leaves_its_directory_and_a_summary(ok, tiny, here):
    result = ok("train", "--data", "toy_points", "--mapping", "halves", *tiny, "--name", "first")
    # Those of the start that mappings with clusters have by default, if intelvae-starts is installed.
    start = {"start.json", "start.safetensors"} if find_spec("intel_starts") else set()
    assert {path.name for path in (here / "runs" / "first").iterdir()} == FILES | PICTURES | start
    for said in ("nats per example", "ELBO", "KL", "active units", "2 of 2", "runs/first", "purity", "intel sample"):
        assert said in result.stdout
    for said in ("warm-up from 0 to 1 over the first 10 of 20 steps", "96 train", "2 dims", "step 20/20", "validation"):
        assert said in result.stderr


def test_json_is_one_object(ok, tiny):
    result = ok(
        "train", "--data", "toy_points", "--mapping", "halves", *tiny, "--json", "--objective", "iwae:particles=3"
    )
    summary = json.loads(result.stdout)
    assert summary["status"] == "finished"
    assert summary["units"] == "nats per example"
    assert summary["step"] == summary["steps"] == 20
    assert summary["test"]["iwae"] < 0
    assert summary["mapping"]["purity"] is None  # NaN is not JSON
    assert {Path(path).name for path in summary["pictures"]} == PICTURES
    assert Path(summary["run_dir"]).is_dir()
    assert "step 20/20" in result.stderr


def test_quiet_does_not_say_how_a_file_is_read(ok, tiny, here):
    rows = "".join(f"{i % 7},{i % 5}\n" for i in range(60))
    (here / "t.csv").write_text(f"a,b\n{rows}")
    for quiet in ((), ("--quiet",)):
        said = ok("train", "--data", "t.csv", *tiny, "--no-pictures", *quiet).stderr
        assert ("Reading t.csv as --data table:path=" in said) == (not quiet)


def test_quiet_says_nothing(ok, tiny):
    result = ok("train", "--data", "toy_points", *tiny, "--quiet")
    assert result.output == ""


def test_no_pictures(ok, tiny, here):
    ok("train", "--data", "toy_points", *tiny, "--quiet", "--no-pictures", "--run-dir", "made/here")
    assert {path.name for path in (here / "made" / "here").iterdir()} == FILES


def test_a_failure_to_draw_does_not_lose_the_run(ok, call, tiny, monkeypatch):
    import intel_cli.pictures

    def fail(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr(intel_cli.pictures, "draw_all", fail)
    result = ok("train", "--data", "toy_points", *tiny, "--quiet")
    assert result.stderr == "Warning: no pictures were drawn: RuntimeError: no ink\n"
    shown = call("--debug", "train", "--data", "toy_points", *tiny, "--quiet")
    assert isinstance(shown.exception, RuntimeError)


def test_a_used_directory_is_left_alone(call, tiny, here):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("x")
    result = call("train", "--data", "toy_points", *tiny, "--run-dir", "mine")
    assert result.exit_code == 2
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.tex"]


def test_starts_that_are_tried_are_told(ok, tiny, here):
    result = ok("train", "--data", "toy_points", *tiny, "--restarts", "2", "--no-pictures", "--run-dir", "r")
    lines = [line for line in result.stderr.splitlines() if line.startswith("start ")]
    trials = json.loads((here / "r" / "run.json").read_text())["trials"]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert [float(line.split()[-1]) for line in lines] == pytest.approx([t["loss"] for t in trials], abs=0.006)


def test_a_collapse_is_said_aloud(ok, tiny):
    result = ok("train", "--data", "toy_points", *tiny, "--lr", "1e-9", "--no-pictures")
    active = "0 of 2" in result.stdout
    assert ("no unit is active" in result.stderr) == active


# --- settings --------------------------------------------------------------------------------------------------


def test_dry_run_writes_nothing_and_says_everything(ok, here):
    result = ok("train", "--data", "toy_images", "--steps", "300", "--dry-run")
    assert not list(here.iterdir())
    for said in ("96 train", "1×8×8", "1 per epoch", "parameters"):
        assert said in result.stdout
    settings = yaml.safe_load(result.stdout)
    assert settings["steps"] == 300
    assert settings["schedules"]["kl"].startswith("constant:value=1.0")


def test_the_printed_plan_is_a_config_file(ok, here):
    text = ok("train", "--data", "toy_points", "--mapping", "halves:gap=2", "--dry-run").stdout
    (here / "run.yaml").write_text(text)
    (here / "plan.json").write_text(ok("train", "--data", "toy_points", "--dry-run", "--json").stdout)
    assert plan(ok, "--config", "run.yaml")["spec"] == yaml.safe_load(text)
    assert plan(ok, "--config", "plan.json")["spec"]["data"] == "toy_points:n=120"


def test_a_plan_finds_what_training_would_refuse(call):
    result = call("train", "--data", "toy_points", "--schedule", "gamma=constant", "--dry-run")
    assert result.exit_code == 2
    assert "no weight is called 'gamma'" in result.stderr


@pytest.mark.parametrize(
    ("args", "field", "value"),
    [
        (("--lr", "0.01"), "learning_rate", 0.01),
        (("--seed", "0"), "seed", 0),
        (("--latent", "3"), "latent", 3),
        (("--epochs", "2"), "steps", 2 * (96 // 100 or 1)),
        (("--patience", "4", "--evaluate-every", "7", "--log-every", "3"), "patience", 4),
        (("--clip-norm", "5"), "clip_norm", 5.0),
        (("--batch-size", "10"), "batch_size", 10),
        (("--network", "linear"), "decoder", "linear"),
        (("--network", "linear", "--encoder", "mlp"), "encoder", "mlp:hidden=[256,256],activation=relu"),
        (("--decoder", "linear"), "decoder", "linear"),
        (("--warmup", "7"), "schedules", {"kl": "linear:start=0.0,end=1.0,steps=7,delay=0"}),
        (("--warmup", "0"), "schedules", {"kl": "constant:value=1.0"}),
        (
            ("--mapping", "halves", "--mapping", "identity"),
            "mapping",
            ["halves:dims=null,gap=5.0", "identity:dims=null"],
        ),
        (("--device", "cpu"), "device", "cpu"),
        (("--name", "mine"), "name", "mine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_options_reach_the_spec_and_win_over_the_config(ok, here, args, field, value):
    (here / "c.yaml").write_text(
        "data: toy_points\nseed: 5\nsteps: 50\nlearning_rate: 0.5\nname: other\nencoder: conv\nmapping: identity\n"
        "decoder: conv\nlatent: 2\nbatch_size: 100\nschedules: {kl: 'linear:steps=3'}\n"
    )
    base = ("--network", "mlp") if not {"--network", "--decoder"} & set(args) else ()
    if "--decoder" in args:
        base = ("--encoder", "mlp")
    assert plan(ok, "--config", "c.yaml", *base, *args)["spec"][field] == value


def test_schedules_are_merged_by_name(ok, here):
    (here / "c.json").write_text('{"data": "toy_points", "schedules": {"kl": "constant", "lr": "constant:value=0.5"}}')
    found = plan(ok, "--config", "c.json", "--warmup", "9")["spec"]["schedules"]
    assert found["lr"] == "constant:value=0.5"
    assert found["kl"].startswith("linear")


def test_a_run_json_is_a_config(ok, trained, here):
    result = plan(ok, "--config", trained / "points" / "run.json", "--seed", "3")
    assert result["spec"]["seed"] == 3
    assert result["spec"]["name"] == "toy_points-halves-seed3"
    assert {**result["spec"], "seed": 0, "name": ""} == {**spec_of(trained / "points"), "name": ""}


def test_the_run_json_of_a_time_without_starts_is_a_config_without_one(ok, trained, here):
    described = json.loads((trained / "points" / "run.json").read_text())
    del described["spec"]["start"]
    (here / "old.json").write_text(json.dumps(described))
    assert plan(ok, "--config", "old.json")["spec"]["start"].startswith("none")


def test_a_wrong_config_is_refused(call, here):
    for text, expected in (
        ("laten: 3", "did you mean 'latent'?"),
        ("[1, 2]", "keys and values"),
        ("a: [", "cannot be read"),
    ):
        (here / "c.yaml").write_text(text)
        result = call("train", "--config", "c.yaml")
        assert result.exit_code == 2
        assert expected in result.stderr


def test_a_run_that_ends_within_its_warm_up_is_told(ok):
    text = ok("train", "--data", "toy_points", "--steps", "10", "--warmup", "100", "--dry-run").stdout
    assert "ENDS BEFORE the warm-up, at weight 0.1" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my.csv", "table:path={}"),
        ("my,own.TSV", 'table:path="{}"'),
        ("my.parquet", "table:path={}"),
        ("my.npy", "arrays:path={}"),
        ("my.npz", "arrays:path={}"),
    ],
)
def test_a_file_becomes_the_spec_that_reads_it(here, name, expected):
    from intel_core.reading.data_files import data_spec

    (here / name).write_text("")
    assert data_spec(name) == expected.format(here / name)
    assert data_spec(f"{name}:label=a") == expected.format(here / name) + ",label=a"
    (here / "folder").mkdir()
    assert data_spec("folder") == f"images:path={here / 'folder'}"


def test_a_data_set_wins_over_a_folder_of_its_name(here):
    from intel_core.reading.data_files import data_spec

    (here / "toy_points").mkdir()
    assert data_spec("toy_points:n=50") == "toy_points:n=50"


def test_an_unreadable_file_is_refused(call, here):
    (here / "thesis.docx").write_text("")
    result = call("train", "--data", "thesis.docx")
    assert result.exit_code == 3
    assert "'thesis.docx' cannot be read as data; expected a .csv" in result.stderr


# --- interruption ----------------------------------------------------------------------------------------------


def test_interrupted_and_resumed(start, ok, call, here):
    process = start(
        *(
            "train",
            "--data",
            "toy_points",
            "--steps",
            "3000",
            "--evaluate-every",
            "300",
            "--batch-size",
            "20",
            "--json",
        ),
        *("--network", "linear", "--run-dir", "mine", "--device", "cpu", "--patience", "9999"),
    )
    for line in process.stderr:
        if line.startswith("step"):
            break
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "intel train --resume mine" in errors
    summary = json.loads(printed)
    assert summary["status"] == "interrupted"
    assert 0 < summary["step"] < 3000
    assert "interrupted" in ok("runs", ".").stdout
    resumed = ok("train", "--resume", "mine")
    assert "Continuing mine at step" in resumed.stderr
    assert "step 3,000/3,000" in resumed.stderr
    assert json.loads((here / "mine" / "metrics.json").read_text())["status"] == "finished"
    assert {path.name for path in (here / "mine").iterdir()} == FILES | PICTURES
    again = call("train", "--resume", "mine")
    assert again.exit_code == 2
    assert "nothing to resume" in again.stderr


def test_commands_for_copying_are_quoted(ok, here, tiny):
    said = ok("train", "--data", "toy_points", *tiny, "--run-dir", "my runs/first").stdout
    assert "Next: intel report 'my runs/first'  |  intel evaluate 'my runs/first'" in said


def test_a_terminal_gets_a_live_display(ok, tiny, monkeypatch):
    import io

    import intel_cli.output.progress as progress
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress, "make_progress", lambda quiet: progress.Live(console))
    ok("train", "--data", "toy_points", *tiny, "--no-pictures")
    shown = screen.getvalue()
    for said in (
        "Training runs/",
        "20/20 steps",
        "epoch",
        "left",
        "ELBO",
        "log-likelihood",
        "× 1.00",
        "validation ELBO",
    ):
        assert said in shown
    assert shown.endswith("\x1b[2K")  # the display is gone, what is printed next begins on a clean line


def test_the_display_suits_stderr(monkeypatch):
    import sys

    from intel_cli.output.progress import Lines, Live, Progress, make_progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(make_progress()) is Live
    assert type(make_progress(quiet=True)) is Progress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert type(make_progress()) is Lines
