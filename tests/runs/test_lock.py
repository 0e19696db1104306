"""Two processes never write into one run directory, and a dead one keeps nobody out."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import RunError, fit, hookimpl, load_run, resume
from intel_core.runs import lock
from intel_core.runs.lock import NAME, locked

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
SETTINGS: dict[str, Any] = {"data": X, "steps": 20, "batch_size": 10, "evaluate_every": 5, "device": "cpu"}
HOLD = "import sys, pathlib\nfrom intel_core.runs.lock import locked\nwith locked(pathlib.Path(sys.argv[1])):\n"


class During:
    """Calls something in the middle of a run."""

    def __init__(self, call: Any) -> None:
        self.call = call

    @hookimpl
    def step_end(self, trainer: Any) -> None:
        if trainer.step == 12:
            self.call(trainer)


def test_a_second_run_is_kept_out_and_told_who_is_there(tmp_path: Path) -> None:
    met = []

    def meet(trainer: Any) -> None:
        for begin in (lambda: resume(trainer.folder, data=X), lambda: resume(trainer.folder)):
            with pytest.raises(RunError) as caught:
                begin()
            met.append(str(caught.value))

    assert fit(**SETTINGS, run_dir=tmp_path / "run", hooks=[During(meet)]).status == "finished"
    owner = f"{tmp_path / 'run'} is in use by process {os.getpid()} on {platform.node()}; wait for it or stop it"
    assert met == [owner, owner]


def test_it_can_be_read_meanwhile(tmp_path: Path) -> None:
    seen = []
    fit(**SETTINGS, run_dir=tmp_path / "run", hooks=[During(lambda t: seen.append(load_run(t.folder).model))])
    assert len(seen) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_released_whatever_happens(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(trainer: Any) -> None:
        raise error

    with pytest.raises(error):
        fit(**SETTINGS, run_dir=tmp_path / "run", hooks=[During(fail)])
    assert not (tmp_path / "run" / NAME).exists()
    assert resume(tmp_path / "run", data=X).status == "finished"


def test_another_process_keeps_this_one_out_until_it_is_killed(tmp_path: Path) -> None:
    code = f"{HOLD}    print('in', flush=True)\n    sys.stdin.read()\n"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(RunError, match=f"is in use by process {process.pid} on "), locked(tmp_path):
            pass
        process.kill()
    assert (tmp_path / NAME).exists(), "a killed process cannot clear up"
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / NAME).read_text()
    assert not (tmp_path / NAME).exists()


def test_a_removed_lock_file_lets_nobody_in(tmp_path: Path) -> None:
    code = f"{HOLD}    print('in', flush=True)\n    sys.stdin.read()\n"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        (tmp_path / NAME).unlink()
        with pytest.raises(RunError, match="is in use by another process; wait"), locked(tmp_path):
            pass
        process.kill()


@pytest.mark.parametrize("locks", ["of folders", "of files alone"])
@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a second name", "a pipe"])
def test_a_lock_file_that_is_something_else_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, locks: str
) -> None:
    if locks == "of files alone":
        monkeypatch.setattr(lock, "_acquire_folder", lambda folder: None)
    precious, run = tmp_path / "precious", tmp_path / "run"
    precious.write_text("my only key\n")
    run.mkdir()
    if kind == "a pipe":
        os.mkfifo(run / NAME)
    elif kind == "a second name":
        (run / NAME).hardlink_to(precious)
    else:
        (run / NAME).symlink_to(precious if kind == "a link" else tmp_path / "nothing")
    with contextlib.suppress(RunError), locked(run):
        assert (run / NAME).read_text() == f"process {os.getpid()} on {platform.node()}\n"
    assert precious.read_text() == "my only key\n"
    assert not (tmp_path / "nothing").exists()


def test_where_folders_cannot_be_locked_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_acquire_folder", lambda folder: None)
    with locked(tmp_path):
        assert (tmp_path / NAME).read_text() == f"process {os.getpid()} on {platform.node()}\n"
        with pytest.raises(RunError, match=f"is in use by process {os.getpid()}"), locked(tmp_path):
            pass
    assert not (tmp_path / NAME).exists()


def test_a_stale_file_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("process 1 on another-machine\n" * 50)
    with locked(tmp_path):
        assert (tmp_path / NAME).read_text() == f"process {os.getpid()} on {platform.node()}\n"


def test_a_file_system_without_locks_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert fit(**SETTINGS, run_dir=tmp_path / "run").status == "finished"


@pytest.mark.parametrize("obstacle", ["a folder", "nothing there"])
def test_what_cannot_be_locked_is_said(tmp_path: Path, obstacle: str) -> None:
    place = tmp_path / "run"
    if obstacle == "a folder":
        (place / NAME).mkdir(parents=True)
    with pytest.raises(RunError, match="run cannot be written: "), locked(place):
        pass


def test_a_directory_that_became_a_run_meanwhile_is_left_alone(tmp_path: Path) -> None:
    from intel_core.runs.folder import RunFolder

    (tmp_path / "run.json").write_text("theirs")
    with pytest.raises(RunError, match="has just become the directory of another run"):
        RunFolder(tmp_path).describe({})
    assert (tmp_path / "run.json").read_text() == "theirs"
