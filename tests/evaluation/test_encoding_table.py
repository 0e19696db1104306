"""Does a frame that is encoded come back as a frame of the same library, with its index and the cluster of each row?"""

import pickle

import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch

from intel_core import DataError, fit, load_run, make_dataset
from intel_core.runs.contents import RunContent

X = np.random.default_rng(0).normal(size=(60, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"], index=[f"row {i}" for i in range(60)])
SMALL = {"steps": 4, "batch_size": 10, "encoder": "mlp:hidden=[6]", "device": "cpu"}
COLUMNS = [f"{name}{i}" for name in ("mean", "std", "y", "z", "z_mean") for i in range(2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return fit(data=FRAME, mapping="cluster:k=3", latent=2, run_dir=folder, **SMALL)


def test_a_frame_of_pandas_keeps_its_index(run):
    encoding = run.encode(FRAME)
    table = encoding.to_frame()
    assert list(table.columns) == [*COLUMNS, "cluster", "cluster_probability"]
    assert table.index.equals(FRAME.index)
    for name in ("mean", "std", "y", "z", "z_mean"):
        assert np.array_equal(table[[f"{name}0", f"{name}1"]].to_numpy(), getattr(encoding, name).numpy())
    assert table["cluster"].tolist() == encoding.cluster.tolist()
    assert table["cluster_probability"].tolist() == encoding.cluster_probability.tolist()
    turned = run.encode(FRAME.iloc[::-1])
    torch.testing.assert_close(turned.mean, encoding.mean.flip(0))
    assert turned.to_frame().index.equals(FRAME.index[::-1])


def test_frames_of_other_libraries_stay_theirs(run):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(FRAME.to_dict("list"))
    expected = run.encode(FRAME).to_frame()
    for given in (frame, frame.lazy()):
        table = run.encode(given).to_frame()
        assert isinstance(table, polars.DataFrame)
        assert np.array_equal(table["z_mean0"].to_numpy(), expected["z_mean0"])
    table = run.encode(pyarrow.table(FRAME)).to_frame()
    assert isinstance(table, pyarrow.Table)
    assert table.column_names == list(expected.columns)


def test_the_column_that_names_the_rows_is_kept(tmp_path):
    frame = FRAME.assign(who=[f"p{i}" for i in range(60)])
    run = fit(data=frame, id="who", latent=2, run_dir=tmp_path / "run", **SMALL)
    table = run.encode(frame[5:9]).to_frame()
    assert list(table.columns) == ["who", *COLUMNS]
    assert table["who"].tolist() == ["p5", "p6", "p7", "p8"]
    assert table.index.equals(FRAME.index[5:9])
    polars = pytest.importorskip("polars")
    assert run.encode(polars.DataFrame(frame.to_dict("list"))).to_frame()["who"].to_list() == frame["who"].tolist()
    assert list(run.encode(FRAME).to_frame().columns) == COLUMNS


@pytest.mark.parametrize("given", [X, X[0], X.tolist(), FRAME.iloc[3]], ids=["array", "row", "list", "row of a frame"])
def test_what_has_no_index_is_counted(given, run):
    table = run.encode(given).to_frame()
    assert list(table.index) == list(range(len(table)))


def test_a_split_and_a_copy_are_frames_too(run):
    assert len(run.encode(make_dataset("x", FRAME).test).to_frame()) == 6
    assert len(pickle.loads(pickle.dumps(run.encode(X))).to_frame()) == 60


def test_a_run_without_clusters_has_no_column_of_them(tmp_path):
    run = fit(data=FRAME, latent=2, run_dir=tmp_path / "run", **SMALL)
    assert list(run.encode(FRAME).to_frame().columns) == COLUMNS


def test_gaps_are_filled_in_as_they_were_in_the_training_data(tmp_path):
    gaps = FRAME.copy()
    gaps.iloc[3, 0] = gaps.iloc[5, 2] = np.nan
    fit(data=gaps, missing="median", latent=2, run_dir=tmp_path / "run", **SMALL)
    run = load_run(tmp_path / "run")
    fill = run.info["data"]["missing"]["values"]
    new = FRAME[:4].copy()
    new.iloc[1, 1] = np.nan
    whole = new.fillna({"b": fill[1]})
    assert torch.equal(run.encode(new).mean, run.encode(whole).mean)
    assert run.took(dataset=gaps).headline
    plain = fit(data=FRAME, latent=2, run_dir=tmp_path / "plain", **SMALL)
    with pytest.raises(DataError, match=r"in 1 of 4 rows, first in row 1; missing in 'b' \(1 row\): leave these out"):
        plain.encode(new)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"missing": {"by": "guess", "values": []}}, "missing.by"),
        ({"missing": {"by": "mean", "values": [1.0]}}, "missing.values has 1 entries, expected 3"),
        ({"missing": {"by": "mean", "values": [1.0, float("nan"), 2.0]}}, "missing.values"),
        ({"reader": ["frame"]}, "reader"),
    ],
)
def test_what_a_strange_directory_says_about_reading_is_checked(change, said, run):
    info = {**run.info, "data": {**run.info["data"], **change}}
    with pytest.raises(ValueError, match=said):
        RunContent.model_validate(info)


@pytest.mark.parametrize("reader", ["frame:@/etc/passwd", "no-such:a=1", "frame:label=[", "parts", "x" * 1000])
def test_a_reader_that_means_nothing_is_left_out(reader, tmp_path):
    run = fit(data=FRAME, latent=2, run_dir=tmp_path / "run", **SMALL)
    expected = run.encode(FRAME).mean
    run.info["data"]["reader"] = reader
    again = type(run)(run._folder, run.model, info=run.info)
    assert torch.equal(again.encode(FRAME).mean, expected)


def test_gaps_that_training_left_out_are_to_be_left_out_again(tmp_path):
    gaps = FRAME.copy()
    gaps.iloc[4, 1] = np.nan
    run = fit(data=gaps, missing="drop", mapping="identity", latent=2, run_dir=tmp_path / "run", **SMALL)
    with pytest.raises(DataError, match=r"missing in 'b' \(1 row\): its training left such rows out \(missing=drop\)"):
        run.encode(gaps)


def test_names_that_several_rows_have_are_told(tmp_path):
    twice = FRAME.assign(name=["p", "q", "p", *map(str, range(57))])
    with pytest.warns(UserWarning, match=r"column 'name' \(id\) has 59 names for 60 rows; 'p' is that of 2"):
        fit(data=twice, id="name", mapping="identity", latent=2, run_dir=tmp_path / "run", **SMALL)
