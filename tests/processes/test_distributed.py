"""Do two processes train what one trains? Real ones, which talk through gloo on this machine."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from intel_core import EnvironmentProblem, RunError, SpecError, StopReason, fit, fit_replicates, load_run, resume
from intel_core.components import discovery as plugins
from intel_core.processes.peers import Peers
from intel_core.processes.starting import process_count
from intel_core.training.process_group import ALONE

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("lightning_fabric") is None, reason="needs lightning_fabric"),
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
]

SCRIPT = Path(__file__).with_name("sharing_steps.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TIMEOUT = 240


def environment(**more: str) -> dict[str, str]:
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
    return {**{key: value for key, value in os.environ.items() if key not in ours}, **more}


def call(*command: object, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, Any]]:
    """What the script knows: its cases and how they are made. The mappings that it registers are gone afterwards."""
    before = dict(plugins.registered)
    yield runpy.run_path(str(SCRIPT))
    plugins.registered.clear()
    plugins.registered.update(before)


@pytest.fixture(scope="module")
def made(shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with every run of a group by one process, in ``one``, and by two, in ``two``; each group is made once.

    Of those that two processes go on with, ``kept`` has the first as it was before.
    """

    @functools.cache
    def make(group: str) -> Path:
        folder = tmp_path_factory.mktemp("runs")
        for name in ("one", "two"):
            (folder / name).mkdir()
        shared["make"](folder / "one", ALONE, group)
        if group == "first":
            shutil.copytree(folder / "one" / "interrupted", folder / "kept")
        done = call(*TORCHRUN, "--standalone", "--nproc-per-node", "2", SCRIPT, folder, group)
        assert done.returncode == 0, done.stderr[-4000:]
        return folder

    return make


@pytest.fixture
def runs(made: Callable[[str], Path], shared: dict[str, Any], request: pytest.FixtureRequest) -> Path:
    """The folder of the group that the test's case belongs to, or the first."""
    case = getattr(request.node, "callspec", None)
    is_first = case is None or case.params["case"] in shared["FIRST"]
    return made("first" if is_first else "rest")


def numbers(value: Any, at: str = "") -> dict[str, float]:
    """Every number in nested JSON but for seconds, by its place."""
    if isinstance(value, dict):
        return {
            k: v for key, item in value.items() if key != "seconds" for k, v in numbers(item, f"{at}/{key}").items()
        }
    if isinstance(value, list):
        return {k: v for i, item in enumerate(value) for k, v in numbers(item, f"{at}/{i}").items()}
    return {at: float(value)} if isinstance(value, int | float) else {}


def assert_same_run(one: Path, two: Path) -> None:
    """The same steps, lines, numbers and weights, up to float32 rounding that thirty steps of Adam carry on."""
    records = [load_run(path).records() for path in (one, two)]
    assert [(r["kind"], r["step"]) for r in records[0]] == [(r["kind"], r["step"]) for r in records[1]]
    close = {"rel": 2e-3, "abs": 2e-4}
    assert numbers(records[1]) == pytest.approx(numbers(records[0]), **close)
    metrics = [load_run(path).metrics for path in (one, two)]
    for key in ("status", "stop_reason", "step", "best_step"):
        assert metrics[0].get(key) == metrics[1].get(key)
    assert numbers(metrics[1]) == pytest.approx(numbers(metrics[0]), **close)
    weights = [safetensors.torch.load_file(path / "model.safetensors") for path in (one, two)]
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=3e-4)


# --- the same result -------------------------------------------------------------------------------------------

FIRST = ["identity", "sparse", "stranger", "learned", "conv", "stopping", "started"]
REST = ["clipped", "paper", "composed", "cluster", "iwae", "in z", "restarts", "averaged", "conditions", "saving"]
REST += ["started prior", "few labels", "started conv"]
EXACT = ["identity", "sparse", "paper", "iwae", "in z", "stranger", "learned", "conv"]


@pytest.mark.promptly(*FIRST)
@pytest.mark.parametrize("case", FIRST + REST)
def test_two_processes_leave_the_run_of_one(case: str, runs: Path, shared: dict[str, Any]) -> None:
    assert {*FIRST, *REST} == set(shared["CASES"])
    assert_same_run(runs / "one" / case, runs / "two" / case)
    assert load_run(runs / "two" / case).info["processes"] == 2
    assert "processes" not in load_run(runs / "one" / case).info


@pytest.mark.promptly("identity", "sparse", "stranger", "learned", "conv")
@pytest.mark.parametrize("case", EXACT)
def test_steps_are_the_same_to_float64(case: str, runs: Path) -> None:
    one, two = (torch.load(runs / name / f"{case}.pt", weights_only=True) for name in ("one", "two"))
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-10)


def test_without_the_other_rows_a_regulariser_is_another_one(runs: Path) -> None:
    one = torch.load(runs / "one" / "sparse.pt", weights_only=True)
    alone = torch.load(runs / "two" / "ungathered.pt", weights_only=True)
    assert max(float((one[name] - alone[name]).abs().max()) for name in one) > 1e-4


