"""A run that is interrupted and resumed is the run that was not: weights, numbers and log."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from intel_core import RunError, StopReason, fit, hookimpl, load_run
from intel_core.fitting.resume import resume
from intel_core.fitting.resuming import identity
from intel_core.runs import checkpoint

DATA = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(60, 1, 6, 5), dtype=np.uint8)
STEPS, EVERY, LOG = 60, 8, 5
BASE = {
    "steps": STEPS, "batch_size": 10, "log_every": LOG, "evaluate_every": EVERY, "device": "cpu", "latent": 2,
    "encoder": "mlp:hidden=[6]", "seed": 2,
}  # fmt: skip
# Large steps on little data: of the evaluations after step 16, when all schedules have settled, one is soon the best.
OVERFITS = {
    "steps": 200, "patience": 2, "objective": "iwae:particles=2", "learning_rate": 0.1,
    "schedules": {"lr": "linear:start=1,end=0.5,steps=16", "kl": "linear:steps=12"},
}  # fmt: skip
CONFIGURATIONS = {
    "elbo": (DATA, {}),
    "iwae, shared variance": (DATA, {"objective": "iwae:particles=3", "likelihood": "gaussian:variance=shared"}),
    "batch norm": (IMAGES, {"encoder": "conv:channels=[2,3]", "clip_norm": 1.0}),
    "early stopping": (DATA, OVERFITS),
}
each_configuration = pytest.mark.parametrize("name", CONFIGURATIONS)


class StopAt:
    """Interrupts a run as a signal would."""

    def __init__(self, step):
        self.step = step

    @hookimpl
    def step_end(self, trainer):
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


class Crash(Exception):
    """A power cut."""


class CrashAt(StopAt):
    """Ends a run without a word."""

    @hookimpl
    def step_end(self, trainer):
        if trainer.step == self.step:
            raise Crash


def train(folder, name, *hooks, **settings):
    data, own = CONFIGURATIONS[name]
    return fit(data=data, run_dir=folder, hooks=hooks, **(BASE | own | settings))


def resumed(folder, name, *hooks):
    return resume(folder, data=CONFIGURATIONS[name][0], hooks=hooks)


def crashed(folder, name, step):
    with pytest.raises(Crash):
        train(folder, name, CrashAt(step))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted runs."""
    return {name: train(tmp_path_factory.mktemp("whole") / "run", name) for name in CONFIGURATIONS}


def without_times(content):
    if isinstance(content, dict):
        return {key: without_times(value) for key, value in content.items() if key not in ("seconds", "created")}
    return content


def assert_same_result(run, whole):
    first, second = (safetensors.torch.load_file(r.path / "model.safetensors") for r in (run, whole))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert without_times(run.metrics) == without_times(whole.metrics)
    steps = [(record["kind"], record["step"]) for record in run.records()]
    assert len(set(steps)) == len(steps)
    assert [s for s in steps if s[0] == "validation"] == [
        (r["kind"], r["step"]) for r in whole.records() if r["kind"] == "validation"
    ]
    for ours, theirs in zip(
        *([r for r in x.records() if r["kind"] == "validation"] for x in (run, whole)), strict=True
    ):
        assert without_times(ours) == without_times(theirs)


# --- interrupted and resumed -------------------------------------------------------------------------------------


def test_the_uninterrupted_runs_are_what_they_are_meant_to_be(whole):
    early = whole["early stopping"].metrics
    assert 16 < early["best_step"] == early["step"] - 2 * EVERY
    assert early["step"] < STEPS
    assert all(run.metrics["step"] == STEPS for name, run in whole.items() if name != "early stopping")


# Before and in the warm-up, between, on and beside log lines (5), evaluations (8) and epochs (4 or 6), at the end.
@pytest.mark.promptly(every=2)
@each_configuration
@pytest.mark.parametrize(
    "stop", [13, STEPS, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 8, 16, 20, 33, 40, STEPS - 1))]
)
def test_resumed_run_ends_as_the_uninterrupted_one(name, stop, whole, tmp_path):
    if stop >= whole[name].metrics["step"] != STEPS:
        pytest.skip("the run has stopped early by then")
    run = train(tmp_path / "run", name, StopAt(stop))
    assert (run.status, run.metrics["step"], run.metrics["stop_reason"]) == ("interrupted", stop, "signal TEST")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert_same_result(resumed(tmp_path / "run", name), whole[name])


