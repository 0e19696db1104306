"""A hundred checkpoints that were made to do harm, their checksums right: none is used, and the one before it is."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from intel_core import resume

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
MODEL, TRAINING = "model.safetensors", "training.safetensors"


class Checkpoint:
    """A checkpoint that is changed, and signed again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = json.loads((path / "state.json").read_text())
        self.state = self.meta["state"]
        self.content = {name: (path / name).read_bytes() for name in (MODEL, TRAINING)}
        self.text: str | None = None

    def edit(self, name: str, change: Callable[[dict[str, Tensor]], Any]) -> None:
        tensors = dict(safetensors.torch.load(self.content[name]))
        change(tensors)
        self.content[name] = safetensors.torch.save(tensors)

    def header(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change what a file says of its tensors."""
        size = struct.unpack_from("<Q", self.content[name])[0]
        value = json.loads(self.content[name][8 : 8 + size])
        change(value)
        self.raw(name, json.dumps(value).encode(), self.content[name][8 + size :])

    def raw(self, name: str, header: bytes, data: bytes) -> None:
        self.content[name] = struct.pack("<Q", len(header)) + header + data

    def write(self) -> None:
        for name, content in self.content.items():
            (self.path / name).write_bytes(content)
            if self.meta["sha256"].get(name) is not None:
                self.meta["sha256"][name] = hashlib.sha256(content).hexdigest()
        for name, digest in getattr(self, "digests", {}).items():
            self.meta["sha256"].pop(name, None)
            if digest is not None:
                self.meta["sha256"][name] = digest
        self.meta.pop("checksum")
        checksum = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode()).hexdigest()
        text = json.dumps({**self.meta, "checksum": checksum})
        (self.path / "state.json").write_text(text if self.text is None else self.text.replace("REST", text[1:]))


Craft = Callable[[Checkpoint], Any]
WEIGHT, BIAS = 0, 1


def moment(key: str, change: Callable[[Tensor], Tensor], index: int = WEIGHT) -> Craft:
    name = f"optimizer/{index}/{key}"
    return lambda c: c.edit(TRAINING, lambda t: t.update({name: change(t[name]).contiguous()}))


def training(change: Callable[[dict[str, Tensor]], Any]) -> Craft:
    return lambda c: c.edit(TRAINING, change)


def exchange(first: str, second: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[first], tensors[second] = tensors[second], tensors[first]

    return change


def without(part: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(part)]:
            del tensors[name]

    return change


def with_one(name: str, value: Tensor) -> Craft:
    return training(lambda t: t.update({name: value}))


def generator(form: str, offset: int, *values: Any) -> Craft:
    """Numbers are written into the state of the noise's generator: a seed, `left`, `seeded`, `next`, 624 words, …"""

    def change(state: Tensor) -> Tensor:
        content = bytearray(state.numpy().tobytes())
        struct.pack_into(form, content, offset, *values)
        return torch.frombuffer(content, dtype=torch.uint8).clone()

    return lambda c: c.edit(TRAINING, lambda t: t.update(noise=change(t["noise"])))


def noise(change: Callable[[Tensor], Tensor]) -> Craft:
    return lambda c: c.edit(TRAINING, lambda t: t.update(noise=change(t["noise"])))


def window(change: Callable[[Tensor], Tensor]) -> Craft:
    return lambda c: c.edit(TRAINING, lambda t: t.update(window=change(t["window"])))


def weights(change: Callable[[Tensor], Tensor]) -> Craft:
    """The first weight of at least two dimensions becomes another."""

    def of_all(tensors: dict[str, Tensor]) -> None:
        name = next(name for name in sorted(tensors) if tensors[name].dim() == 2)
        tensors[name] = change(tensors[name])

    return lambda c: c.edit(MODEL, of_all)


def of_header(change: Callable[[dict[str, Any]], Any], name: str = TRAINING) -> Craft:
    return lambda c: c.header(name, change)


def entry(**values: Any) -> Craft:
    """What the file says of one moment."""
    return of_header(lambda header: header["optimizer/0/exp_avg"].update(values))


def content(change: Callable[[bytes], bytes], name: str = TRAINING) -> Craft:
    return lambda c: c.content.update({name: change(c.content[name])})


def flipped(seed: int) -> Callable[[bytes], bytes]:
    def change(before: bytes) -> bytes:
        rng, after = random.Random(seed), bytearray(before)
        for _ in range(3):
            after[rng.randrange(8, 8 + struct.unpack_from("<Q", before)[0])] ^= 1 << rng.randrange(7)
        return bytes(after)

    return change


def of_state(**values: Any) -> Craft:
    return lambda c: c.state.update(values)


def of_meta(**values: Any) -> Craft:
    return lambda c: c.meta.update(values)


def digests(**values: str | None) -> Craft:
    return lambda c: c.__dict__.update(digests={f"{name}.safetensors": value for name, value in values.items()})


def twice(header: bytes) -> bytes:
    return b'{"noise":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' + header[1:]


def raw_header(change: Callable[[bytes], bytes]) -> Craft:
    def craft(c: Checkpoint) -> None:
        before = c.content[TRAINING]
        end = 8 + struct.unpack_from("<Q", before)[0]
        c.raw(TRAINING, change(before[8:end]), before[end:])

    return craft


class Exploit:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


NAN, INF = float("nan"), float("inf")
OTHER_TYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.bool, torch.uint8)
CRAFTED: dict[str, Craft] = {
    # What the optimiser remembers.
    **{
        f"{key} of fewer rows, {what}": moment(key, lambda v: v[:1], index)
        for key in ("exp_avg", "exp_avg_sq")
        for what, index in (("weight", WEIGHT), ("bias", BIAS))
    },
    **{f"{key} of more rows": moment(key, lambda v: v.repeat(1000, 1)) for key in ("exp_avg", "exp_avg_sq")},
    **{f"{key} in one row": moment(key, Tensor.flatten) for key in ("exp_avg", "exp_avg_sq")},
    **{f"{key} transposed": moment(key, lambda v: v.T) for key in ("exp_avg", "exp_avg_sq")},
    "a moment that is a number": moment("exp_avg", lambda v: v.sum()),
    "an empty moment": moment("exp_avg", lambda v: v[:0]),
    "an empty moment of squares": moment("exp_avg_sq", lambda v: v[:0], BIAS),
    "a moment with a dimension more": moment("exp_avg", lambda v: v[None]),
    **{f"a moment of {t}": moment("exp_avg", lambda v, t=t: v.to(t)) for t in OTHER_TYPES},  # type: ignore[misc]
    **{f"squares of {t}": moment("exp_avg_sq", lambda v, t=t: v.to(t)) for t in OTHER_TYPES[:4]},  # type: ignore[misc]
    "a moment of eight bits": moment("exp_avg", lambda v: v.to(torch.float8_e4m3fn)),
    "a moment of NaN": moment("exp_avg", lambda v: v * NAN),
    "squares of infinity": moment("exp_avg_sq", lambda v: v + INF),
    "negative squares": moment("exp_avg_sq", lambda v: -v - 1),
    **{
        f"step {value}": moment("step", lambda v, value=value: torch.full_like(v, value))  # type: ignore[misc]
        for value in (NAN, INF, -INF, -1.0, 0.5, 1e30, 14.0)
    },
    "steps in whole numbers": moment("step", lambda v: v.to(torch.int64)),
    "steps in float64": moment("step", lambda v: v.to(torch.float64)),
    "steps in a list": moment("step", lambda v: v[None]),
    "steps in an empty list": moment("step", lambda v: v[None][:0]),
    "moments under each other's names": training(exchange("optimizer/0/exp_avg", "optimizer/0/exp_avg_sq")),
    "moments of another parameter": training(exchange("optimizer/0/exp_avg", "optimizer/1/exp_avg")),
    "no moment": training(without("optimizer/0/exp_avg")),
    "no squares": training(without("optimizer/1/exp_avg_sq")),
    "no steps": training(without("optimizer/0/step")),
    "nothing of a parameter": training(without("optimizer/0/")),
    "nothing of any parameter": training(without("optimizer/")),
    "no tensors": training(without("")),
    "a moment of no parameter": with_one("optimizer/999/exp_avg", torch.ones(3)),
    "a moment that Adam has not": with_one("optimizer/0/max_exp_avg_sq", torch.ones(6, 3)),
    "a path for a name": with_one("optimizer/0/../../../../precious/key", torch.ones(3)),
    "a negative parameter": with_one("optimizer/-1/step", torch.ones(())),
    "a parameter with a leading zero": with_one("optimizer/00/step", torch.ones(())),
    "a parameter in other digits": with_one("optimizer/٠/step", torch.ones(())),
    "a parameter in too many digits": with_one(f"optimizer/{'9' * 5000}/step", torch.ones(())),
    "a name of four parts": with_one("optimizer/0/exp_avg/x", torch.ones(6, 3)),
    "a name that clears the screen": with_one("\x1b[2J\x1b]0;title\x07\u202e", torch.ones(3)),
    "thousands of tensors": training(lambda t: t.update({f"x{i}": torch.ones(1) for i in range(5000)})),
    # The generator of the noise.
    "no noise": training(without("noise")),
    "noise cut short": noise(lambda v: v[:100]),
    "noise of one byte": noise(lambda v: v[:1]),
    "noise too long": noise(lambda v: v.repeat(2)),
    "noise in numbers": noise(lambda v: v.to(torch.float32)),
    "noise of zeros": noise(torch.zeros_like),
    "noise of ones": noise(lambda v: torch.full_like(v, 255)),
    "noise in two dimensions": noise(lambda v: v[None]),
    "noise from behind the generator": generator("<iiQ", 8, 624, 1, 624),
    "noise from just behind the generator": generator("<iiQ", 8, 2, 1, 624),
    "noise from far behind the generator": generator("<iiQ", 8, 1, 1, 2**60),
    "noise of a generator without numbers left": generator("<iiQ", 8, -1, 1, 0),
    "noise that is NaN next": generator("<dddi", 24 + 8 * 624, NAN, NAN, NAN, 1),
    # The terms since the last line.
    "no window": training(without("window")),
    "a window without rows": window(lambda v: v[:0]),
    "a window of too many rows": window(lambda v: v[:1].repeat(100_000, 1)),
    "a window of fewer terms": window(lambda v: v[:, :1].clone()),
    "a window of NaN": window(lambda v: v * NAN),
    "a window in float64": window(lambda v: v.double()),
    "a window of one number": window(lambda v: v.sum()),
    # The weights.
    "weights of fewer rows": weights(lambda v: v[:1].clone()),
    "weights transposed": weights(lambda v: v.T.contiguous()),
    "weights in float64": weights(lambda v: v.double()),
    "weights of NaN": weights(lambda v: v * NAN),
    "weights of infinity": weights(lambda v: v + INF),
    "empty weights": weights(lambda v: v[:0].clone()),
    "weights too many": lambda c: c.edit(MODEL, lambda t: t.update({"__class__": torch.ones(1)})),
    "no weights": lambda c: c.edit(MODEL, without("")),
    # How a file of tensors is written.
    "a header of 2**63 bytes": content(lambda b: struct.pack("<Q", 2**63) + b[8:]),
    "a header of no bytes": content(lambda b: struct.pack("<Q", 0) + b[8:]),
    "a header longer than the file": content(lambda b: struct.pack("<Q", len(b)) + b[8:]),
    "a header cut short": content(lambda b: b[:40]),
    "an empty file": content(lambda b: b""),
    "bytes after the end": content(lambda b: b + bytes(64)),
    "data cut short": content(lambda b: b[:-7]),
    "a pickle": content(lambda b: pickle.dumps(Exploit())),
    "a pickle for weights": content(lambda b: pickle.dumps(Exploit()), MODEL),
    **{f"flipped bits in a header ({seed})": content(flipped(seed)) for seed in range(5)},
    "a header that is no JSON": raw_header(lambda h: b"x" + h[1:]),
    "a header that is a list": raw_header(lambda h: b"[" + h + b"]"),
    "a deep header": raw_header(lambda h: b'{"x":' * 50_000 + b"}" * 50_000),
    "a header of far too many spaces": raw_header(lambda h: h + b" " * 2**27),
    "a shape beyond all numbers": entry(shape=[2**62, 4]),
    "a shape of nothing but vast": entry(shape=[0, 2**62], data_offsets=[0, 0]),
    "a negative shape": entry(shape=[-6, -3]),
    "a shape of thousands of dimensions": entry(shape=[1] * 5000),
    "an unknown type": entry(dtype="O"),
    "a type of four bits": entry(dtype="F4"),
    "data behind the end": entry(data_offsets=[2**40, 2**40 + 72]),
    "data that end before they begin": entry(data_offsets=[72, 0]),
    "data in the place of others": of_header(
        lambda h: h["optimizer/0/exp_avg"].update(data_offsets=h["optimizer/0/exp_avg_sq"]["data_offsets"])
    ),
    "a hole in the data": of_header(lambda h: h.pop("optimizer/0/exp_avg")),
    "remarks that are no text": of_header(lambda h: h.update(__metadata__={"x": [1]})),
    # What is said of it.
    "another digest": digests(training="0" * 64),
    "a digest of another form": digests(training="x"),
    "no digest": digests(training=None),
    "a path for a file": digests(**{"../../../../precious/run/checkpoints/step-0000000010/model": "0" * 64}),
    "a file that is not expected": digests(best="0" * 64),
    "terms twice": lambda c: c.state.update(window=[*c.state["window"], *c.state["window"]]),
    "other terms": lambda c: c.state.update(window=[f"{name}\x1b[2J" for name in c.state["window"]]),
    "no terms": of_state(window=[]),
    "a step beyond all": of_meta(step=2**62),
    "a step of another type": of_meta(step="10"),
    "a best model of a run that has none": of_state(best=1.0),
    "a negative time": of_state(seconds=-1.0),
    "a time that is NaN": of_state(seconds=NAN),
    "a reason of no kind": of_state(stop_reason={"text": "x", "kind": "x"}),
    "another run's": of_state(run="0" * 16),
    "an entry twice": lambda c: c.__dict__.update(text='{"step": 3, "state": {}, REST'),
    "deep entries": lambda c: c.__dict__.update(text="[" * 100_000 + "]" * 100_000),
}
FEW = (
    *("exp_avg of fewer rows, weight", "squares of torch.float64", "step nan", "moments of another parameter"),
    *("noise from behind the generator", "a header of 2**63 bytes", "a shape beyond all numbers", "a pickle"),
)


