"""A run directory that is damaged in any way: the last good checkpoint, or a clear error, and nothing overwritten."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from intel_core import IntelError, RunError, StopReason, files, fit, hookimpl, load_run, resume
from intel_core.runs import checkpoint

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SETTINGS: dict[str, Any] = {
    "data": X, "steps": 30, "batch_size": 10, "log_every": 5, "evaluate_every": 10, "device": "cpu", "latent": 2,
    "encoder": "mlp:hidden=[6]", "keep_checkpoints": 3,
}  # fmt: skip


class StopAt:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted at step 23, with checkpoints of the steps 10, 20 and 23."""
    return fit(**SETTINGS, run_dir=tmp_path_factory.mktemp("stopped") / "run", hooks=[StopAt(23)]).path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final weights of the run that was left alone."""
    path = fit(**SETTINGS, run_dir=tmp_path_factory.mktemp("whole") / "run").path
    return (path / "model.safetensors").read_bytes()


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def newest(run: Path) -> Path:
    return run / "checkpoints" / "step-0000000023"


# --- one checkpoint ----------------------------------------------------------------------------------------------


def flipped(share: float, bit: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(share * (len(content) - 1))] ^= 1 << bit
        path.write_bytes(content)

    return damage


def truncated(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)]) and None


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    **{f"bit {bit} at {share:.0%}": flipped(share, bit) for share in (0, 0.01, 0.2, 0.5, 0.8, 1) for bit in (0, 6)},
    **{f"cut to {share:.0%}": truncated(share) for share in (0, 0.1, 0.9, 0.999)},
    "missing": Path.unlink,
    "a folder": as_folder,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" x") and None,
}


@pytest.mark.parametrize("file", ["model.safetensors", "training.safetensors", "state.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_checkpoint_before_is_taken_and_said(run: Path, whole: bytes, file: str, damage: str) -> None:
    DAMAGE[damage](newest(run) / file)
    kept = contents(newest(run))
    with pytest.warns(UserWarning, match="step-0000000023.*going on from step-0000000020"):
        found = resume(run, data=X)
    assert (found.path / "model.safetensors").read_bytes() == whole
    assert contents(run / "checkpoints" / "step-0000000023.damaged") == kept


def edit_state(path: Path, **changes: Any) -> None:
    """Change a checkpoint's description, the checksum included."""
    meta = json.loads((path / "state.json").read_text())
    del meta["checksum"]
    meta["state"] |= changes.pop("state", {})
    meta |= changes
    (path / "state.json").write_text(json.dumps({**meta, "checksum": checkpoint._checksum(meta)}))


def foreign(run: Path, **settings: Any) -> None:
    """The newest checkpoint is that of another run."""
    other = fit(**(SETTINGS | settings), run_dir=run.parent / "other", hooks=[StopAt(23)]).path
    shutil.rmtree(newest(run))
    shutil.copytree(newest(other), newest(run))


def file_instead(run: Path) -> None:
    shutil.rmtree(newest(run))
    newest(run).write_text("")