@each_configuration
def test_run_resumed_several_times_ends_as_the_uninterrupted_one(name, whole, tmp_path):
    run = train(tmp_path / "run", name, StopAt(3))
    for stop in (9, 10, 17, 31):
        run = resumed(tmp_path / "run", name, StopAt(stop))
        assert (run.status, run.metrics["step"]) == ("interrupted", stop)
    assert_same_result(resumed(tmp_path / "run", name), whole[name])


@each_configuration
@pytest.mark.parametrize("stop", [27, *(pytest.param(n, marks=pytest.mark.slow) for n in (11, 39))])
def test_crashed_run_goes_on_from_its_last_checkpoint(name, stop, whole, tmp_path):
    crashed(tmp_path / "run", name, stop)
    run = load_run(tmp_path / "run")
    assert run.status == "unfinished"
    assert max(record["step"] for record in run.records()) > stop // EVERY * EVERY - EVERY
    assert_same_result(resumed(tmp_path / "run", name), whole[name])


@pytest.mark.parametrize("stop", [13, 33, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 20))])
@pytest.mark.parametrize("name", ["elbo", "early stopping"])
def test_every_logged_line_is_that_of_the_uninterrupted_run(name, stop, whole, tmp_path):
    """A line that spans the interruption is the mean over all of its steps, those before it included."""
    train(tmp_path / "run", name, StopAt(stop))
    run = resumed(tmp_path / "run", name)
    for ours, theirs in zip(run.records(), whole[name].records(), strict=True):
        assert without_times(ours) == without_times(theirs)


@each_configuration
def test_run_that_crashed_after_its_last_step_is_finished_by_resume(name, whole, tmp_path):
    """All steps are taken and saved, but the process died before it wrote the result."""

    class CrashAtEnd:
        @hookimpl
        def run_end(self, trainer):
            raise Crash

    with pytest.raises(Crash):
        train(tmp_path / "run", name, CrashAtEnd())
    assert_same_result(resumed(tmp_path / "run", name), whole[name])


def test_weights_of_an_interrupted_run_are_those_of_its_step(tmp_path):
    seen = {}

    class Noting(StopAt):
        @hookimpl
        def step_end(self, trainer):
            seen[trainer.step] = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    train(tmp_path / "run", "elbo", StopAt(13), Noting(0))
    run = load_run(tmp_path / "run")
    assert all(torch.equal(value, seen[13][name]) for name, value in run.model.state_dict().items())


def test_weights_and_schedules_go_on_where_they_were(tmp_path):
    weights = {}

    class Noting(StopAt):
        @hookimpl
        def step_end(self, trainer):
            weights[trainer.step] = trainer.weights

    train(tmp_path / "run", "early stopping", StopAt(9), Noting(0))
    resumed(tmp_path / "run", "early stopping", Noting(0))
    assert [w["kl"] for _, w in sorted(weights.items())][:14] == pytest.approx([min(s / 12, 1) for s in range(14)])
    assert [w["lr"] for _, w in sorted(weights.items())][:20] == pytest.approx(
        [1 - 0.5 * min(s / 16, 1) for s in range(20)]
    )


# --- what cannot be resumed --------------------------------------------------------------------------------------


def test_finished_run_is_refused_and_left_as_it_is(tmp_path):
    run = train(tmp_path / "run", "elbo")
    before = {p: p.read_bytes() for p in sorted((tmp_path / "run").rglob("*")) if p.is_file()}
    with pytest.raises(RunError, match="finished"):
        resumed(run.path, "elbo")
    assert before == {p: p.read_bytes() for p in sorted((tmp_path / "run").rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "other",
    [
        DATA + 1e-3,
        DATA[::-1].copy(),
        DATA[:50],
        np.concatenate([DATA, DATA], 1),
        DATA.reshape(60, 1, 1, 3),  # the same bytes in another shape
        DATA.reshape(90, 2),
    ],
    ids=["shifted", "reversed", "fewer", "wider", "as images", "reshaped"],
)
def test_other_data_is_refused(other, tmp_path):
    train(tmp_path / "run", "elbo", StopAt(13))
    with pytest.raises(RunError):
        resume(tmp_path / "run", data=other)
    resumed(tmp_path / "run", "elbo")


def test_folder_that_is_no_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="not a run directory"):
            resume(path, data=DATA)


# --- damage ------------------------------------------------------------------------------------------------------


def _truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _empty(path):
    path.write_bytes(b"")


def _flip(path):
    """One bit of the last tensor's bytes, or of a number in JSON."""
    content = bytearray(path.read_bytes())
    if path.suffix == ".json":
        at = content.index(b'"best_step":') + len(b'"best_step": ')
        content[at] = ord("7") if content[at] != ord("7") else ord("5")
    else:
        content[-3] ^= 4
    path.write_bytes(bytes(content))


