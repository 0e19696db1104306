"""Does a training that begins from clusters found in the data go on after an interruption as if there had been none?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from intel_core import RunError, fit, hookimpl, resume
from intel_core.fitting.starting import FILE
from intel_core.runs.contents import START_FILE

STEPS, BEGINS, PULLED = 48, 12, 36
"""Steps, the step before which clusters are found, and that by which the pull is gone."""
CENTRES = np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
X = np.concatenate([c + 0.3 * np.random.default_rng(i).normal(size=(n, 4)) for i, (n, c) in enumerate(
    zip((60, 30, 20), CENTRES, strict=True)
)]).astype(np.float32)  # fmt: skip
LABELS = np.repeat(np.arange(3), (60, 30, 20))
BASE = {
    "mapping": "cluster:k=3", "steps": STEPS, "batch_size": 10, "log_every": 5, "evaluate_every": 8, "device": "cpu",
    "latent": 3, "encoder": "mlp:hidden=[8]", "seed": 2, "standardize": False,
}  # fmt: skip
WHEN = "after=0.25,hold=0.5"
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "learned shares": {"start": f"mixture:fits=2,{WHEN}"},
    "fixed shares, iwae": {
        "mapping": "cluster:k=3,learnable=false", "start": f"kmeans:fits=2,{WHEN}", "objective": "iwae:particles=2"
    },
    "a few labels": {"start": f"labels:count=9,{WHEN}", "labels": LABELS},
    "bfloat16": {"start": f"mixture:fits=2,{WHEN}", "precision": "bfloat16"},
    "from the first step": {"start": "kmeans:fits=1,after=0,hold=0.75"},
    "shares that are set and never learned": {
        "mapping": "cluster:k=3,turn=false", "start": f"kmeans:fits=1,{WHEN}",
        "schedules": {"strength": "constant:value=0.5"},
    },
}  # fmt: skip
SLOW = pytest.mark.slow
# Where another test already tries all of them.
PROMPTLY = ("learned shares", "a few labels", "from the first step")
each_configuration = pytest.mark.parametrize("name", CONFIGURATIONS)
some_promptly = pytest.mark.parametrize(
    "name", [name if name in PROMPTLY else pytest.param(name, marks=SLOW) for name in CONFIGURATIONS]
)


class Crash(Exception):
    """A power cut."""


class CrashAt:
    """Ends a run without a word."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            raise Crash


def settings(name: str) -> dict[str, Any]:
    return {"data": X, **BASE, **CONFIGURATIONS[name]}


def train(folder: Path, name: str, *hooks: object, **more: Any) -> Any:
    return fit(run_dir=folder, hooks=hooks, **(settings(name) | more))