def test_there_are_a_hundred() -> None:
    assert len(CRAFTED) >= 100


HARMLESS: dict[str, Craft] = {
    "a name twice": raw_header(twice),
    "a header of spaces": raw_header(lambda h: h + b" " * 2**20),
}
"""What safetensors reads as what it was."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def whole(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final weights of the run that goes on undisturbed."""
    run = Path(shutil.copytree(originals / "runs" / "stopped", tmp_path_factory.mktemp("whole") / "stopped"))
    return (resume(run).path / MODEL).read_bytes()


RESUME = ["train", "--resume", "runs/stopped", "--quiet", "--no-pictures"]


@pytest.mark.promptly(*FEW)
@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_checkpoint_is_passed_over(
    name: str, originals: Path, whole: bytes, tmp_path: Path, ask: Any
) -> None:
    root = Path(shutil.copytree(originals, tmp_path / "root", symlinks=True))
    *_, before, newest = sorted((root / "runs" / "stopped" / "checkpoints").iterdir())
    crafted = Checkpoint(newest)
    CRAFTED[name](crafted)
    crafted.write()
    kept, others = contents(newest), {part: contents(root / part) for part in ("precious", "runs/good", "runs/group")}
    answers, died = ask(root, [["sample", "runs/stopped", "-n", "3", "-o", "s.csv"], RESUME])
    assert died == ""
    assert [(a["code"] in (0, 2), a["bug"]) for a in answers] == [(True, "")] * 2, answers
    assert answers[1]["code"] == 0, answers[1]["said"]
    assert f"going on from {before.name}" in answers[1]["said"]
    assert "\x1b" not in "".join(a["said"] for a in answers)
    assert (root / "runs" / "stopped" / MODEL).read_bytes() == whole
    assert contents(newest.with_name(f"{newest.name}.damaged")) == kept
    assert {part: contents(root / part) for part in others} == others
    assert {path.name for path in root.iterdir()} <= {"precious", "runs", "t.csv", "s.csv"}


