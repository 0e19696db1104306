"""A group of replicates that was interrupted or killed goes on by its folder, bit for bit as if nothing had been."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
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
    "evaluate_every": 10, "save_every": 6, "encoder": "mlp:hidden=[8,6]", "device": "cpu", "start": "none",
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


TIMES = ("seconds", "created", "checksum")  # the last is that of a state.json, its seconds included


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(of) for key, of in value.items() if key not in TIMES}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def content(folder: Path) -> dict[str, Any]:
    """Everything that a group leaves, but for times: weights bit for bit, lines, numbers, checkpoints, the summary.

    Of each checkpoint, too, what the parts of its trainer remember, and which seeds took the step together.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found[name] = path.read_bytes()
        elif path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".json":
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


KILLED = [(1, 12), (2, 40), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((0, 6), (2, 12), (0, 40)))]


@pytest.mark.parametrize(("seed", "step"), KILLED)
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


@pytest.mark.parametrize("nth", [pytest.param(n, marks=[pytest.mark.slow] if n != 6 else []) for n in range(12)])
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
@pytest.mark.parametrize(
    "kill", [(0, 6), (2, 40), *(pytest.param(kill, marks=pytest.mark.slow) for kill in ((2, 12), (0, 18)))]
)
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
    summary = json.loads((tmp_path / "part" / "replicates.json").read_text())
    for entry in summary["runs"]:
        entry |= {"status": "missing", "step": 0}
    (tmp_path / "part" / "replicates.json").write_text(json.dumps(summary))
    for seed in (0, 1, 2):
        shutil.rmtree(tmp_path / "part" / f"seed-{seed}")
        if seed == 1:
            (tmp_path / "part" / "seed-1").mkdir()
    found = resume_replicates(tmp_path / "part", data=X)
    assert_same(whole.path, found.path)


# --- a run of the group that is gone, or another one ------------------------------------------------------------


GONE = r"seed-1 was {} and is not there any more \(deleted or moved\?\); it is trained again from its first step"
APART = "seed-1 of .* took steps with the others and cannot any more, so the other seeds will differ by rounding"


