"""Are the user's files found, and their labels understood?"""

import numpy as np
import pytest
from intel_datasets.files import find_path

from intel_core import DataError
from intel_core.reading.labelling import encode_labels


@pytest.fixture
def places(tmp_path, monkeypatch):
    here, data = tmp_path / "here", tmp_path / "data"
    here.mkdir()
    data.mkdir()
    monkeypatch.chdir(here)
    return here, data


def test_the_working_directory_goes_before_the_data_directory(places):
    here, data = places
    (data / "x.npy").touch()
    assert find_path("arrays", "x.npy", data) == data / "x.npy"
    (here / "x.npy").touch()
    assert find_path("arrays", "x.npy", data) == here / "x.npy"


def test_home_and_absolute_paths(places, monkeypatch):
    _, data = places
    (data / "x.npy").touch()
    monkeypatch.setenv("HOME", str(data))
    assert find_path("arrays", "~/x.npy", None) == data / "x.npy"
    assert find_path("arrays", str(data / "x.npy"), None) == data / "x.npy"


def test_a_missing_file_names_the_nearest_one_there(places):
    here, data = places
    (data / "measurements.csv").touch()
    with pytest.raises(DataError) as caught:
        find_path("table", "mesurements.csv", data)
    message = str(caught.value)
    assert "no file mesurements.csv" in message
    assert "did you mean 'measurements.csv'" in message
    assert str(here) in message
    assert str(data) in message


def test_a_missing_folder_on_the_way_is_what_is_named(places):
    here, _ = places
    (here / "photos").mkdir()
    (here / "photo.txt").touch()
    with pytest.raises(DataError, match=r"no folder photo in .*; did you mean 'photos'\? \(names there: photos\)"):
        find_path("images", "photo/cats", None, folder=True)


def test_a_folder_is_not_a_file_and_the_other_way_round(places):
    here, _ = places
    (here / "a").mkdir()
    (here / "x.csv").touch()
    with pytest.raises(DataError, match=r"is a folder, expected a file; for a folder of images: images:path="):
        find_path("table", "a", None)
    with pytest.raises(DataError, match=r"is a file, expected a folder; for .csv files: table:path="):
        find_path("images", "x.csv", None, folder=True)


@pytest.mark.parametrize(
    ("values", "indices", "names"),
    [
        ([7, 3, 7], [1, 0, 1], ("3", "7")),
        ([-1, 1, 1], [0, 1, 1], ("-1", "1")),
        ([2.0, 0.0, 2.0], [1, 0, 1], ("0", "2")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([b"b", b"a", b"b"], [1, 0, 1], ("a", "b")),
        ([10, 9, 10], [1, 0, 1], ("9", "10")),
    ],
)
def test_labels_become_indices_in_sorted_order(values, indices, names):
    encoded, class_names = encode_labels("x", np.array(values), 3)
    assert (encoded.tolist(), class_names) == (indices, names)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1], r"labels of shape \(2,\) for 3 examples; expected \(3,\)"),
        ([[1, 0], [0, 1], [1, 0]], r"labels of shape \(3, 2\) for 3 examples"),
        ([0.0, 0.5, 1.0], "whole numbers or words, but 0.5 is in row 1"),
        ([0.0, np.nan, 1.0], "whole numbers or words, but nan is in row 1"),
        ([1j, 2j, 3j], "of type complex128"),
    ],
)
def test_labels_that_are_none_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        encode_labels("x", np.array(values), 3)
