"""A run directory that is damaged at random, or made by a stranger: every command answers, and nothing else happens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from intel_cli.main import intel

from intel_core import StopReason, fit, fit_replicates, hookimpl

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="damages with pipes and links, and waits by alarms")
FEW, MANY = 12, 300
SECONDS = 100
"""For one command: what takes longer hangs."""
CODES = {0, 2, 3, 4, 5}
"""What a command may answer; 1 is a bug."""


class StopAt:
    """Interrupts a run at a step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, finished and interrupted, and of replicates, and beside it something precious."""
    root = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["label"] = np.array(["x", "y"])[rng.integers(2, size=60)]
    frame.to_csv(root / "t.csv", index=False)
    settings: dict[str, Any] = {
        "data": f"table:path={root / 't.csv'},label=label", "mapping": "cluster:k=2", "steps": 20, "batch_size": 10,
        "log_every": 7, "evaluate_every": 5, "save_every": 5, "encoder": "mlp:hidden=[6]", "device": "cpu",
    }  # fmt: skip
    run = fit(**settings, run_dir=root / "runs" / "good")
    run.measure("units", "likelihood:particles=3")
    fit(**settings, run_dir=root / "runs" / "stopped", hooks=[StopAt(13)])
    fit_replicates(2, **settings, run_dir=root / "runs" / "group")
    fit(**settings, run_dir=root / "precious" / "run", hooks=[StopAt(13)])
    (root / "precious" / "key").write_text("do not read, do not change\n")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- damage --------------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, False, -1, 0, 1, 3, 10**24, 1e308, -1e308, float("nan"), float("inf"), 0.5, "", "x", "elbo", "\ud800",
    "\x1b[2J", "a" * 3000, [], {}, [1], ["x"], {"a": 1}, [[1, 2], [3]], [None], "../precious/key",
    "cluster:@../precious/key", "cluster:k=999999", 2**62, [2**62], [10**9, 10**9], "2020-01-01", {"kl": "x"},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON value something may be exchanged."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def mutated(value: Any, rng: random.Random) -> Any:
    """A JSON value with one to three changes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        where = list(places(value))
        if not where:
            return rng.choice(ODD)
        *path, last = rng.choice(where)
        holder = value
        for key in path:
            holder = holder[key]
        if rng.random() < 0.25:
            del holder[last]
        elif rng.random() < 0.1 and isinstance(holder, dict):
            holder[rng.choice(["x", "", "step", "kind", "\x1b]0;t\x07"])] = rng.choice(ODD)
        else:
            holder[last] = rng.choice(ODD)
    return value


def change_json(path: Path, rng: random.Random) -> None:
    path.write_text(json.dumps(mutated(json.loads(path.read_text()), rng)))


def change_line(path: Path, rng: random.Random) -> None:
    lines = path.read_text().splitlines()
    index = rng.randrange(len(lines))
    lines[index] = json.dumps(mutated(json.loads(lines[index]), rng))
    path.write_text("\n".join(lines) + "\n")


