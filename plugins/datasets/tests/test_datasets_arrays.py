"""Are NumPy files read as they are, or refused with a reason? And never unpickled?"""

import pickle

import numpy as np
import pytest
import torch
from intel_datasets.arrays import read_npy

from intel_core import DataError, DatasetSpec

RNG = np.random.default_rng(0)


def everything(data):
    return torch.cat([data.train.x, data.validation.x, data.test.x])


def test_all_rows_are_there_once_with_their_labels(load, tmp_path):
    x = np.arange(200.0).reshape(100, 2)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array(["even", "odd"])[np.arange(100) % 2])
    data = load("arrays:path=x.npy,labels=y.npy,test=0.2,standardize=false")
    assert (len(data.train), len(data.validation), len(data.test)) == (70, 10, 20)
    assert sorted(everything(data)[:, 0].tolist()) == x[:, 0].tolist()
    assert data.class_names == ("even", "odd")
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.labels, (part.x[:, 0] / 2).long() % 2)


@pytest.mark.parametrize(
    ("x", "shape", "dtype", "support"),
    [
        (RNG.normal(size=(20, 3)), (3,), torch.float32, "real"),
        (RNG.normal(size=(20,)), (1,), torch.float32, "real"),
        (RNG.random((20, 4, 5)).astype(np.float16), (1, 4, 5), torch.float32, "unit"),
        (RNG.integers(0, 256, (20, 3, 4, 5)).astype(np.uint8), (3, 4, 5), torch.uint8, "unit"),
        (RNG.integers(0, 256, (20, 2)).astype(np.uint16), (2,), torch.float32, "real"),
        (RNG.integers(0, 2, (20, 6)).astype(bool), (6,), torch.float32, "binary"),
        (RNG.normal(size=(3, 20)).T, (3,), torch.float32, "real"),
        (RNG.normal(size=(20, 3)).astype(">f8"), (3,), torch.float32, "real"),
    ],
)
def test_shapes_types_and_supports(x, shape, dtype, support, load, tmp_path):
    np.save(tmp_path / "x.npy", x)
    data = load("arrays:path=x.npy,standardize=false")
    assert (data.x_shape, data.train.x.dtype, data.support) == (shape, dtype, support)
    assert everything(data).double().sum().item() == pytest.approx(x.astype(float).sum(), rel=1e-3, abs=1e-3)


def test_bytes_of_zero_and_one_are_binary_images_not_black_ones(load, tmp_path):
    x = RNG.integers(0, 2, (20, 4, 4)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    data = load("arrays:path=x.npy")
    assert data.support == "binary"
    assert everything(data).unique().tolist() == [0, 255]


def test_counts_and_grey_values_are_standardised_unless_told_otherwise(load, tmp_path):
    counts = RNG.poisson(60, (40, 3))
    np.save(tmp_path / "x.npy", counts)
    with pytest.warns(UserWarning, match=r"x.npy: column \d is .* so each column was standardised"):
        data = load("arrays:path=x.npy")
    assert data.scaling is not None
    assert torch.equal(data.train.x, load("arrays:path=x.npy,standardize=true").train.x)
    assert load("arrays:path=x.npy,standardize=false").train.x.max() == counts.max()


def test_a_text_of_a_former_version_means_what_it_meant(load, tmp_path):
    np.save(tmp_path / "x.npy", RNG.poisson(60, (40, 3)))
    text = "arrays:path=x.npy,key=null,labels_key=null,labels=null,validation=0.1,test=0.1,split_seed=0"
    assert load(text).scaling is None


def test_an_npz_is_read_by_name(load, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(20.0), digit=np.arange(20) % 2 + 5, other=np.zeros(3))
    data = load("arrays:path=a.npz,labels_key=digit,standardize=false")
    assert (data.x_shape, data.class_names) == ((1,), ("5", "6"))
    assert torch.equal(data.train.labels, data.train.x[:, 0].long() % 2)
    assert load("arrays:path=a.npz,key=digit").train.x.max() == 6


def test_the_only_array_besides_the_labels_needs_no_name(load, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", pixels=np.arange(20.0), y=np.arange(20) % 2)
    assert load("arrays:path=a.npz,labels_key=y,standardize=true").train.labels is not None


def test_a_npy_file_is_mapped_not_copied_and_never_changed(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0))
    before = (tmp_path / "x.npy").read_bytes()
    x = read_npy(tmp_path / "x.npy")
    assert isinstance(x, np.memmap)
    x[0] = 99
    x.flush()
    assert (tmp_path / "x.npy").read_bytes() == before


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickled_objects_are_refused_without_running_them(load, tmp_path):
    np.save(tmp_path / "objects.npy", np.array([Bomb()] * 5, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([Bomb()] * 5, dtype=object))
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb()))
    np.save(tmp_path / "x.npy", np.arange(5.0))
    for text in ("path=objects.npy", "path=objects.npz", "path=plain.npy", "path=x.npy,labels=objects.npy"):
        with pytest.raises(DataError, match=r"pickled objects are never loaded"):
            load(f"arrays:{text}")