def test_the_early_stop_is_one(runs: Path) -> None:
    stopped = load_run(runs / "two" / "stopping")
    assert stopped.metrics["step"] < 30
    assert "best_step" in stopped.metrics


@pytest.mark.slow
def test_each_case_does_what_it_is_there_for(made: Callable[[str], Path]) -> None:
    two = made("rest") / "two"
    strengths = [r["weights"]["strength"] for r in load_run(two / "cluster").records() if "weights" in r]
    assert strengths[0] < 1 == strengths[-1]
    assert len(load_run(two / "restarts").info["trials"]) == 2
    assert len(list((two / "saving" / "checkpoints").glob("step-*"))) == 30


def test_a_run_goes_on_with_another_number_of_processes(runs: Path, shared: dict[str, Any], tmp_path: Path) -> None:
    assert_same_run(runs / "one" / "sparse", runs / "one" / "interrupted")  # begun by one, ended by two
    for path in (runs / "kept", runs / "two" / "interrupted"):
        assert load_run(path).metrics["status"] == "interrupted"
        assert load_run(path).metrics["step"] == 20
    begun_by_two = tmp_path / "run"
    shutil.copytree(runs / "two" / "interrupted", begun_by_two)
    resume(begun_by_two, data=shared["VECTORS"])
    assert_same_run(runs / "one" / "sparse", begun_by_two)


@pytest.mark.promptly("started")
@pytest.mark.parametrize("case", [case for case in FIRST + REST if case.startswith("started") or case == "few labels"])
def test_two_processes_begin_from_the_clusters_of_one(case: str, runs: Path) -> None:
    one, two = (safetensors.torch.load_file(runs / name / case / "start.safetensors") for name in ("one", "two"))
    assert torch.equal(one["cluster"], two["cluster"])
    assert torch.equal(one["certain"], two["certain"])
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_a_run_that_is_pulled_goes_on_with_another_number_of_processes(
    runs: Path, shared: dict[str, Any], tmp_path: Path
) -> None:
    assert_same_run(runs / "one" / "started", runs / "one" / "pulled")  # begun by one, ended by two
    begun_by_two = tmp_path / "run"
    shutil.copytree(runs / "two" / "pulled", begun_by_two)
    assert load_run(begun_by_two).metrics["step"] == 10
    resume(begun_by_two, data=shared["VECTORS"])
    assert_same_run(runs / "one" / "started", begun_by_two)


def test_a_row_that_diverges_in_one_process_is_told_as_in_one(runs: Path) -> None:
    one, two = ((runs / name / "diverged.txt").read_text().replace(name, "") for name in ("one", "two"))
    assert one == two
    kept = [runs / name / "diverged" / "diverged-batch.safetensors" for name in ("one", "two")]
    batches = [safetensors.torch.load_file(path) for path in kept]
    torch.testing.assert_close(batches[1], batches[0], rtol=0, atol=0)


# --- the end ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("dies", "resume goes on from the newest checkpoint"),
        pytest.param("raises", "process 1: the disk of this machine is full", marks=pytest.mark.slow),
        pytest.param("bug", "process 1: a bug", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_fails_ends_the_others(fault: str, told: str, tmp_path: Path) -> None:
    began = time.monotonic()
    done = call(sys.executable, SCRIPT, tmp_path / "run", fault)
    assert time.monotonic() - began < 60
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("process 0 ended")]
    assert told in line
    assert ("ZeroDivisionError" in done.stderr) == (fault == "bug")


TRAIN = [
    "train",
    "--data",
    "digits",
    "--latent",
    "2",
    "--mapping",
    "sparse:gamma=3",
    "--device",
    "cpu",
    "--no-pictures",
]


