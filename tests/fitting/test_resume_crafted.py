"""A checkpoint with right checksums and wrong content is never gone on from: nothing runs, crashes or is written."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from intel_core import RunError, fit, load_run, resume
from intel_core.runs import checkpoint
from intel_core.runs.tensors import most_bytes

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SETTINGS: dict[str, Any] = {
    "data": X, "mapping": "identity", "steps": 40, "batch_size": 10, "log_every": 7, "evaluate_every": 5, "patience": 9,
    "encoder": "mlp:hidden=[6,5]", "latent": 2, "device": "cpu", "keep_checkpoints": 1,
}  # fmt: skip
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, stop_at: Any) -> Path:
    """A run that was interrupted between two lines, once an evaluation had been the best."""
    return fit(**SETTINGS, run_dir=tmp_path_factory.mktemp("stopped") / "run", hooks=[stop_at(23)]).path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, stop_at: Any) -> Path:
    """Another run, with a wider network."""
    settings = SETTINGS | {"encoder": "mlp:hidden=[7,5]"}
    return fit(**settings, run_dir=tmp_path_factory.mktemp("other") / "run", hooks=[stop_at(23)]).path


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def newest(run: Path) -> Path:
    return checkpoint.latest(run / "checkpoints")[0]


def sealed(path: Path) -> None:
    """Give a checkpoint the checksums of what it holds now."""
    meta = json.loads((path / "state.json").read_text())
    meta.pop("checksum", None)
    for name in meta["sha256"]:
        meta["sha256"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / "state.json").write_text(json.dumps({**meta, "checksum": checkpoint._checksum(meta)}))


def contents(folder: Path) -> dict[str, object]:
    """All files; of one that is a hole, its size."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes = {path: path.stat().st_size for path in files}
    return {str(p.relative_to(folder)): p.read_bytes() if sizes[p] < 2**30 else sizes[p] for p in files}


def refused(run: Path) -> str:
    """What is said as the run is to go on; nothing of its directory may change."""
    before = contents(run.parent)
    with pytest.raises(RunError) as caught:
        resume(run, data=X)
    assert contents(run.parent) == before
    return str(caught.value)


def with_tensors(run: Path, file: str, change: Callable[[Tensors], object]) -> None:
    path = newest(run)
    tensors = dict(safetensors.torch.load_file(path / f"{file}.safetensors"))
    change(tensors)
    (path / f"{file}.safetensors").write_bytes(safetensors.torch.save(tensors))
    sealed(path)


def with_state(run: Path, **changes: Any) -> None:
    path = newest(run)
    meta = json.loads((path / "state.json").read_text())
    meta["state"] |= changes
    (path / "state.json").write_text(json.dumps(meta))
    sealed(path)


# --- what a person would try -----------------------------------------------------------------------------------------