def change_bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = rng.randrange(5)
    if kind == 0:
        content = content[: rng.randrange(len(content) + 1)]
    elif kind == 1:
        for _ in range(rng.choice([1, 4, 50])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content = bytearray(rng.randbytes(300))
    elif kind == 3:
        content = bytearray(b"[" * 100_000 + b"]" * 100_000)
    else:
        content += bytearray(b'{"a":' * 2000)
    path.write_bytes(content)


def change_kind(path: Path, rng: random.Random) -> None:
    """A file or a folder becomes something else."""
    outside = path.parents[len(path.parts) - path.parts.index("runs")] / "precious"
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    kind = rng.randrange(6)
    if kind == 0:
        places = [outside / "key", outside / "run" / path.name, Path("/dev/zero"), Path("/dev/stdin")]
        path.symlink_to(rng.choice(places))
    elif kind == 1:
        path.symlink_to(rng.choice([outside, outside / "run" / path.name, outside / "nothing"]))
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        with path.open("wb") as stream:
            stream.truncate(2**40)  # a hole, which takes no room


def change_tensors(path: Path, rng: random.Random) -> None:
    """Weights that the checksum is told of, if it is asked at all."""
    tensors = dict(safetensors.torch.load_file(path))
    craft(tensors, rng)
    path.write_bytes(safetensors.torch.save(tensors))
    metrics = path.parent / "metrics.json"
    content = json.loads(metrics.read_text())
    content["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if rng.random() < 0.5:
        del content["weights_sha256"]
    metrics.write_text(json.dumps(content))


def craft(tensors: dict[str, torch.Tensor], rng: random.Random) -> str:
    """One change of some tensors, and its name; the values alone may stay possible ones."""
    name = rng.choice(sorted(tensors))
    value = tensors[name]
    kinds = ["missing", "extra", "longer", "transposed or empty", "another type", "values"]
    kind = rng.choice([*kinds, "shorter"] if value.dim() else kinds)
    if kind == "missing":
        del tensors[name]
    elif kind == "extra":
        tensors[rng.choice(["x", f"{name}.x", "optimizer/99/exp_avg", "optimizer/-1/step", "../x"])] = torch.ones(3)
    elif kind == "shorter":
        tensors[name] = value[:1].clone() if len(value) > 1 else value[:0].clone()
    elif kind == "longer":
        tensors[name] = torch.zeros(*value.shape, 1000, dtype=value.dtype)
    elif kind == "transposed or empty":
        is_oblong = value.dim() == 2 and value.shape[0] != value.shape[1]
        tensors[name] = value.T.contiguous() if is_oblong else value[None][:0]
    elif kind == "another type":
        tensors[name] = value.to(rng.choice([t for t in (torch.float64, torch.int64, torch.bool) if t != value.dtype]))
    elif value.is_floating_point():
        tensors[name] = torch.full_like(value, rng.choice([float("nan"), float("inf"), 1e12, -1e38]))
    else:
        tensors[name] = torch.full_like(value, 255)
    return f"{kind}: {name}"


def damage(root: Path, rng: random.Random) -> str:
    """Damage one run in one way; what was done."""
    run = root / "runs" / rng.choice(["good", "good", "stopped", "group/seed-1"])
    kind = rng.choice([change_json, change_json, change_json, change_line, change_bytes, change_kind, change_tensors])
    files = [path for path in sorted(run.rglob("*")) if path.is_file()]
    if kind is change_json:
        group = [root / "runs" / "group" / "replicates.json"] if "group" in run.parts else []
        path = rng.choice([run / "run.json", run / "run.json", *group, *(p for p in files if p.suffix == ".json")])
    elif kind is change_line:
        path = run / "metrics.jsonl"
    elif kind is change_tensors:
        path = root / "runs" / "good" / "model.safetensors"
    elif kind is change_kind:
        path = rng.choice([*files, *(p for p in sorted(run.rglob("*")) if p.is_dir())])
    else:
        path = rng.choice(files)
    kind(path, rng)
    return f"{kind.__name__} {path.relative_to(root)}"


# --- what is done with it ------------------------------------------------------------------------------------------

COMMANDS = [
    line.split()
    for line in (
        "runs",
        "runs --json",
        "report {run} -o out/page.html",
        "report {run} --against runs/stopped -o out/page.html",
        "sample {run} -n 3 -o out/s.csv",
        "encode {run} -o out/e.npz",
        "evaluate {run} --metric units",
        "evaluate {run} --metric likelihood:particles=3 --json",
        "show {run} -o out/show.png",
        "compare runs/good runs/stopped",
        "compare runs/good runs/group",
        "train --resume {run} --quiet --no-pictures",
        "explore {run} --no-browser",
    )
]


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damaged_of(done: str) -> str:
    """Which of the runs was damaged, or one of those that was not."""
    return next((name for name in ("stopped", "group/seed-1") if f"runs/{name}" in done), "good")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The explorer answers a few questions, and serves nobody."""

    def serve(scene: Any, *_: object) -> None:
        begin = scene.start()
        for answer in (begin, scene.plane([0, 1]), scene.decode([0.5, -100.0]), scene.example(0), scene.draw(1)):
            json.dumps(answer, allow_nan=False)

    monkeypatch.setattr("intel_cli.explore.server.serve", serve)


def wrong(number: int, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes wrong with one damaged directory, in words."""
    rng = random.Random(number)
    root = Path(shutil.copytree(originals, tmp_path / f"{number}", symlinks=True))
    monkeypatch.chdir(root)
    precious = contents(root / "precious")
    done = damage(root, rng)
    found = []
    (root / "out").mkdir()
    for command in COMMANDS:
        run = f"runs/{name}" if (name := damaged_of(done)) != "good" or command[0] != "train" else "runs/stopped"
        arguments = [part.format(run=run, out="out") for part in command]
        with alarm():
            result = CliRunner().invoke(intel, arguments)
        codes = CODES | ({1} if "failed" in result.output and command[0] == "evaluate" else set())
        if result.exit_code not in codes or "Traceback" in result.output:
            said = f"{result.exit_code} {result.exception!r} {result.output[-500:]}"
            found.append(f"{number}: {done}: {arguments}: {said}")
        if command[0] == "runs" and not all(name in result.output for name in ("good", "stopped")):
            found.append(f"{number}: {done}: a folder is hidden: {result.output}")
        if contents(root / "precious") != precious:
            found.append(f"{number}: {done}: {arguments} wrote elsewhere")
    shutil.rmtree(root)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(FEW))
def test_a_damaged_directory_is_told_in_a_line(
    number: int, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong(number, originals, tmp_path, monkeypatch) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(FEW, MANY, 24))
def test_hundreds_of_damaged_directories_are_told_in_a_line(
    first: int, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(first, min(first + 24, MANY))
    assert [line for number in numbers for line in wrong(number, originals, tmp_path, monkeypatch)] == []
