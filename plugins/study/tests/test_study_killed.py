"""Is a study that is killed at any moment, workers and all, finished by the same command as if nothing had happened?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from intel_study import read_study, run_study, write_pages

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")

_LONG = {
    "base": {
        "data": "circle:n=300",
        "latent": 2,
        "steps": 400,
        "network": "mlp:hidden=[4]",
        "batch_size": 20,
        "save_every": 20,
        "log_every": 10,
    },
    "arms": {"plain": {"settings": {"mapping": "identity"}}},
    "seeds": 2,
    "metrics": ["manifold:n=200,places=100"],
}


def begin(path: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command in a session of its own, so that nothing of it is left when that is killed."""
    code = "from intel_study.command import study; study()"
    command = [sys.executable, "-c", code, str(path), "--out", str(out), "--jobs", "1", "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )


def numbers(out: Path) -> dict[int, Any]:
    """Every number of every seed."""
    cells = json.loads((out / "study.json").read_text(encoding="utf-8"))["cells"]
    return {
        cell["seed"]: (cell["training"], {name: one["numbers"] for name, one in cell["metrics"].items()})
        for cell in cells
    }


def gone(group: int) -> bool:
    """Whether no process of a session is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "a run has begun": lambda out: any(out.glob("runs/*/run.json")),
    "a checkpoint is there": lambda out: len(list(out.glob("runs/*/checkpoints/step-*"))) > 1,
    "a first cell is done": lambda out: any(out.glob("cells/*.json")),
}


@pytest.mark.slow
def test_a_study_killed_at_several_moments_ends_with_the_same_numbers(
    file_with: Callable[..., Path], tmp_path: Path
) -> None:
    path, out, whole = file_with(**_LONG), tmp_path / "killed", tmp_path / "whole"
    killed = []
    for moment, has_come in MOMENTS.items():
        process = begin(path, out)
        until = time.monotonic() + 600
        while process.poll() is None and not has_come(out) and time.monotonic() < until:
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)  # the command alone: its worker must end by itself
            killed.append(moment)
        process.wait()
        while not gone(process.pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert gone(process.pid), f"a worker outlived the command that was killed when {moment}"
    assert len(killed) >= 2
    process = begin(path, out)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said.decode()
    expected = run_study(read_study(path), whole, name=path.stem)  # in this process, one after another
    expected.write(whole / "study.json")
    write_pages(expected, whole)
    assert numbers(out) == numbers(whole)
    assert (out / "table.md").read_text(encoding="utf-8") == (whole / "table.md").read_text(encoding="utf-8")
    assert len(list(out.glob("runs/*"))) == len(list(out.glob("cells/*"))) == 2
