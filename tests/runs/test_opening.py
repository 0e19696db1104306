"""The files of a run directory are plain data: no links, no pipes, bounded sizes, bounded JSON."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from intel_core import RunError, files
from intel_core.runs import opening

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that is nobody's business."""
    path = tmp_path / "outside" / "key"
    path.parent.mkdir()
    path.write_text("precious\n")
    return path


@pytest.fixture
def run(tmp_path: Path, outside: Path) -> Path:
    """A run directory."""
    path = tmp_path / "run"
    (path / "inner").mkdir(parents=True)
    (path / "file").write_text("content")
    (path / "inner" / "file").write_text("content")
    (path / "link").symlink_to(outside)
    (path / "dangling").symlink_to(path / "nothing")
    (path / "linked").symlink_to(outside.parent)
    os.mkfifo(path / "pipe")
    return path


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file", "inner/file"])
def test_regular_files_are_read(run: Path, name: str) -> None:
    assert opening.read_bytes(run, name, 7) == b"content"
    assert opening.read_tail(run, name, 3) == b"ent"


def test_the_run_directory_itself_may_be_reached_by_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "shortcut").symlink_to(run)
    assert opening.read_bytes(tmp_path / "shortcut", "inner/file", 7) == b"content"


@pytest.mark.parametrize("name", ["nothing", "inner/nothing", "nothing/file", "file/file"])
def test_what_is_not_there_is_told_apart(run: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        opening.read_bytes(run, name, 7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, "it is a link, and links inside a run directory are not followed") for name in ("link", "dangling")),
        ("linked/key", "it is a link"),
        ("inner", "it is a folder, expected a regular file"),
        ("pipe", "it is a pipe or a device, expected a regular file"),
        *(
            (name, "is no name of a file")
            for name in ("../outside/key", "inner/../file", "/etc/passwd", "", ".", "a\0b")
        ),
    ],
)
def test_everything_else_is_refused_and_waits_for_nothing(run: Path, name: str, message: str) -> None:
    for read in (opening.read_bytes, opening.read_tail):
        with pytest.raises(RunError, match=message):
            read(run, name, 7)


def test_a_file_that_is_longer_than_expected_is_not_read(run: Path) -> None:
    with pytest.raises(RunError, match="file is 7 bytes long, expected at most 6"):
        opening.read_bytes(run, "file", 6)


def test_a_folder_that_is_a_link_is_not_listed(run: Path) -> None:
    assert [path.name for path in opening.entries(run / "inner")] == ["file"]
    assert opening.entries(run / "nothing") == []
    for name, message in (("linked", "it is a link"), ("file", "cannot be read as a folder"), ("dangling", "a link")):
        with pytest.raises(RunError, match=message):
            opening.entries(run / name)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_line_is_never_appended_through_a_link(run: Path, outside: Path) -> None:
    opening.append_line(run, "new", "one")
    opening.append_line(run, "new", "\udce9")
    assert (run / "new").read_text() == "one\n\\udce9\n"
    for name in ("link", "dangling", "pipe", "linked/key"):
        with pytest.raises(RunError, match="cannot be written"):
            opening.append_line(run, name, "x")
    assert outside.read_text() == "precious\n"
    assert not (run / "nothing").exists()


def test_whole_files_take_the_place_of_links(run: Path, outside: Path) -> None:
    """Their temporary names, too, which a stranger can foresee."""
    (run / f".file.{os.getpid()}.tmp").symlink_to(outside)
    for name in ("file", "link", "dangling", "pipe"):
        files.write_text(run / name, "new")
        assert (run / name).read_text() == "new"
        assert not (run / name).is_symlink()
    assert outside.read_text() == "precious\n"


def test_nothing_is_made_in_a_folder_that_is_a_link(run: Path) -> None:
    opening.require_own_folder(run / "inner")
    opening.require_own_folder(run / "fresh")
    for name in ("linked", "dangling", "file"):
        with pytest.raises(RunError, match=r"cannot be (made|written)"):
            opening.require_own_folder(run / name)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_syncs_no_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_a_folder_on_a_failing_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunError, match="file cannot be written"):
        files.write_text(tmp_path / "file", "new")


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, "nested deeper than 64 levels"),
        (b"[" * 200_000 + b"]" * 200_000, "nested deeper than 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested deeper than 64 levels"),
        (b"[1, " + b"9" * 4000 + b"]", "a whole number of 4,000 digits"),
        (b"[" + b"[]," * 2_000_001 + b"1]", "more than 2,000,000 lists and objects"),
        (b"\xff\xfe", "can't decode"),
        (b"", "Expecting value"),
    ],
)
def test_json_without_bounds_is_refused(run: Path, content: bytes, message: str) -> None:
    (run / "file").write_bytes(content)
    with pytest.raises(RunError, match=f"file cannot be read: .*{message}"):
        opening.read_json(run, "file")


def test_json_within_bounds_is_read(run: Path) -> None:
    (run / "file").write_bytes(b'{"a":' * 63 + b"[1.5, NaN, 99]" + b"}" * 63)
    assert isinstance(opening.read_json(run, "file"), dict)


def test_a_log_that_is_another_file_too_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "other").write_text("mine\n")
    os.link(tmp_path / "other", tmp_path / "run" / "log.jsonl")
    with pytest.raises(RunError, match="hard link"):
        opening.append_line(tmp_path / "run", "log.jsonl", "{}")
    assert (tmp_path / "other").read_text() == "mine\n"