@pytest.mark.promptly(FEW[0])
@pytest.mark.parametrize("name", [*CRAFTED][::9])
def test_a_run_of_crafted_checkpoints_alone_is_left_as_it_is(
    name: str, originals: Path, tmp_path: Path, ask: Any
) -> None:
    root = Path(shutil.copytree(originals, tmp_path / "root", symlinks=True))
    for path in (root / "runs" / "stopped" / "checkpoints").iterdir():
        crafted = Checkpoint(path)
        CRAFTED[name](crafted)
        crafted.write()
    before = contents(root)
    answers, died = ask(root, [RESUME])
    assert died == ""
    assert answers[0]["code"] == 2, answers
    assert "no checkpoint that can be used" in answers[0]["said"]
    assert contents(root) == before


@pytest.mark.parametrize("name", HARMLESS)
def test_an_oddly_written_checkpoint_gives_the_same_run(
    name: str, originals: Path, whole: bytes, tmp_path: Path, ask: Any
) -> None:
    root = Path(shutil.copytree(originals, tmp_path / "root", symlinks=True))
    crafted = Checkpoint(max((root / "runs" / "stopped" / "checkpoints").iterdir()))
    HARMLESS[name](crafted)
    crafted.write()
    answers, died = ask(root, [RESUME])
    assert died == ""
    assert answers[0]["code"] == 0, answers
    assert (root / "runs" / "stopped" / MODEL).read_bytes() == whole