UNFIT: dict[str, tuple[Callable[[Path], None], str]] = {
    "another seed": (lambda run: foreign(run, seed=1), "belongs to another run"),
    "another model": (lambda run: foreign(run, encoder="mlp:hidden=[7]"), "belongs to another run"),
    "other data": (lambda run: foreign(run, data=X + 1), "belongs to another run"),
    "state without a field": (lambda run: edit_state(newest(run), state={"stop_reason": 3}), "does not fit this run"),
    "state of another type": (lambda run: edit_state(newest(run), state={"seconds": "x"}), "does not fit this run"),
    "no state": (lambda run: (newest(run) / "state.json").write_text("{}") and None, "format is missing"),
    "format that is none": (lambda run: edit_state(newest(run), format="one"), "format is not what"),
    "a file": (file_instead, "cannot be read"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_checkpoint_that_does_not_belong_is_passed_over(run: Path, whole: bytes, case: str) -> None:
    damage, message = UNFIT[case]
    damage(run)
    with pytest.warns(UserWarning, match=f"step-0000000023.*{message}.*going on from step-0000000020"):
        found = resume(run, data=X)
    assert (found.path / "model.safetensors").read_bytes() == whole


def test_a_model_of_another_shape_is_not_taken_even_under_this_run_s_name(run: Path, whole: bytes) -> None:
    own = json.loads((newest(run) / "state.json").read_text())["state"]["run"]
    foreign(run, encoder="mlp:hidden=[7]")
    edit_state(newest(run), state={"run": own})
    with pytest.warns(UserWarning, match=r"does not fit this run: .*going on from step-0000000020"):
        found = resume(run, data=X)
    assert (found.path / "model.safetensors").read_bytes() == whole


# --- what cannot be mended ---------------------------------------------------------------------------------------


def each_checkpoint(damage: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage_all(run: Path) -> None:
        for path in (run / "checkpoints").iterdir():
            damage(path)

    return damage_all


def replace(path: str, content: str | bytes | None) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        place = run / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        if content is not None:
            place.write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def edit_run(**changes: Any) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        info = json.loads((run / "run.json").read_text())
        spec = info["spec"] | changes.pop("spec", {}) if isinstance(changes.get("spec"), dict) else info["spec"]
        (run / "run.json").write_text(json.dumps(info | {"spec": spec} | changes))

    return damage


def edit_data(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit_run(data=json.loads((run / "run.json").read_text())["data"] | changes)(run)


HOPELESS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a later format": (lambda run: edit_state(newest(run), format=99), "step-0000000023 has format 99"),
    "a later format of all": (each_checkpoint(lambda path: edit_state(path, format=2)), "upgrade it"),
    "no state.json": (each_checkpoint(lambda path: (path / "state.json").unlink()), "no checkpoint that can be used"),
    "a cut model": (
        each_checkpoint(lambda path: truncated(0.5)(path / "model.safetensors")),
        "model.safetensors does not match its checksum",
    ),
    "checkpoints are a file": (replace("checkpoints", "x"), "checkpoints cannot be read as a folder"),
    "checkpoints are gone": (replace("checkpoints", None), "no checkpoint that can be used"),
    "run.json is gone": (replace("run.json", None), "has no run.json"),
    "run.json is empty": (replace("run.json", ""), "run.json cannot be read"),
    "run.json is no JSON": (replace("run.json", '{"format": 1'), "run.json cannot be read"),
    "run.json is binary": (replace("run.json", b"\xff\xfe\x00"), "run.json cannot be read"),
    "run.json is a list": (replace("run.json", "[]"), "does not hold an object"),
    "run.json is another's": (replace("run.json", "{}"), "name is missing"),
    "run.json of a later format": (edit_run(format=7), "has format 7"),
    "run.json of no format": (edit_run(format="x"), "format is not what was written there"),
    "run.json without data": (edit_run(data=None), "data is not what was written there"),
    "run.json without a shape": (edit_data(shape=[0]), "data.shape.0 is not what was written there"),
    "run.json of odd components": (edit_run(components=[3]), "components.0 is not what was written there"),
    "run.json with a wrong key": (edit_run(spec={"laten": 3}), "did you mean 'latent'"),
    "run.json with a wrong value": (edit_run(spec={"latent": -3}), "spec.latent is not what was written there"),
    "run.json of other data": (edit_data(fingerprint="x"), "trained on other data"),
    "run.json of another seed": (edit_run(spec={"seed": 4}), "belongs to another run, or run.json has been changed"),
    "metrics.json is no JSON": (replace("metrics.json", "{"), "metrics.json cannot be read"),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_a_clear_error_and_nothing_is_changed(run: Path, case: str) -> None:
    damage, message = HOPELESS[case]
    damage(run)
    before = contents(run)
    with pytest.raises(IntelError) as caught:
        resume(run, data=X)
    assert message in str(caught.value)
    assert contents(run) == before


@pytest.mark.parametrize("share", [i / 40 for i in range(41)])
def test_a_flipped_bit_of_run_json_is_never_a_bug(run: Path, share: float) -> None:
    flipped(share, 2)(run / "run.json")
    with warnings.catch_warnings(), contextlib.suppress(IntelError):
        warnings.simplefilter("ignore")
        assert resume(run, data=X).status == "finished"


@pytest.mark.parametrize(
    "line",
    ['{"kind": "train", "st', "\xff\x00", "3", "[]", "{}", '{"step": "x"}', "null", '{"step": 29, "kind": "train"}\n'],
)
def test_a_torn_or_odd_line_of_the_log_is_dropped(run: Path, whole: bytes, line: str) -> None:
    before = load_run(run).records()
    with (run / "metrics.jsonl").open("ab") as log:
        log.write(line.encode("latin-1"))
    found = resume(run, data=X)
    assert (found.path / "model.safetensors").read_bytes() == whole
    assert found.records()[: len(before)] == before
    assert [r["step"] for r in found.records()] == [5, 10, 10, 15, 20, 20, 25, 30, 30]


def test_what_killed_writers_left_is_cleared_away(run: Path) -> None:
    (run / ".metrics.json.123.tmp").write_text("{")
    (run / "checkpoints" / ".step-0000000030.123.tmp").mkdir()
    (run / ".lock").write_text("process 123 on nowhere\n")
    resume(run, data=X)
    assert not list(run.rglob(".*"))


def test_a_checkpoint_that_was_being_replaced_is_found(run: Path, whole: bytes) -> None:
    """The process died after the old one was put aside and before the new one had its name."""
    for step in (10, 20):
        shutil.rmtree(run / "checkpoints" / f"step-{step:010d}")
    newest(run).rename(run / "checkpoints" / ".step-0000000023.old.tmp")
    assert (resume(run, data=X).path / "model.safetensors").read_bytes() == whole


def test_a_folder_in_which_a_run_was_killed_before_it_began_is_blank(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.123.tmp").write_text("{")
    (tmp_path / "run" / ".lock").write_text("process 123 on nowhere\n")
    (tmp_path / "run" / ".metrics.jsonl.123.tmp").write_text("")
    assert fit(**SETTINGS, run_dir=tmp_path / "run").status == "finished"


# --- a disk that does not take it --------------------------------------------------------------------------------


def writes_of(monkeypatch: pytest.MonkeyPatch, fail_at: int | None, code: int) -> list[str]:
    """Names of the files written from now on; the one of a number fails, half of it written."""
    plain, seen = files.write_synced, []

    def write(path: Path, content: bytes) -> None:
        seen.append(path.name)
        if len(seen) - 1 == fail_at:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(code, os.strerror(code))
        plain(path, content)

    for module in (files, checkpoint):
        monkeypatch.setattr(module, "write_synced", write)
    return seen


WRITES = 2 + 3 * 3 + 2  # the log and run.json; three checkpoints; model.safetensors and metrics.json


@pytest.mark.parametrize("number", range(WRITES))
def test_a_full_disk_at_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes, number: int) -> None:
    with monkeypatch.context() as patch:
        writes_of(patch, number, errno.ENOSPC)
        with pytest.raises(RunError, match="cannot be written: No space left on device"):
            fit(**SETTINGS, run_dir=tmp_path / "run")
    assert not list(tmp_path.rglob("*.tmp"))
    if number < 2:
        assert not (tmp_path / "run").exists()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # before the first checkpoint it begins again
        found = resume(tmp_path / "run", data=X)
    assert (found.path / "model.safetensors").read_bytes() == whole


def test_the_writes_are_those_that_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = writes_of(monkeypatch, None, errno.ENOSPC)
    fit(**SETTINGS, run_dir=tmp_path / "run")
    assert len(seen) == WRITES


def test_a_log_that_cannot_grow(tmp_path: Path, whole: bytes) -> None:
    class TakeAway:
        @hookimpl
        def step_end(self, trainer: Any) -> None:
            if trainer.step == 12:
                (trainer.folder / "metrics.jsonl").rename(trainer.folder / "away")
                (trainer.folder / "metrics.jsonl").mkdir()

    with pytest.raises(RunError, match=r"metrics.jsonl cannot be written"):
        fit(**SETTINGS, run_dir=tmp_path / "run", hooks=[TakeAway()])
    (tmp_path / "run" / "metrics.jsonl").rmdir()
    (tmp_path / "run" / "away").rename(tmp_path / "run" / "metrics.jsonl")
    assert (resume(tmp_path / "run", data=X).path / "model.safetensors").read_bytes() == whole


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_limit_on_the_size_of_files(tmp_path: Path, forked: Callable[..., Any]) -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from intel_core import RunError, fit\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "x = np.random.default_rng(0).normal(size=(60, 3))\n"
        "try:\n"
        "    fit(data=x, steps=30, evaluate_every=10, encoder='mlp:hidden=[200,200]', run_dir=sys.argv[1])\n"
        "except RunError as error:\n"
        "    print(error)\n"
    )
    process = forked("-c", code, str(tmp_path / "run"), cwd=tmp_path)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "step-0000000010 cannot be written: File too large; older ones stay" in printed
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_a_directory_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"cannot be made: Not a directory|is a file"):
        fit(**SETTINGS, run_dir=tmp_path / place)
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(run: Path) -> None:
    run.chmod(0o500)
    try:
        with pytest.raises(RunError, match="run cannot be written: Permission denied"):
            resume(run, data=X)
        with pytest.raises(RunError, match="cannot be made: Permission denied"):
            fit(**SETTINGS, run_dir=run / "inner")
    finally:
        run.chmod(0o700)


# --- nothing in it can run code ----------------------------------------------------------------------------------


class Exploit:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("where", ["checkpoint", "result"])
def test_a_pickle_is_refused_and_not_executed(
    run: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Exploit())
    if where == "result":
        (run / "model.safetensors").write_bytes(content)
    else:
        shutil.rmtree(run / "checkpoints" / "step-0000000010")
        shutil.rmtree(run / "checkpoints" / "step-0000000020")
        (newest(run) / "model.safetensors").write_bytes(content)
        sums = json.loads((newest(run) / "state.json").read_text())["sha256"]
        import hashlib

        edit_state(newest(run), sha256=sums | {"model.safetensors": hashlib.sha256(content).hexdigest()})
    with pytest.raises(RunError, match=r"is damaged|cannot be read"):
        _ = load_run(run).model
    if where == "checkpoint":
        with pytest.raises(RunError, match="cannot be read"):
            resume(run, data=X)
    assert not (tmp_path / "executed").exists()
    pickle.loads(content)  # the exploit itself works
    assert (tmp_path / "executed").exists()


def test_weights_are_plain_tensors(run: Path) -> None:
    tensors = safetensors.torch.load_file(newest(run) / "training.safetensors")
    assert "noise" in tensors
