"""A path with a typo is told as a path, with the nearest name that is there; a misspelt data set is told as one."""

from pathlib import Path

import numpy as np
import pytest

from intel_core import fit
from intel_core.errors import DataError, IntelError, PluginError
from intel_core.reading.data_files import data_spec
from intel_core.reading.paths import refuse_missing


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata.csv").write_text("a,b\n1,2\n")
    np.save("mydata.npy", np.ones((3, 2)))
    (tmp_path / "photos" / "dog").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "said"),
    {
        "nofile.csv": "there is no file or folder 'nofile.csv' in {here}",
        "nofile.xlsx": "there is no file or folder 'nofile.xlsx' in {here}",
        "mydta.csv": "there is no file or folder 'mydta.csv' in {here}; did you mean 'mydata.csv'?",
        "mydta.npy:key=x": "there is no file or folder 'mydta.npy' in {here}; did you mean 'mydata.npy'?",
        "MyDta.NPY": "there is no file or folder 'MyDta.NPY' in {here}; did you mean 'mydata.npy'?",
        "mydata": "there is no data set and no file or folder 'mydata' in {here}; did you mean 'mydata.csv'?",
        "photo": "there is no data set and no file or folder 'photo' in {here}; did you mean 'photos'?",
        "./photo": "there is no file or folder 'photo' in {here}; did you mean 'photos'?",
        "photos/dgo": "there is no file or folder 'photos/dgo' in {here}; did you mean 'photos/dog'?",
        "photo/dog": "there is no folder 'photo' in {here}, and so no 'photo/dog'; did you mean 'photos/dog'?",
        "sub/mydata.csv": "there is no folder 'sub' in {here}, and so no 'sub/mydata.csv'; "
        "did you mean 'mydata.csv', which is here?",
        "/nowhere/x.npy": "there is no folder 'nowhere' in /, and so no '/nowhere/x.npy'",
        "https://example.org/x.csv": "'https://example.org/x.csv' is an address; data are read from files of this "
        "machine, so download it first",
    }.items(),
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_that_is_not_there_is_told_with_the_nearest_that_is(here, kind, data, said):
    if kind is Path and (str(Path(data)) != data or ":" in data):
        pytest.skip("it would be another path")
    with pytest.raises(DataError) as caught:
        fit(data=kind(data))
    assert str(caught.value) == said.format(here=here)


@pytest.mark.parametrize("data", ["digit", "nosuch"])
def test_a_misspelt_data_set_is_no_path(data):
    with pytest.raises(PluginError, match=f"no dataset is called '{data}'"):
        fit(data=data)


@pytest.mark.parametrize("data", ["digits", "circle:n=40", "intelvae-datasets/digits", "mydata.csv", "photos", "", " "])
def test_what_is_there_is_not_refused(data):
    refuse_missing(data)


def test_a_file_with_settings_is_read_by_the_data_set_for_such_files(here):
    assert data_spec("mydata.csv:label=b") == f"table:path={here / 'mydata.csv'},label=b"
    assert data_spec("photos") == f"images:path={here / 'photos'}"
    assert data_spec("digits:classes=[0]") == "digits:classes=[0]"


@pytest.mark.parametrize("data", ["x" * 5000, "~nobody-of-that-name/x.csv", "a\0b.csv"])
def test_a_name_that_no_file_can_have_is_told(data):
    with pytest.raises(IntelError):
        fit(data=data)