@pytest.mark.slow
def test_a_signal_to_one_process_saves_the_run_once(tmp_path: Path, forked: Callable[..., Any]) -> None:
    more = ["--steps", "1000000", "--evaluate-every", "50", "--run-dir", "run", "--devices", "2"]
    process = forked("-m", "intel_cli", *TRAIN, *more, cwd=tmp_path, env=environment())
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "run" / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("needs /proc")
        (other,) = (int(pid) for pid in children.read_text().split())
        os.kill(other, signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert err.count("Interrupted at step") == err.count("(signal SIGTERM)") == 1
    assert err.count("Continue with: intel train --resume run") == 1
    run = load_run(tmp_path / "run")
    assert run.status == "interrupted"
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert newest.name == f"step-{run.metrics['step']:010}"


def test_a_signal_that_comes_while_processes_agree_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for the others has said by then that it has no wish."""
    peers = Peers(1, 2, torch.device("cpu"))
    signals = iter([StopReason("signal SIGTERM", "signal")])

    def exchange(value: StopReason | None) -> list[StopReason | None]:
        peers.wish = next(signals, peers.wish)
        return [None, value]

    monkeypatch.setattr(peers, "exchange", exchange)
    assert peers.agree_to_stop() is None
    assert peers.agree_to_stop() == StopReason("signal SIGTERM", "signal")
    assert peers.agree_to_stop() is None


@pytest.mark.slow
def test_the_command_starts_its_processes_and_speaks_once(tmp_path: Path) -> None:
    train = [*TRAIN, "--steps", "20", "--json"]
    intel = shutil.which("intel")
    told = {}
    for name, command in {
        "one": [sys.executable, "-m", "intel_cli", *train],
        "two": [sys.executable, "-m", "intel_cli", *train, "--devices", "2"],
        "script": [intel, *train, "--devices", "2"],
        "torchrun": [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "-m", "intel_cli", *train],
    }.items():
        if command[0] is not None:
            done = call(*command, "--run-dir", name, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            told[name] = json.loads(done.stdout)
            assert done.stderr.count("Training ") == 1
            assert done.stderr.count("shared by 2 processes") == (name != "one")
    for name in told:
        assert numbers(told[name]["test"]) == pytest.approx(numbers(told["one"]["test"]), rel=1e-4, abs=1e-5)
        assert load_run(tmp_path / name).info.get("processes", 1) == (1 if name == "one" else 2)


@pytest.mark.slow
def test_two_machines_through_torchrun(tmp_path: Path) -> None:
    train = [*TRAIN, "--steps", "20", "--run-dir", "run"]
    address = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:29631"]
    command = [*TORCHRUN, *address, "-m", "intel_cli", *train]
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment(), "text": True, "stderr": subprocess.PIPE}
    machines = [subprocess.Popen(command, **options) for _ in range(2)]
    told = [machine.communicate(timeout=TIMEOUT)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], told
    assert load_run(tmp_path / "run").info["processes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--batch-size", "101"], "a batch of 101 examples does not divide among 2 processes; 100 or 102 would"),
        (["--schedule", "no=constant"], "no weight is called 'no'"),
        (["--run-dir", "taken"], "already exists and is not empty"),
    ],
)
def test_what_a_user_can_mend_is_told_once(more: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = call(sys.executable, "-m", "intel_cli", *TRAIN, "--devices", "2", *more, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("Error") == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


# --- what cannot be --------------------------------------------------------------------------------------------


def test_a_notebook_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    with pytest.raises(SpecError, match=r"no script here.*intel train --devices 2"):
        fit(data=torch.randn(40, 2), devices=2, device="cpu")


def test_lightning_fabric_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setattr(sys, "argv", [__file__])
    with pytest.raises(EnvironmentProblem, match=r"pip install 'intelvae-core\[distributed\]'"):
        fit(data=torch.randn(40, 2), devices=2, device="cpu")


@pytest.mark.slow
def test_one_process_does_not_import_it() -> None:
    code = "import sys, torch; from intel_core import fit; "
    code += "fit(data=torch.randn(40, 2), steps=2, run_dir='run'); print('lightning_fabric' in sys.modules)"
    assert "import lightning" not in code
    done = call(sys.executable, "-c", f"import os, tempfile; os.chdir(tempfile.mkdtemp()); {code}")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"nodes": 2}, r"nodes=2: start the command on each machine with torchrun --nnodes 2"),
        ({"devices": 2, "device": "mps"}, r"device 'mps' is one device; for 2 processes say cpu, cuda or auto"),
        ({"devices": 0}, "devices"),
        ({"devices": 3}, "a batch of 100 examples does not divide among 3 processes; 99 or 102 would"),
        ({"devices": 1024, "batch_size": 1024}, r"devices=1024 processes on \d+ CPU cores would only wait"),
    ],
)
def test_what_cannot_be_started(settings: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [__file__])
    with pytest.raises(SpecError, match=told):
        fit(data=torch.randn(40, 2), **{"device": "cpu", **settings})


def test_torchrun_and_the_settings_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "8", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert process_count(1, 1) == process_count(4, 2) == process_count(8, 1) == (4, 2)
    with pytest.raises(SpecError, match="torchrun has started 8 processes, but devices=3, nodes=1 ask for 3"):
        process_count(3, 1)


def test_replicates_are_for_one_process() -> None:
    with pytest.raises(SpecError, match="replicates are trained in one process"):
        fit_replicates(2, data=torch.randn(40, 2), devices=2)


def test_a_run_of_before_there_were_several_processes_is_read(runs: Path, tmp_path: Path) -> None:
    old = tmp_path / "run"
    shutil.copytree(runs / "one" / "identity", old)
    info = json.loads((old / "run.json").read_text())
    for name in ("devices", "nodes"):
        info["spec"].pop(name)
    (old / "run.json").write_text(json.dumps(info))
    assert load_run(old).spec.devices == 1
    with pytest.raises(RunError, match="is finished"):
        resume(old)
    with pytest.raises(SpecError, match="devices=-1"):
        resume(old, devices=-1)