MOMENT, SQUARE, COUNT = (f"optimizer/0/{name}" for name in ("exp_avg", "exp_avg_sq", "step"))
CRAFTED: dict[str, tuple[str, Callable[[Tensors], object], str]] = {
    "moments of one row": ("training", lambda t: t.update({MOMENT: t[MOMENT][:1].clone()}), "exp_avg has shape"),
    "squares of one row": ("training", lambda t: t.update({SQUARE: t[SQUARE][:1].clone()}), "exp_avg_sq has shape"),
    "empty moments": ("training", lambda t: t.update({MOMENT: torch.zeros(0)}), "exp_avg has shape"),
    "moments of doubles": ("training", lambda t: t.update({MOMENT: t[MOMENT].double()}), "has type float64"),
    "no moments": ("training", lambda t: [t.pop(k) for k in (MOMENT, SQUARE, COUNT)], "is missing"),
    "no squares": ("training", lambda t: t.pop(SQUARE), "exp_avg_sq is missing"),
    "no moments at all": ("training", lambda t: [t.pop(k) for k in list(t) if "optimizer" in k], "is missing"),
    "negative squares": ("training", lambda t: t[SQUARE].sub_(1), "holds negative numbers"),
    "moments that are NaN": ("training", lambda t: t[MOMENT].fill_(math.nan), "holds NaN or infinity"),
    "a negative step": ("training", lambda t: t[COUNT].fill_(-1), "expected a number of steps"),
    "a later step": ("training", lambda t: t[COUNT].fill_(24), "expected a number of steps"),
    "half a step": ("training", lambda t: t[COUNT].fill_(0.5), "expected a number of steps"),
    "steps of each value": ("training", lambda t: t.update({COUNT: torch.ones(6, 3)}), "step has shape"),
    "moments of nobody": ("training", lambda t: t.update({"optimizer/99/exp_avg": torch.ones(1)}), "unexpected"),
    "a name with dots": ("training", lambda t: t.update({"optimizer/0/../x": torch.ones(1)}), "unexpected"),
    "no noise": ("training", lambda t: t.pop("noise"), "noise is missing"),
    "short noise": ("training", lambda t: t.update(noise=t["noise"][:9].clone()), "noise has shape"),
    "noise that is none": ("training", lambda t: t["noise"].fill_(255), "noise is no state of a generator"),
    "a window of one term": ("training", lambda t: t.update(window=t["window"][:, :1].clone()), "window has shape"),
    "a window without end": ("training", lambda t: t.update(window=torch.zeros(999, 3)), "window has shape"),
    "no window": ("training", lambda t: t.pop("window"), "window is missing"),
    "weights that are NaN": ("model", lambda t: t["encoder.0.weight"].fill_(math.nan), "holds NaN or infinity"),
    "a weight too many": ("model", lambda t: t.update(x=torch.ones(1)), "x is unexpected"),
    "a weight too few": ("model", lambda t: t.pop("encoder.0.weight"), "encoder.0.weight is missing"),
    "weights of half precision": ("model", lambda t: t.update({k: v.half() for k, v in t.items()}), "has type float16"),
    "a best model of one row": (
        "best",
        lambda t: t.update({"encoder.0.weight": t["encoder.0.weight"][:1].clone()}),
        "best.safetensors: encoder.0.weight has shape",
    ),
    "a best model that is infinite": ("best", lambda t: t["encoder.0.weight"].fill_(math.inf), "NaN or infinity"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_tensors_that_are_not_those_of_the_model_are_named(run: Path, case: str) -> None:
    file, change, message = CRAFTED[case]
    with_tensors(run, file, change)
    assert message in refused(run)


STATES: dict[str, tuple[dict[str, Any], str]] = {
    "terms of another objective": ({"window": ["loss", "kl", "x"]}, "it holds the terms kl, loss, x"),
    "terms in another order": ({"window": ["kl", "loss", "log_likelihood"]}, "it holds the terms"),
    "no terms": ({"window": []}, "window is unexpected"),
    "a clock that runs back": ({"seconds": -1}, "seconds is not what was written there"),
    "a clock that says NaN": ({"seconds": math.nan}, "seconds is not what was written there"),
    "no best number": ({"best": None}, "it holds best, model, training, expected model, training"),
    "a best step to come": ({"best_step": 24}, "is not one of the 40"),
    "a reason of another kind": ({"stop_reason": {"text": "x", "kind": "x"}}, "stop_reason"),
    "evaluations without end": ({"evaluations_without_gain": 10**30}, "state.json"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_is_not_that_of_the_run_is_named(run: Path, case: str) -> None:
    changes, message = STATES[case]
    with_state(run, **changes)
    assert message in refused(run)


def test_a_step_beyond_the_last_is_not_taken_for_the_end(run: Path) -> None:
    path = newest(run)
    meta = json.loads((path / "state.json").read_text()) | {"step": 41}
    (path / "state.json").write_text(json.dumps(meta))
    sealed(path)
    assert "state.json is that of step 41, not 23" in refused(run)
    path.rename(path.with_name("step-0000000041"))
    assert "step 41 is not one of the 40" in refused(run)


@pytest.mark.parametrize("name", ["../key", "/etc/passwd", "model.safetensors/../x", "x.safetensors", "best"])
def test_names_of_files_are_those_that_a_checkpoint_has(run: Path, name: str) -> None:
    path = newest(run)
    meta = json.loads((path / "state.json").read_text())
    meta["sha256"][name] = "0" * 64
    meta.pop("checksum")
    (path / "state.json").write_text(json.dumps({**meta, "checksum": checkpoint._checksum(meta)}))
    assert "state.json is damaged: sha256" in refused(run)


def test_a_file_that_is_far_too_long_is_not_read(run: Path) -> None:
    path = newest(run) / "training.safetensors"
    with path.open("r+b") as stream:
        stream.truncate(2**40)  # a hole, which takes no room
    assert "training.safetensors is 1,099,511,627,776 bytes long, expected at most" in refused(run)


@pytest.mark.parametrize("kind", ["file", "folder", "all"])
def test_links_in_a_run_directory_are_not_followed(run: Path, stopped: Path, kind: str) -> None:
    path, name = newest(run), newest(run).name
    if kind == "file":
        (path / "model.safetensors").unlink()
        (path / "model.safetensors").symlink_to(stopped / "checkpoints" / name / "model.safetensors")
    else:
        place = path if kind == "folder" else run / "checkpoints"
        shutil.rmtree(place)
        place.symlink_to(stopped / place.relative_to(run))
    before = contents(stopped)
    assert "it is a link" in refused(run)
    with pytest.raises(RunError, match="it is a link"):
        _ = load_run(run).model
    assert contents(stopped) == before


# --- what must go on -------------------------------------------------------------------------------------------------


def test_what_is_left_alone_goes_on(run: Path, tmp_path: Path) -> None:
    sealed(newest(run))
    whole = fit(**SETTINGS, run_dir=tmp_path / "whole")
    assert (resume(run, data=X).path / "model.safetensors").read_bytes() == (
        whole.path / "model.safetensors"
    ).read_bytes()


class WithAnUnusedLayer(nn.Module):
    """Its second layer never has a gradient, and so no moments."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


def test_a_parameter_without_a_gradient_needs_no_moments() -> None:
    from intel_core.fitting.setting_up import hooks_of_run, make_trainer
    from intel_core.reading.arrays import make_dataset
    from intel_core.recipe.building import build_model
    from intel_core.recipe.resolving import resolve
    from intel_core.recipe.runspec import make_run_spec
    from intel_core.runs.tensors import require_state

    x = make_dataset("x", X)
    settings = {key: value for key, value in SETTINGS.items() if key != "data"}
    spec = resolve(make_run_spec(**settings, data="memory:examples=60,shape=[3]"), x)

    def trainer() -> Any:
        model = build_model(spec, x.x_shape)
        torch.manual_seed(0)
        model.encoder = nn.Sequential(model.encoder, nn.Linear(4, 2), WithAnUnusedLayer(), nn.Linear(2, 4))
        return make_trainer(spec, x, hooks_of_run([]), model=model)

    first, second = trainer(), trainer()
    with first.batches:
        first.advance(3)
    tensors, state = first.state()
    require_state(second, 3, tensors, state)
    unused = next(name for name in tensors["model"] if name.endswith("unused.weight"))
    changed = tensors | {"model": tensors["model"] | {unused: tensors["model"][unused] + 1}}
    with pytest.raises(RunError, match="is missing"):
        require_state(second, 3, changed, state)


def test_a_file_may_be_as_large_as_its_model_asks() -> None:
    assert most_bytes(nn.Linear(1000, 1000)) > 2 * 4 * 1000 * 1001 + 2**20


# --- at random -------------------------------------------------------------------------------------------------------

FEW, MANY = 10, 100


def crafted(run: Path, other: Path, rng: random.Random) -> str:
    """A checkpoint that no run has written, with right checksums; what was done."""
    path = newest(run)
    file = rng.choice(["model", "training", "training", "best"])
    kind = rng.choice(["tensors", "tensors", "tensors", "swapped", "foreign", "cut", "state"])
    if kind == "tensors":
        done: list[str] = []
        with_tensors(run, file, lambda tensors: done.append(changed(tensors, rng)))
        return f"{file}: {done[0]}"
    target = path / f"{file}.safetensors"
    if kind == "swapped":
        file = rng.choice(["model", "best"])
        first, second = path / f"{file}.safetensors", path / "training.safetensors"
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)
    elif kind == "foreign":
        target.write_bytes((newest(other) / target.name).read_bytes())
    elif kind == "cut":
        target.write_bytes(target.read_bytes()[: rng.randrange(target.stat().st_size)])
    else:
        key = rng.choice(["window", "seconds", "best", "best_step", "evaluations_without_gain", "stop_reason"])
        with_state(run, **{key: rng.choice([[1], {"a": 1}, True, math.inf, [["x"]]])})
        return f"state {key}"
    sealed(path)
    return f"{kind}: {file}"


def changed(tensors: Tensors, rng: random.Random) -> str:
    name = rng.choice(sorted(tensors))
    value = tensors[name]
    kinds = ["missing", "extra", "longer", "empty", "type", "values"]
    kind = rng.choice([*kinds, "shorter", "transposed"] if value.dim() == 2 else kinds)
    if kind == "missing":
        del tensors[name]
    elif kind == "extra":
        tensors[rng.choice(["x", f"{name}.x", "optimizer/999/exp_avg", "optimizer/-1/step", "/etc/x"])] = torch.ones(3)
    elif kind == "longer":
        tensors[name] = torch.zeros(*value.shape, rng.choice([1, 2, 100_000]), dtype=value.dtype)
    elif kind == "shorter":
        tensors[name] = value[:-1].clone()
    elif kind == "transposed":
        tensors[name] = value.T.contiguous() if value.shape[0] != value.shape[1] else value.flatten()
    elif kind == "empty":
        tensors[name] = value.flatten()[:0].clone()
    elif kind == "type":
        types = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
        tensors[name] = value.to(rng.choice([one for one in types if one != value.dtype]))
    elif value.is_floating_point():
        tensors[name] = torch.full_like(value, rng.choice([math.nan, math.inf, -math.inf]))
    else:
        tensors[name] = torch.full_like(value, 255)
    return f"{kind} {name}"


def outcome(number: int, stopped: Path, other: Path, tmp_path: Path) -> str:
    """What is wrong with how a crafted checkpoint is met; empty if it is refused."""
    run = Path(shutil.copytree(stopped, tmp_path / f"{number}" / "run"))
    done = crafted(run, other, random.Random(number))
    try:
        said = refused(run)
    except BaseException as error:
        return f"{number}: {done}: {type(error).__name__}: {error}"
    return "" if "\n" not in said else f"{number}: {done}: {said}"


@pytest.mark.parametrize("number", range(FEW))
def test_a_crafted_checkpoint_is_refused(number: int, stopped: Path, other: Path, tmp_path: Path) -> None:
    assert outcome(number, stopped, other, tmp_path) == ""


@pytest.mark.slow
def test_a_hundred_crafted_checkpoints_are_refused(stopped: Path, other: Path, tmp_path: Path) -> None:
    found = [outcome(number, stopped, other, tmp_path) for number in range(FEW, MANY)]
    assert [line for line in found if line] == []
