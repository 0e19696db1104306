"""A run whose process is killed at any moment, again and again, ends with the weights of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intel_core import load_run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

# For each line it reads, "FOLDER SLOW", this begins or continues a run in a process of its own, forked after the slow
# imports. All that goes to the disk is slowed, so that many kills fall into a checkpoint, and into half a file of one.
SERVER = """
import os, sys, time, warnings
from pathlib import Path

import torch
from intel_core import checkpoint, fit, hookimpl, resume

x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
plain_write, plain_rename = checkpoint._write_synced, Path.rename


class Begun:
    def __init__(self, slow):
        self.slow = slow

    @hookimpl
    def run_start(self, trainer):
        print("begun", trainer.step, flush=True)

    @hookimpl
    def step_end(self, trainer):
        time.sleep(self.slow)


def train(folder, slow):
    def write(path, content):
        plain_write(path, content[: len(content) // 2])
        time.sleep(slow)
        plain_write(path, content)
        time.sleep(slow)

    def rename(self, target):
        time.sleep(slow)
        found = plain_rename(self, target)
        time.sleep(slow)
        return found

    checkpoint._write_synced, Path.rename = write, rename
    warnings.simplefilter("ignore")
    if (folder / "run.json").exists():
        resume(folder, data=x, hooks=[Begun(slow)])
    else:
        fit(
            mapping="cluster:k=2", data=x, run_dir=folder, hooks=[Begun(slow)], seed=1, device="cpu", latent=2,
            steps=120, batch_size=10, encoder="mlp:hidden=[6]", log_every=3, evaluate_every=10, save_every=4,
            keep_checkpoints=1, patience=100,
        )


for line in sys.stdin:
    folder, slow = line.rsplit(maxsplit=1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(Path(folder), float(slow))
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

    def train(self, folder: Path, slow: float, *, kill_after: float | None) -> int:
        """Begin or go on with a run, and kill it so many seconds after it began; the step at which it began."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder} {slow}\n")
        self._process.stdin.flush()
        first, second = sorted([self._answer(), self._answer()])  # in either order
        assert (first[0], second[0]) == ("begun", "process")
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(second[1], signal.SIGKILL)
        assert self._answer() == ("ended", 0 if kill_after is None else -signal.SIGKILL)
        return first[1]

    def _answer(self) -> tuple[str, int]:
        assert self._process.stdout is not None
        word, number = self._process.stdout.readline().split()
        return word, int(number)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("server") / "server.py"
    path.write_text(SERVER)
    server = Server(path)
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was left alone."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    server.train(folder, 0.0, kill_after=None)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in load_run(folder).records()]


def assert_kills_do_not_matter(server: Server, folder: Path, whole: Path, kills: int, seed: int, slow: float) -> None:
    moments = random.Random(seed)
    steps = [server.train(folder, slow, kill_after=moments.uniform(0.0, 60 * slow)) for _ in range(kills)]
    steps.append(server.train(folder, 0.0, kill_after=None))
    assert steps == sorted(steps)
    assert 0 < steps[-1] < 120, "the kills were to come after the first checkpoint and before the end"
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rows(folder) == rows(whole)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-0000000120"]


def test_five_kills(server: Server, whole: Path, tmp_path: Path) -> None:
    assert_kills_do_not_matter(server, tmp_path / "run", whole, kills=5, seed=0, slow=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills(server: Server, whole: Path, seed: int, tmp_path: Path) -> None:
    assert_kills_do_not_matter(server, tmp_path / "run", whole, kills=15, seed=seed, slow=0.005)
