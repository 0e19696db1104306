"""A path stands for the start that reads the file, in Python, in a settings file and on the command line."""

import json
from pathlib import Path

import pytest

from intel_core.errors import DataError, IntelError, SpecError
from intel_core.recipe.runspec import make_run_spec
from intel_core.recipe.start_files import start_text

pytest.importorskip("intel_starts")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("groups.csv", "groups.tsv", "my groups, old.csv"):
        (tmp_path / name).write_text("kind\n0\n1\n")
    (tmp_path / "groups.npy").write_bytes(b"")
    (tmp_path / "mixture").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


@pytest.mark.parametrize("given", ["groups.csv", "groups.tsv", "groups.npy", "my groups, old.csv", "./groups.csv"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_the_start_that_reads_it_from_any_folder(groups, given, kind, monkeypatch):
    start = make_run_spec(start=kind(given)).start
    monkeypatch.chdir("/")
    assert str(start).startswith("file:path=")
    assert start.path == groups / given


def test_settings_follow_the_path(groups):
    start = make_run_spec(start="groups.csv:column=kind,after=0.5").start
    assert (start.path, start.column, start.after) == (groups / "groups.csv", "kind", 0.5)


def test_the_text_that_a_run_keeps_means_the_same_file(groups):
    spec = make_run_spec(start="my groups, old.csv")
    assert make_run_spec(start=json.loads(spec.model_dump_json())["start"]).start == spec.start


def test_a_start_is_meant_where_a_folder_has_its_name(groups):
    assert str(make_run_spec(start="mixture").start) == "mixture"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("grups.csv", DataError, "there is no file or folder 'grups.csv' in .*; did you mean 'groups.csv'"),
        ("old/groups.csv", DataError, "no folder 'old' in .*, and so no 'old/groups.csv'; did you mean 'groups.csv'"),
        ("group", DataError, "there is no start and no file or folder 'group' in .*; did you mean 'groups"),
        ("mixtur", SpecError, "no start is called 'mixtur'; did you mean 'mixture'"),
        ("notes.txt", SpecError, "start 'notes.txt' is a file of another kind; a start is read from a .csv"),
        (".", SpecError, "start '.' is a folder; a start is read from"),
        ("groups.csv:colum=kind", SpecError, "file has no key 'colum'; did you mean 'column'"),
    ],
)
def test_what_is_no_start_is_told_with_the_nearest(groups, given, error, says):
    with pytest.raises(IntelError, match=says) as caught:
        make_run_spec(start=given)
    assert isinstance(caught.value, error)


def test_other_values_are_left_to_the_setting():
    assert [start_text(value) for value in (None, 3, "labels:count=9")] == [None, 3, "labels:count=9"]