def save(name, x):
    return lambda folder: np.save(folder / name, x)


def two_arrays(folder):
    np.savez(folder / "a.npz", train=np.zeros((5, 2)), test=np.zeros((5, 2)))


def cut_short(folder):
    np.save(folder / "x.npy", np.arange(1000.0))
    (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:500])


def npz_cut_short(folder):
    np.savez(folder / "a.npz", x=np.arange(1000.0))
    (folder / "a.npz").write_bytes((folder / "a.npz").read_bytes()[:500])


def misnamed(folder):
    np.savez(folder / "x.npz", x=np.arange(5.0))
    (folder / "x.npz").rename(folder / "x.npy")


def with_nan(folder):
    x = np.zeros((10, 2))
    x[7, 1] = np.nan
    np.save(folder / "x.npy", x)


def short_labels(folder):
    np.save(folder / "x.npy", np.arange(10.0))
    np.save(folder / "y.npy", np.arange(9))


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (save("xs.npy", np.zeros(3)), "path=x.npy", r"no file x.npy in .*did you mean 'xs.npy'"),
        (
            lambda folder: (folder / "x.csv").touch(),
            "path=x.csv",
            r"expected .npy or .npz; for .csv files: table:path=",
        ),
        (lambda folder: (folder / "x.txt").touch(), "path=x.txt", r"x.txt ends in .txt, expected .npy or .npz$"),
        (lambda folder: (folder / "x.npy").touch(), "path=x.npy", r"x.npy cannot be read"),
        (cut_short, "path=x.npy", r"x.npy cannot be read"),
        (npz_cut_short, "path=a.npz", r"a.npz"),
        (misnamed, "path=x.npy", r"rename it to x.npz"),
        (two_arrays, "path=a.npz", r"several arrays or none \(train, test\); choose one with key="),
        (two_arrays, "path=a.npz,key=tain", r"no array key=tain; did you mean 'train'"),
        (two_arrays, "path=a.npz,key=train,labels_key=y", r"no array labels_key=y; arrays: test, train"),
        (save("x.npy", np.arange(5.0)), "path=x.npy,key=x", r"key is for .npz files.*leave key out"),
        (save("x.npy", np.arange(5.0)), "path=x.npy,labels_key=x", r"labels_key is for .npz files"),
        (save("x.npy", np.zeros((0, 3))), "path=x.npy", r"x.npy: 0 examples are too few"),
        (save("x.npy", np.zeros((5, 0))), "path=x.npy", r"are empty"),
        (save("x.npy", np.ones((9, 2))), "path=x.npy", r"every value is 1; constant"),
        (save("x.npy", np.zeros((5, 2), np.uint8)), "path=x.npy", r"every value is 0; constant"),
        (save("x.npy", np.zeros((5, 2, 2, 2, 2))), "path=x.npy", r"expected \(n, D\) for vectors or \(n, C, H, W\)"),
        (save("x.npy", np.float64(3)), "path=x.npy", r"x.npy: shape \(\)"),
        (save("x.npy", np.array(["a", "b"])), "path=x.npy", r"of type <U1, expected numbers"),
        (with_nan, "path=x.npy", r"1 of 10 examples hold NaN or infinity, the first is row 7"),
        (short_labels, "path=x.npy,labels=y.npy", r"labels of shape \(9,\) for 10 examples; expected \(10,\)"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(make, text, message, load, tmp_path):
    make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load(f"arrays:{text}")
    assert len(str(caught.value).splitlines()) <= 2


def test_the_spec_has_a_load_of_its_own():
    from intel_datasets.specs.own import ArraysSpec

    assert ArraysSpec.load is not DatasetSpec.load
