"""A run directory that is damaged at random, or made by a stranger: every command answers, and nothing else happens."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="damages with pipes and links, and limits memory")
FEW, MANY = 12, 300
CODES = {0, 2, 3, 4, 5}
"""What a command may answer; 1 is a bug."""
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal would obey."""


def contents(folder: Path, *without: Path) -> dict[str, Any]:
    """Everything in a folder but what lies in some of its parts: files, folders, links and what else there is."""
    found: dict[str, Any] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) not in without]
        for path in (Path(place, name) for name in (*folders, *files)):
            status = path.lstat()
            what: Any = status.st_size if status.st_size > 2**20 else b""
            if stat.S_ISLNK(status.st_mode):
                what = path.readlink()
            elif stat.S_ISREG(status.st_mode) and what == b"":
                what = path.read_bytes()
            found[str(path.relative_to(folder))] = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), what)
    return found


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


def outside_of(path: Path) -> Path:
    """What lies beside all runs."""
    return next(parent / "precious" for parent in path.parents if (parent / "precious").is_dir())


def change_kind(path: Path, rng: random.Random) -> None:
    """A file or a folder becomes something else."""
    outside = outside_of(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    kind = rng.randrange(9)
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
    elif kind == 5:
        with socket.socket(socket.AF_UNIX) as listener:
            bind(listener, path)
    elif kind < 8:
        path.hardlink_to(rng.choice([outside / "key", outside / "run" / "metrics.jsonl", outside / "run" / "run.json"]))


def bind(listener: socket.socket, path: Path) -> None:
    """The name of a socket may be a hundred letters long."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        listener.bind(path.name)
    finally:
        os.chdir(before)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
    for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)


def change_text(path: Path, rng: random.Random) -> None:
    """Another text than a file of JSON has."""
    before = path.read_text()
    texts = [
        *(BOMB, MERGED, "", "null", "\ufeff" + before, before + before, before.replace(":", ":\x00", 1)),
        *(
            '{"format": 1, "spec": {}, "step": 3, "status": "finished",' + before.lstrip()[1:],
            "9" * 100_000,
            "[" * 10**6,
        ),
        *('{"a":1,' * 3 + before, before.replace('"', "'"), "[" + "{}," * 10**6 + "{}]", '"' + "\\ud800" * 1000 + '"'),
    ]
    path.write_text(rng.choice(texts))


NAMES = [
    "RUN.JSON",
    "Metrics.json",
    "\x1b]0;title\x07",
    "two\nlines",
    "\u202etxt.nosj",
    "x" * 250,
    ".lock",
    ".x.1.tmp",
    "-o",
]


def add(path: Path, rng: random.Random) -> None:
    """Something that nobody expects, beside a run, in it, or among its checkpoints."""
    run = next(parent for parent in path.parents if (parent / "run.json").exists())
    outside = outside_of(path)
    place = rng.choice([run, run.parent, run / "checkpoints"])
    names = ["step-9999999999", "step-0000000014", ".step-0000000099.old.tmp", ".step-0000000013.1.tmp", "step-x"]
    new = place / rng.choice(names if place.name == "checkpoints" else NAMES)
    if not place.is_dir() or os.path.lexists(new):
        return
    kind = rng.randrange(7)
    if kind == 0:
        new.symlink_to(rng.choice([outside, outside / "run", outside / "key", place, Path("/dev/zero")]))
    elif kind == 1:
        os.mkfifo(new)
    elif kind == 2:
        new.mkdir()
    elif kind == 3:
        shutil.copytree(outside / "run", new)
    elif kind == 4:
        new.hardlink_to(outside / "key")
    elif kind == 5:
        new.mkdir()
        (new / "run.json").symlink_to(outside / "run" / "run.json")
        (new / "checkpoints").symlink_to(outside / "run" / "checkpoints")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            bind(listener, new) if len(new.name) < 100 else None


def link_all(path: Path, rng: random.Random) -> None:
    """As ``cp -al`` copies a run: each file has a second name."""
    run = next(parent for parent in path.parents if (parent / "run.json").exists())
    outside = outside_of(path)
    shutil.copytree(run, outside / "linked", copy_function=os.link)


def change_tensors(path: Path, rng: random.Random) -> None:
    """Tensors, of which the checksum is told, if it is asked at all."""
    tensors = dict(safetensors.torch.load_file(path))
    craft(tensors, rng)
    path.write_bytes(safetensors.torch.save(tensors))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.parent.parent.name == "checkpoints":
        meta = json.loads((path.parent / "state.json").read_text())
        meta["sha256"][path.name] = digest
        del meta["checksum"]
        meta["checksum"] = hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()
        (path.parent / "state.json").write_text(json.dumps(meta))
        return
    metrics = path.parent / "metrics.json"
    content = json.loads(metrics.read_text())
    content["weights_sha256"] = digest
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
    kinds = [change_json, change_json, change_json, change_line, change_bytes, change_kind, change_kind, change_tensors]
    kind = rng.choice([*kinds, change_text, add, add, link_all])
    files = [path for path in sorted(run.rglob("*")) if path.is_file()]
    if kind is change_json:
        group = [root / "runs" / "group" / "replicates.json"] if "group" in run.parts else []
        path = rng.choice([run / "run.json", run / "run.json", *group, *(p for p in files if p.suffix == ".json")])
    elif kind is change_line:
        path = run / "metrics.jsonl"
    elif kind is change_tensors:
        path = rng.choice([path for path in files if path.suffix == ".safetensors"])
    elif kind is change_text:
        path = rng.choice([path for path in files if path.suffix == ".json"])
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
        "train --config {run}/run.json --dry-run",
    )
]


def damaged_of(done: str) -> str:
    """Which of the runs was damaged, or one of those that was not."""
    return next((name for name in ("stopped", "group/seed-1") if f"runs/{name}" in done), "good")


def wrong(number: int, originals: Path, tmp_path: Path, ask: Any) -> list[str]:
    """What goes wrong with one damaged directory, in words."""
    rng = random.Random(number)
    root = Path(shutil.copytree(originals, tmp_path / f"{number}", symlinks=True))
    done = damage(root, rng)
    (root / "out").mkdir()
    name = damaged_of(done)
    resumed = name if name != "good" else "stopped"
    commands = [
        [part.format(run=f"runs/{resumed if command[0] == 'train' else name}") for part in command]
        for command in COMMANDS
    ]
    may_change = [root / "out", *(root / "runs" / part for part in (name, resumed))]
    if "group" in name:
        may_change.append(root / "runs" / "group")
    before = contents(root, *may_change)
    answers, died = ask(root, commands)
    found = [f"died of {died}: {commands[len(answers)]}"] if died else []
    for arguments, answer in zip(commands, answers, strict=False):
        codes = CODES | ({7} if arguments[0] in ("evaluate", "compare") else set())
        if answer["code"] not in codes or answer["bug"] or "Traceback" in answer["said"]:
            found.append(f"{arguments}: {answer['code']} {answer['bug']} {answer['said'][-500:]}")
        if UNSAFE.search(answer["said"]):
            found.append(f"{arguments}: a control character: {answer['said'][:500]!r}")
        if arguments[0] == "runs" and not all(name in answer["said"] for name in ("good", "stopped")):
            found.append(f"{arguments}: a folder is hidden: {answer['said']}")
    page = root / "out" / "page.html"
    if page.exists() and UNSAFE.search(page.read_text()):
        found.append("a control character on the page")
    after = contents(root, *may_change)
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    if changed or {path.name for path in tmp_path.iterdir()} != {f"{number}"}:
        found.append(f"wrote elsewhere: {changed} {list(tmp_path.iterdir())}")
    shutil.rmtree(root)
    return [f"{number}: {done}: {line}" for line in found]


@pytest.mark.promptly("0")
@pytest.mark.parametrize("number", range(FEW))
def test_a_damaged_directory_is_told_in_a_line(number: int, originals: Path, tmp_path: Path, ask: Any) -> None:
    assert wrong(number, originals, tmp_path, ask) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, MANY, 24))
def test_hundreds_of_damaged_directories_are_told_in_a_line(
    first: int, originals: Path, tmp_path: Path, ask: Any
) -> None:
    numbers = range(first, min(first + 24, MANY))
    assert [line for number in numbers for line in wrong(number, originals, tmp_path, ask)] == []
