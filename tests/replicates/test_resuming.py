"""A group of replicates that was interrupted or killed goes on by its folder, bit for bit as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import (
    Replicates,
    RunError,
    StopReason,
    fit_replicates,
    hookimpl,
    load_run,
    make_dataset,
    resume,
    resume_replicates,
)
from intel_core.randomness import stream
from intel_core.runs import checkpoint

X = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
BASE: dict[str, Any] = {
    "mapping": "cluster:k=2,learnable=true", "latent": 2, "steps": 40, "batch_size": 16, "log_every": 7,
    "evaluate_every": 10, "save_every": 6, "encoder": "mlp:hidden=[8,6]", "device": "cpu",
}  # fmt: skip
STOPPING = BASE | {
    "patience": 1, "steps": 200, "evaluate_every": 5, "save_every": 8, "learning_rate": 0.03,
    "schedules": {"kl": "constant", "strength": "constant"}, "mapping": "cluster:k=2",
}  # fmt: skip


class StopAt:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def logged(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["step"] >= self.step:
            trainer.stop(StopReason("signal SIGTERM", "signal"))


class Killed(BaseException):
    pass


class KillAfterSave:
    """Ends the process, as far as a test can, between the checkpoints of two seeds."""

    def __init__(self, seed: int, step: int) -> None:
        self.seed, self.step = seed, step

    @hookimpl
    def saved(self, trainer: Any, path: str) -> None:
        if trainer.step == self.step and trainer.settings.seed == self.seed:
            raise Killed


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(of) for key, of in value.items() if key not in ("seconds", "created")}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def content(folder: Path) -> dict[str, Any]:
    """Everything that a group leaves, but for times: weights bit for bit, lines, numbers, checkpoints, the summary."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found[name] = path.read_bytes()
        elif path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".json" and path.name != "state.json":
            text = path.read_text().replace(str(folder), "GROUP")
            found[name] = timeless(json.loads(text)) | {"name": None}
    return found


def assert_same(one: Path, other: Path) -> None:
    ours, theirs = content(one), content(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Replicates:
    """A group that nothing interrupts."""
    return fit_replicates(3, **BASE, data=X, run_dir=tmp_path_factory.mktemp("whole") / "group")


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory) -> Replicates:
    """One whose seeds stop early, at several steps."""
    group = fit_replicates(4, **STOPPING, data=X, run_dir=tmp_path_factory.mktemp("stopping") / "group")
    assert len({run.metrics["step"] for run in group.runs}) > 1
    return group


# --- interrupted -----------------------------------------------------------------------------------------------


def test_an_interrupted_group_goes_on_bit_for_bit(whole: Replicates, tmp_path: Path) -> None:
    assert whole.summary["stacked"]
    part = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    assert part.summary["status"] == "interrupted"
    again = resume_replicates(tmp_path / "part", data=X, watchers=[StopAt(28)])
    assert [run.metrics["step"] for run in again.runs] == [28] * 3
    found = resume_replicates(tmp_path / "part", data=X)
    assert found.summary["status"] == "finished"
    assert_same(whole.path, found.path)
    with pytest.raises(RunError, match="is finished, all 3 seeds; there is nothing to resume"):
        resume_replicates(tmp_path / "part", data=X)


def test_resume_says_what_continues_a_group(whole: Replicates) -> None:
    with pytest.raises(RunError, match=r"runs of several seeds; resume_replicates\('.*'\) continues them all"):
        resume(whole.path, data=X)


def test_one_after_another_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "whole", stack=False)
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", stack=False, watchers=[StopAt(14)])
    found = resume_replicates(tmp_path / "part", data=X)
    assert_same(whole.path, found.path)


def test_other_data_are_refused(whole: Replicates, tmp_path: Path) -> None:
    fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    with pytest.raises(RunError, match="trained on other data: the fingerprint"):
        resume_replicates(tmp_path / "part", data=X + 1)
    other = X.clone()
    rows = make_dataset("x", X)
    other[int((rows.test.x[0] == X).all(1).nonzero())] += 1
    with pytest.raises(RunError, match="begun with other data: the test examples are not the same"):
        resume_replicates(tmp_path / "part", data=other)