def told_by_resuming(folder: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = resume_replicates(folder, data=X)
    assert [(entry["status"], entry["step"]) for entry in found.summary["runs"]] == [("finished", 40)] * 3
    assert found.summary["status"] == "finished"
    return [str(one.message) for one in told]


@pytest.mark.parametrize("stack", [True, False])
@pytest.mark.parametrize("rename", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_finished_seed_that_is_gone_is_not_trained_again_without_a_word(
    stack: bool, rename: bool, whole: Replicates, tmp_path: Path
) -> None:
    if stack:
        shutil.copytree(whole.path, tmp_path / "group")
    else:
        fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "group", stack=False)
    if rename:
        (tmp_path / "group" / "seed-1").rename(tmp_path / "group" / "kept")
    else:
        shutil.rmtree(tmp_path / "group" / "seed-1")
    others = [content(tmp_path / "group" / f"seed-{seed}") for seed in (0, 2)]
    (told,) = told_by_resuming(tmp_path / "group")
    assert re.search(GONE.format("finished at step 40"), told)
    assert ("alone, so it will differ by rounding" in told) == stack
    assert [content(tmp_path / "group" / f"seed-{seed}") for seed in (0, 2)] == others


def test_the_others_of_a_stack_are_told_apart_from_the_seed_that_is_gone(tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "group", watchers=[StopAt(20)])
    shutil.rmtree(tmp_path / "group" / "seed-1")
    of_it, of_others = told_by_resuming(tmp_path / "group")
    assert re.search(GONE.format("interrupted at step 21"), of_it)
    assert re.search(APART, of_others)


def test_a_seed_that_stopped_early_and_is_gone_changes_nothing_for_the_others(
    stopping: Replicates, tmp_path: Path
) -> None:
    ends = {run.seed: run.metrics["step"] for run in stopping.runs}
    last, first = max(ends, key=ends.__getitem__), min(ends, key=ends.__getitem__)
    fit_replicates(4, **STOPPING, data=X, run_dir=tmp_path / "group", watchers=[StopAt(ends[last] - 2)])
    shutil.rmtree(tmp_path / "group" / f"seed-{first}")
    with pytest.warns(UserWarning, match=rf"seed-{first} was finished at step {ends[first]} and is not there") as told:
        resume_replicates(tmp_path / "group", data=X)
    assert len(told) == 1
    for seed in set(ends) - {first}:
        ours, theirs = (path / f"seed-{seed}" / "model.safetensors" for path in (tmp_path / "group", stopping.path))
        assert ours.read_bytes() == theirs.read_bytes()


def test_if_all_are_gone_the_group_begins_again(whole: Replicates, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "group")
    for seed in range(3):
        shutil.rmtree(tmp_path / "group" / f"seed-{seed}")
    told = told_by_resuming(tmp_path / "group")
    assert [re.search("trained again from its first step with the whole group$", one) is None for one in told] == [
        False
    ] * 3
    assert_same(whole.path, tmp_path / "group")


def test_a_group_that_was_moved_goes_on_bit_for_bit(whole: Replicates, tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", watchers=[StopAt(14)])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "part").rename(tmp_path / "elsewhere" / "group")
    assert_same(whole.path, resume_replicates(tmp_path / "elsewhere" / "group", data=X).path)


def _edit(path: Path, **settings: Any) -> None:
    info = json.loads(path.read_text())
    info["spec"] |= settings
    path.write_text(json.dumps(info))


def _swap(group: Path) -> None:
    (group / "seed-1").rename(group / "kept")
    (group / "seed-2").rename(group / "seed-1")
    (group / "kept").rename(group / "seed-2")


def _link(group: Path) -> None:
    (group / "seed-1").rename(group.parent / "elsewhere")
    (group / "seed-1").symlink_to(group.parent / "elsewhere")


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda group: (group / "seed-1/run.json").write_text("{"), r"seed-1/run\.json cannot be read"),
    "empty": (lambda group: (group / "seed-1/run.json").write_text("{}"), r"seed-1/run\.json is damaged: name"),
    "lost": (lambda group: (group / "seed-1/run.json").unlink(), r"seed-1 has lost its run\.json; put that back"),
    "swapped": (_swap, "seed-1 holds the run of seed 2; was it moved"),
    "linked": (_link, "seed-1 is a link"),
    "another seed": (lambda group: _edit(group / "seed-1/run.json", seed=7), "seed-1 holds the run of seed 7"),
    "more steps": (lambda group: _edit(group / "seed-1/run.json", steps=60), "no run of this group; .*seed-0: steps"),
    "another group": (
        lambda group: _edit(group / "seed-1/run.json", learning_rate=0.5, log_every=3),
        r"seed-1 is no run of this group; it has other settings than .*seed-0: learning_rate, log_every",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stack", [True, False])
def test_a_folder_that_holds_another_run_is_refused_in_a_line(stack: bool, tmp_path: Path) -> None:
    fit_replicates(3, **BASE, data=X, run_dir=tmp_path / "part", stack=stack, watchers=[StopAt(20)])
    for case, (spoil, says) in WRONG.items():
        group = tmp_path / case.replace(" ", "-") / "group"
        shutil.copytree(tmp_path / "part", group)
        spoil(group)
        before = {path: path.read_bytes() for path in group.rglob("*") if path.is_file()}
        with pytest.raises(RunError, match=says) as refused:
            resume_replicates(group, data=X)
        assert str(refused.value).count("\n") <= 1
        assert {path: path.read_bytes() for path in group.rglob("*") if path.is_file()} == before


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
import json, os, signal, sys, warnings
from pathlib import Path
import torch
from intel_core import fit_replicates, resume_replicates
warnings.simplefilter("ignore")
x = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
settings = {settings!r}
folder, left = Path(sys.argv[1]), int(sys.argv[2])

def count(event, arguments):
    # Files are where a kill can do harm. No clock: a machine that is slow is killed at the same places.
    global left
    if event in {events!r} and str(folder) in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
summary = folder / "replicates.json"
if summary.exists():
    if json.loads(summary.read_text())["status"] != "finished":
        resume_replicates(folder, data=x)
else:
    fit_replicates(4, **settings, data=x, run_dir=folder)
"""

MOST_FILES = 340
"""Files of a group are opened, made, renamed or removed so often before it has ended, or a little more often."""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "train.py"
    path.write_text(SCRIPT.format(settings=STOPPING, events=("open", "os.rename", "os.remove", "os.mkdir")))
    return path


@pytest.fixture(scope="module")
def kills() -> Iterator[dict[int, int]]:
    """How often each case was killed after its group was there; over all of them it must have happened."""
    counted: dict[int, int] = {}
    yield counted
    if len(counted) >= 3:
        assert sum(counted.values()) >= len(counted), f"too few processes were killed while they trained: {counted}"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("case", range(20))
def test_kill_9_at_any_moment(
    case: int, script: Path, stopping: Replicates, kills: dict[int, int], tmp_path: Path, forked: Callable[..., Any]
) -> None:
    draw, folder = random.Random(case), tmp_path / "group"
    kills[case] = 0
    for attempt in range(6):
        at = 0 if attempt == 5 else draw.randrange(1, MOST_FILES)
        process = forked(str(script), str(folder), str(at), cwd=tmp_path)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        kills[case] += (folder / "replicates.json").exists()
        if folder.exists() and not (folder / "replicates.json").exists():
            shutil.rmtree(folder)  # before there was a group at all
    assert_same(stopping.path, folder)
    assert load_run(folder / "seed-0").status == "finished"
