"""A run whose process is killed at any moment, again and again, ends with the weights of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intel_core import load_run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

# For each line it reads, "FOLDER STEPS MOMENT", this begins or continues a run in a process of its own, forked after
# the slow imports. Moments are counted at each step, in the middle of each file, and before and after each rename; at
# the one that was asked for (0: at none) the process says so and waits for its end.
SERVER = """
import os, signal, sys, tempfile, warnings
from pathlib import Path

import torch
from intel_core import fit, hookimpl, resume
from intel_core.runs import checkpoint

x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
with tempfile.TemporaryDirectory() as warm:  # imports what the children need, once
    fit(mapping="cluster:k=2", data=x, run_dir=warm, device="cpu", latent=2, steps=4, start="kmeans:fits=1")
plain_write, plain_rename, plain_replace = checkpoint.write_synced, Path.rename, Path.replace
passed = moment = 0


def tick():
    global passed
    passed += 1
    if passed == moment:
        print("waiting", passed, flush=True)
        signal.pause()


def write(path, content):
    plain_write(path, content[: len(content) // 2])
    tick()
    plain_write(path, content)


def around(plain):
    def rename(self, target):
        tick()
        found = plain(self, target)
        tick()
        return found

    return rename


class Steps:
    @hookimpl
    def run_start(self, trainer):
        print("begun", trainer.step, flush=True)

    @hookimpl
    def step_end(self, trainer):
        tick()


def train(folder, steps):
    checkpoint.write_synced, Path.rename, Path.replace = write, around(plain_rename), around(plain_replace)
    warnings.simplefilter("ignore")
    if (folder / "run.json").exists():
        resume(folder, data=x, hooks=[Steps()])
    else:
        fit(
            mapping="cluster:k=2", data=x, run_dir=folder, hooks=[Steps()], seed=1, device="cpu", latent=2, steps=steps,
            batch_size=10, encoder="mlp:hidden=[6]", log_every=3, evaluate_every=10, save_every=4, keep_checkpoints=1,
            patience=100, start="kmeans:fits=1",
        )


for line in sys.stdin:
    folder, steps, moment = line.rsplit(maxsplit=2)
    moment = int(moment)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(Path(folder), int(steps))
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(status)
    print("process", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Runs in processes that can be killed."""

    def __init__(self, script: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def train(self, folder: Path, steps: int, *, kill_at: int | None) -> int | None:
        """Begin or go on with a run, killed at a moment; the step at which it began, if it came so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {steps} {kill_at or 0}\n")
        self._process.stdin.flush()
        said: dict[str, int] = {}
        while "ended" not in said:
            word, number = self._process.stdout.readline().split()
            said[word] = int(number)
            if word in ("waiting", "process") and {"waiting", "process"} <= said.keys():
                os.kill(said["process"], signal.SIGKILL)
        assert said["ended"] == (0 if kill_at is None else -signal.SIGKILL)
        return said.get("begun")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("server") / "server.py"
    path.write_text(SERVER)
    server = Server(path)
    yield server
    server.close()


def rows(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in load_run(folder).records()]


def assert_same_as_whole(server: Server, folder: Path, steps: int) -> None:
    """As the run of as many steps that was left alone."""
    whole = folder.parent / "whole"
    if not whole.exists():
        server.train(whole, steps, kill_at=None)
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rows(folder) == rows(whole)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [f"step-{steps:010d}"]


def kill(server: Server, folder: Path, steps: int, *, kills: int, within: int, seed: int) -> None:
    """Kill a run so many times, each within so many moments of its beginning, and let it end."""
    moments = random.Random(seed)
    begun = [server.train(folder, steps, kill_at=moments.randint(1, within)) for _ in range(kills)]
    begun.append(server.train(folder, steps, kill_at=None))
    seen = [step for step in begun if step is not None]
    assert seen == sorted(seen), "a saved step was lost"
    assert 0 < seen[-1] < steps, "the kills are to come after the first checkpoint and before the end"


def test_five_kills(server: Server, tmp_path: Path) -> None:
    kill(server, tmp_path / "run", 60, kills=5, within=45, seed=0)
    assert_same_as_whole(server, tmp_path / "run", 60)


def test_kills_before_there_is_a_run(server: Server, tmp_path: Path) -> None:
    """The directory is made, but it is no run yet, or one without a checkpoint; whatever is there is no obstacle."""
    for moment in (1, 3, 5, 8):
        server.train(tmp_path / "run", 20, kill_at=moment)
    assert server.train(tmp_path / "run", 20, kill_at=None) == 0
    assert_same_as_whole(server, tmp_path / "run", 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_thirty_kills(server: Server, seed: int, tmp_path: Path) -> None:
    kill(server, tmp_path / "run", 400, kills=30, within=40, seed=seed)
    assert_same_as_whole(server, tmp_path / "run", 400)


@pytest.mark.slow
def test_a_kill_at_every_moment_of_a_run(server: Server, tmp_path: Path) -> None:
    """Each moment once, up to the end: every step, every half of a file, both sides of every rename."""
    for moment in range(1, 80):
        folder = tmp_path / str(moment)
        server.train(folder, 12, kill_at=moment)
        if (folder / "metrics.json").exists():
            break  # all was done
        server.train(folder, 12, kill_at=None)
        assert_same_as_whole(server, folder, 12)
    assert 35 < moment < 79