# --- killed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "step"), [(0, 6), (1, 12), (2, 12), (0, 40), (2, 40)])
@pytest.mark.parametrize("keep", [1, 2])
def test_a_group_killed_between_the_checkpoints_of_its_seeds(
    seed: int, step: int, keep: int, whole: Replicates, tmp_path: Path
) -> None:
    settings = {**BASE, "keep_checkpoints": keep}
    with pytest.raises(Killed):
        fit_replicates(3, **settings, data=X, run_dir=tmp_path / "part", hooks=[KillAfterSave(seed, step)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was not saved yet; it begins again")
        found = resume_replicates(tmp_path / "part", data=X)
    for ours, theirs in zip(found.runs, whole.runs, strict=True):
        assert (ours.path / "model.safetensors").read_bytes() == (theirs.path / "model.safetensors").read_bytes()
        assert timeless(ours.records()) == timeless(theirs.records())
        assert timeless(ours.metrics) == timeless(theirs.metrics)
        assert len(list((ours.path / "checkpoints").iterdir())) == keep


@pytest.mark.parametrize("nth", range(12))
def test_a_group_of_which_some_have_stopped_early(nth: int, stopping: Replicates, tmp_path: Path) -> None:
    """Killed right after any of its first checkpoints, those of seeds that leave the stack among them."""

    class Kill:
        left = 2 * nth + 1

        @hookimpl
        def saved(self) -> None:
            self.left -= 1
            if not self.left:
                raise Killed

    try:
        fit_replicates(4, **STOPPING, data=X, run_dir=tmp_path / "part", hooks=[Kill()])
    except Killed:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was not saved yet; it begins again")
            resume_replicates(tmp_path / "part", data=X)
    assert_same(stopping.path, tmp_path / "part")


@pytest.mark.filterwarnings("ignore:.*far from the scale")
@pytest.mark.filterwarnings("ignore:.*was not saved yet; it begins again")
@pytest.mark.parametrize("kill", [(0, 6), (2, 12), (0, 18), (2, 40)])
def test_a_group_of_which_one_has_diverged(kill: tuple[int, int], tmp_path: Path) -> None:
    x = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0))
    train = make_dataset("data", x).train.x
    orders = [
        torch.randperm(len(train), generator=torch.Generator().manual_seed(stream(seed, "order/0")))[: 40 * 16]
        for seed in range(3)
    ]
    met = next(row for row in orders[1][9 * 16 : 10 * 16] if row not in orders[0] and row not in orders[2])
    x[int((x == train[met]).all(1).nonzero())] = 1e25
    settings = BASE | {"data": x, "standardize": False, "likelihood": "gaussian", "mapping": "identity"}
    whole = fit_replicates(3, **settings, run_dir=tmp_path / "whole")
    assert [run.status for run in whole.runs] == ["finished", "diverged", "finished"]
    with pytest.raises(Killed):
        fit_replicates(3, **settings, run_dir=tmp_path / "part", hooks=[KillAfterSave(*kill)])
    resume_replicates(tmp_path / "part", data=x)
    assert_same(whole.path, tmp_path / "part")


def test_a_damaged_checkpoint_takes_the_whole_stack_one_back(whole: Replicates, tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(20)])
    newest = max((tmp_path / "part" / "seed-1" / "checkpoints").iterdir())
    (newest / "training.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"damaged.*; going on from step 18"):
        found = resume_replicates(tmp_path / "part", data=X)
    shutil.rmtree(newest.with_name(f"{newest.name}.damaged"))
    assert_same(whole.path, found.path)


def test_without_a_common_step_it_is_refused(tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(20)])
    for path in (tmp_path / "part" / "seed-1" / "checkpoints").iterdir():
        (path / "training.safetensors").write_bytes(b"damaged")
    before = content(tmp_path / "part")
    with pytest.raises(RunError, match=r"no step of which all seeds hold .*damaged.* can be continued alone"):
        resume_replicates(tmp_path / "part", data=X)
    assert content(tmp_path / "part") == before