def _remove(path):
    path.unlink()


FILES = ("model.safetensors", "training.safetensors", "best.safetensors", "state.json")


@pytest.mark.promptly(every=3)
@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _remove], ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("file", FILES)
def test_damaged_checkpoint_falls_back_to_the_one_before(file, damage, whole, tmp_path):
    train(tmp_path / "run", "early stopping", StopAt(33))
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints")[0]
    damage(newest / file)
    fallback, problems = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert fallback.name == "step-0000000032"
    assert len(problems) == 1
    assert newest.name in problems[0]
    with pytest.warns(UserWarning, match=f"{newest.name}.*going on from {fallback.name}"):
        run = resumed(tmp_path / "run", "early stopping")
    assert_same_result(run, whole["early stopping"])


def test_a_damaged_newest_checkpoint_does_not_push_out_the_good_ones(tmp_path):
    train(tmp_path / "run", "elbo", StopAt(50), keep_checkpoints=1)
    folder = tmp_path / "run" / "checkpoints"
    good = checkpoint.latest(folder)[0]
    damaged = folder / "step-0000000055"
    shutil.copytree(good, damaged)
    (damaged / "state.json").write_text("{")
    with pytest.warns(UserWarning, match="going on from step-0000000050"):
        run = resumed(tmp_path / "run", "elbo", StopAt(52))
    assert run.status == "interrupted"
    assert checkpoint.latest(folder)[0].name == "step-0000000052"


@pytest.mark.promptly(every=3)
@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _remove], ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("file", FILES)
def test_run_without_a_whole_checkpoint_is_refused_with_the_reasons(file, damage, tmp_path):
    train(tmp_path / "run", "early stopping", StopAt(33))
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        damage(path / file)
    with pytest.raises(RunError, match="no checkpoint that can be used"):
        resumed(tmp_path / "run", "early stopping")


def test_run_that_crashed_before_its_first_checkpoint_begins_again(whole, tmp_path):
    crashed(tmp_path / "run", "elbo", EVERY - 1)
    with pytest.raises(RunError, match="no checkpoint"):
        _ = load_run(tmp_path / "run").model
    with pytest.warns(UserWarning, match="was not saved yet; it begins again with its first step"):
        run = resumed(tmp_path / "run", "elbo")
    assert_same_result(run, whole["elbo"])


def test_run_whose_checkpoints_are_gone_is_refused(tmp_path):
    crashed(tmp_path / "run", "elbo", 27)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    log = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="no checkpoint"):
        resumed(tmp_path / "run", "elbo")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == log


def test_half_written_checkpoint_is_ignored_and_cleared_away(whole, tmp_path):
    train(tmp_path / "run", "elbo", StopAt(13))
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(checkpoint.latest(folder)[0], folder / ".step-0000000050.1234.tmp")
    assert_same_result(resumed(tmp_path / "run", "elbo"), whole["elbo"])
    assert not list(folder.glob(".step*"))


def test_checkpoint_of_another_model_is_refused(tmp_path):
    train(tmp_path / "run", "elbo", StopAt(13))
    train(tmp_path / "other", "elbo", StopAt(13), encoder="mlp:hidden=[7]")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "run" / "checkpoints")
    with pytest.raises(RunError, match="belongs to another run"):
        resumed(tmp_path / "run", "elbo")


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    train(tmp_path / "run", "elbo", keep_checkpoints=3)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == [f"step-{step:010d}" for step in (48, 56, 60)]


def test_log_of_a_killed_process_may_end_in_half_a_line(whole, tmp_path):
    crashed(tmp_path / "run", "elbo", 27)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "st')
    run = resumed(tmp_path / "run", "elbo")
    assert_same_result(run, whole["elbo"])
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    "changed",
    [
        {"spec": {"mapping": ["identity"]}}, {"spec": {"likelihood": "laplace"}}, {"spec": {"objective": "elbo"}},
        {"spec": {"encoder": "mlp"}}, {"spec": {"decoder": "mlp"}}, {"spec": {"latent": 9}},
        {"spec": {"batch_size": 9}}, {"spec": {"seed": 9}}, {"data": {"fingerprint": "other"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_checkpoint_belongs_to_one_run_alone(changed):
    """Whatever decides the weights is part of its identity; what does not, is not."""
    assert identity({"spec": {}, "data": {}} | changed) != identity({"spec": {}, "data": {}})
    assert identity({"spec": {"log_every": 3, "device": "cuda"}, "data": {}}) == identity({"spec": {}, "data": {}})