def go_on(folder: Path, name: str, *hooks: object) -> Any:
    return resume(folder, data=X, labels=settings(name).get("labels"), hooks=hooks)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def assert_same(folder: Path, other: Path) -> None:
    first, second = weights_of(folder), weights_of(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (folder / FILE).read_bytes() == (other / FILE).read_bytes()
    assert (folder / START_FILE).read_bytes() == (other / START_FILE).read_bytes()


class Whole(dict[str, Path]):
    """The uninterrupted runs, each made when it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self._factory = factory

    def __missing__(self, name: str) -> Path:
        folder = self[name] = self._factory.mktemp("whole") / "run"
        train(folder, name)
        return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return Whole(tmp_path_factory)


# --- every phase -------------------------------------------------------------------------------------------------


@pytest.mark.promptly("13-learned shares", "13-a few labels", "13-bfloat16")
@each_configuration
@pytest.mark.parametrize("stop", [BEGINS + 1, *(pytest.param(n, marks=SLOW) for n in (5, BEGINS, 20, PULLED, 41))])
def test_interrupted_in_any_phase_it_goes_on_bit_for_bit(
    name: str, stop: int, whole: dict[str, Path], tmp_path: Path, stop_at: Any
) -> None:
    run = train(tmp_path / "run", name, stop_at(stop))
    assert (run.status, run.metrics["step"]) == ("interrupted", stop)
    go_on(tmp_path / "run", name)
    assert_same(tmp_path / "run", whole[name])


@some_promptly
def test_interrupted_in_every_phase_it_goes_on_bit_for_bit(
    name: str, whole: dict[str, Path], tmp_path: Path, stop_at: Any
) -> None:
    train(tmp_path / "run", name, stop_at(3))
    for stop in (BEGINS, BEGINS + 1, 30, 40):
        assert go_on(tmp_path / "run", name, stop_at(stop)).metrics["step"] == stop
    go_on(tmp_path / "run", name)
    assert_same(tmp_path / "run", whole[name])


@pytest.mark.promptly(every=2)
@each_configuration
@pytest.mark.parametrize("stop", [BEGINS + 1, pytest.param(23, marks=SLOW)])
def test_killed_it_goes_on_from_its_last_checkpoint_bit_for_bit(
    name: str, stop: int, whole: dict[str, Path], tmp_path: Path
) -> None:
    """At 13 clusters have been found, and the newest checkpoint, of step 8, is from before that."""
    with pytest.raises(Crash):
        train(tmp_path / "run", name, CrashAt(stop))
    assert (tmp_path / "run" / FILE).is_file()
    go_on(tmp_path / "run", name)
    assert_same(tmp_path / "run", whole[name])


@some_promptly
def test_the_same_seed_gives_the_same_run(name: str, whole: dict[str, Path], tmp_path: Path) -> None:
    train(tmp_path / "run", name)
    assert_same(tmp_path / "run", whole[name])
    train(tmp_path / "other", name, seed=3)
    assert any(not torch.equal(a, b) for a, b in zip(
        weights_of(tmp_path / "other").values(), weights_of(whole[name]).values(), strict=True
    ))  # fmt: skip


# --- the file that holds the clusters ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half_way(tmp_path_factory: pytest.TempPathFactory, stop_at: Any) -> Path:
    """A run that was interrupted while it was pulled."""
    folder = tmp_path_factory.mktemp("half") / "run"
    train(folder, "learned shares", stop_at(20))
    return folder


def missing(file: Path) -> None:
    file.unlink()


def no_tensors(file: Path) -> None:
    file.write_bytes(b"something else")


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def too_long(file: Path) -> None:
    file.write_bytes(file.read_bytes() + bytes(10**6))


def a_link(file: Path) -> None:
    other = file.parent.parent / "elsewhere.safetensors"
    file.rename(other)
    file.symlink_to(other)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def changed(**tensors: Any) -> Any:
    def change(file: Path) -> None:
        held = safetensors.torch.load_file(file)
        safetensors.torch.save_file({name: tensors.get(name, lambda x: x)(x) for name, x in held.items()}, file)

    return change


DAMAGES = {
    "missing": (missing, "is missing"),
    "no tensors": (no_tensors, "is damaged"),
    "cut short": (cut_short, "is damaged"),
    "too long": (too_long, "bytes long, expected at most"),
    "a link": (a_link, "it is a link"),
    "a folder": (a_folder, "it is a folder"),
    "other rows": (changed(cluster=lambda x: x[1:].clone()), "expected the clusters of 88 training examples"),
    "other type": (changed(cluster=lambda x: x.long()), "expected the clusters of 88 training examples"),
    "beyond K": (changed(cluster=lambda x: x + 3), "numbers that are no clusters"),
    "below -1": (changed(cluster=lambda x: x - 2), "numbers that are no clusters"),
    "other scores": (changed(weight=lambda x: x[:, 1:].clone()), "scores of 3"),
    "not finite": (changed(bias=lambda x: x / 0), "not finite"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_start_file_that_cannot_be_used_is_told_in_a_line(damage: str, half_way: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(half_way, folder)
    do, said = DAMAGES[damage]
    do(folder / FILE)
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(RunError, match=said) as caught:
        go_on(folder, "learned shares")
    assert str(folder / FILE) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_a_link_in_the_place_of_the_start_file_is_replaced_and_not_followed(
    whole: dict[str, Path], tmp_path: Path, stop_at: Any
) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    train(folder, "learned shares", stop_at(BEGINS))
    assert not (folder / FILE).exists()
    victim.write_text("mine")
    for name in (FILE, START_FILE):
        (folder / name).symlink_to(victim)
    go_on(folder, "learned shares")
    assert victim.read_text() == "mine"
    assert_same(folder, whole["learned shares"])


# --- what the phases are -----------------------------------------------------------------------------------------


def test_what_was_found_lies_in_the_run(whole: dict[str, Path]) -> None:
    found = safetensors.torch.load_file(whole["learned shares"] / FILE)
    facts = json.loads((whole["learned shares"] / START_FILE).read_text())
    assert facts["step"] == BEGINS
    assert facts["sizes"] == torch.bincount(found["cluster"], minlength=3).tolist()
    assert facts["scores_agree"] > 0.98
    assert facts["fits"] == 2
    few = safetensors.torch.load_file(whole["a few labels"] / FILE)
    assert int(few["certain"].sum()) == 9


def test_early_stopping_waits_until_there_are_clusters(tmp_path: Path) -> None:
    """Before the start the model is a plain VAE; its loss may be the lowest of all."""
    begins: list[int] = []

    class Listener:
        @hookimpl
        def run_start(self, trainer: Any) -> None:
            begins.append(trainer.stopping.begins)

    train(tmp_path / "run", "learned shares", Listener(), patience=1, schedules={"kl": "constant"})
    assert begins == [BEGINS + STEPS // 4]