def test_a_seed_that_was_not_begun_is_begun(whole: Replicates, tmp_path: Path) -> None:
    """As a kill leaves it while run directories are made."""
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(7)])
    for seed in (0, 1, 2):
        shutil.rmtree(tmp_path / "part" / f"seed-{seed}")
        if seed == 1:
            (tmp_path / "part" / "seed-1").mkdir()
    found = resume_replicates(tmp_path / "part", data=X)
    assert_same(whole.path, found.path)


# --- what cannot be the same is said ---------------------------------------------------------------------------


def test_a_seed_that_goes_on_alone_says_that_it_rounds_otherwise(whole: Replicates, tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    with pytest.warns(UserWarning, match=r"goes on alone, so it will differ by rounding .* bit for bit: intel train"):
        resume(tmp_path / "part" / "seed-1", data=X, hooks=[StopAt(21)])
    with pytest.warns(UserWarning, match=r"seed-1 of .* went on alone, so the other seeds will differ by rounding"):
        found = resume_replicates(tmp_path / "part", data=X)
    assert [run.status for run in found.runs] == ["finished"] * 3
    for run, expected in zip(found.runs, whole.runs, strict=True):
        assert run.metrics["test"]["elbo"] == pytest.approx(expected.metrics["test"]["elbo"], rel=1e-3)


def test_a_stack_that_can_be_none_any_more_says_so(tmp_path: Path) -> None:
    class Watch:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            pass

    fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    with pytest.warns(UserWarning, match=r"goes on one seed after another \(a hook watches every step\).* rounding"):
        found = resume_replicates(tmp_path / "part", data=X, hooks=[Watch()])
    assert found.summary["status"] == "finished"


def test_a_group_of_before_stacks_were_kept_goes_on_one_by_one(tmp_path: Path) -> None:
    fit_replicates(2, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    summary = json.loads((tmp_path / "part" / "replicates.json").read_text())
    del summary["asked"]
    (tmp_path / "part" / "replicates.json").write_text(json.dumps(summary))
    for path in (tmp_path / "part").glob("seed-*/checkpoints/step-*"):
        step, tensors, state = checkpoint.load(path)
        del state["stack"]
        checkpoint.save(path.parent, step, tensors, state)
    with pytest.warns(UserWarning, match=r"goes on one seed after another \(each was saved alone\)"):
        found = resume_replicates(tmp_path / "part", data=X)
    assert found.summary["status"] == "finished"


# --- kill -9 ---------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys, warnings
from pathlib import Path
import torch
from intel_core import fit_replicates, resume_replicates
warnings.simplefilter("ignore")
x = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
settings = {settings!r}
folder = Path(sys.argv[1])
print("begins", flush=True)
summary = folder / "replicates.json"
if summary.exists():
    if json.loads(summary.read_text())["status"] != "finished":
        resume_replicates(folder, data=x)
else:
    fit_replicates(4, **settings, data=x, run_dir=folder)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "train.py"
    path.write_text(SCRIPT.format(settings=STOPPING))
    return path


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("case", [*range(3), *(pytest.param(case, marks=pytest.mark.slow) for case in range(3, 20))])
def test_kill_9_at_any_moment(case: int, script: Path, stopping: Replicates, tmp_path: Path) -> None:
    draw = random.Random(case)
    folder, kills = tmp_path / "group", 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for attempt in range(6):
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        process.stdout.close()
        if attempt == 5:
            assert process.wait(timeout=240) == 0
            break
        try:
            assert process.wait(timeout=draw.uniform(0.2, 2.5)) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        if folder.exists() and not (folder / "replicates.json").exists():
            shutil.rmtree(folder)  # before there was a group at all
        time.sleep(0.05)
    assert_same(stopping.path, folder)
    assert load_run(folder / "seed-0").status == "finished"
