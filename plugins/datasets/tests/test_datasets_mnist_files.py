"""Does MNIST say what is missing, fetch it, and never trust a broken file? Nothing here reaches the network."""

import math
import socket
from pathlib import Path

import pytest
import torch
from intel_datasets import mnist

from intel_core import DataError, parse_spec
from intel_core.helpers.torchvision_compat import import_with_torchvision

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Offline:
    """Stands for torchvision's class on a machine without a network."""

    def __init__(self, root, train=True, download=False):
        (Path(root) / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
        assert socket.getdefaulttimeout() is not None, "a download may not hang for ever"
        print("noise")
        raise RuntimeError("Error downloading\n<urlopen error no route>")


class Complete:
    """Stands for torchvision's class, and writes complete files where asked to download."""

    def __init__(self, root, train=True, download=False):
        assert download, "what is there is read without torchvision, which is slow to import"
        for n, part in ((60_000, "train"), (10_000, "t10k")):
            write(root, f"{part}-images-idx3-ubyte", (n, 28, 28))
            write(root, f"{part}-labels-idx1-ubyte", (n,), bytes(torch.arange(n).remainder(10).byte()))


def write(root, name, shape, numbers=b""):
    """A file in the IDX format; numbers that are not given are 0, and take no room on the disk."""
    path = Path(root) / "MNIST" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + numbers)
        file.truncate(4 + 4 * len(shape) + math.prod(shape))


def test_a_machine_that_cannot_download_says_where_it_looked_and_what_to_do(load, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mnist, "_official", lambda official: Offline)
    with pytest.raises(DataError) as caught:
        load("mnist", tmp_path / "data")
    message = str(caught.value)
    for part in (FILES[0], str(tmp_path / "data" / "MNIST" / "raw"), "--data-dir", "INTEL_DATA_DIR", "no route"):
        assert part in message
    assert len(message.splitlines()) <= 2
    assert not (tmp_path / "data").exists(), "an attempt that failed leaves no empty folders"
    assert capsys.readouterr().out == ""
    assert socket.getdefaulttimeout() is None


def test_download_false_does_not_try(load, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_official", lambda official: pytest.fail("tried"))
    with pytest.raises(DataError, match=r"fashion_mnist: .* and download=false; .*FashionMNIST/raw by --data-dir"):
        load("fashion_mnist:download=false")


def test_only_what_is_missing_is_named(load, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in FILES[:3]:
        (raw / file).touch()
    with pytest.raises(DataError, match=f"mnist: {FILES[3]} is not in"):
        load("mnist:download=false")


def test_missing_files_are_downloaded_to_the_data_directory(load, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_official", lambda official: Complete)
    data = load("mnist")
    assert (tmp_path / "MNIST" / "raw" / FILES[0]).is_file()
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)


def test_without_any_directory_the_cache_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(mnist, "_official", lambda official: Complete)
    parse_spec("datasets", "mnist").load(None)
    assert (tmp_path / ".cache" / "intelvae" / "MNIST" / "raw" / FILES[0]).is_file()


@pytest.mark.parametrize("inner", ["", "MNIST", "MNIST/raw"])
def test_the_folder_may_be_named_from_outside_or_inside(inner, load, tmp_path):
    Complete(tmp_path, download=True)
    data = load(f"mnist:download=false,path={tmp_path / inner}", None)
    assert len(data.test) == 10_000


def test_a_path_of_its_own_goes_before_the_data_directory_and_must_exist(load, tmp_path):
    Complete(tmp_path / "mine", download=True)
    assert len(load("mnist:path=mine,download=false").test) == 10_000
    with pytest.raises(DataError, match=r"no folder mime .*did you mean 'mine'"):
        load("mnist:path=mime")
    assert not (tmp_path / "mime").exists()


def test_a_class_with_too_few_images_is_named(load, tmp_path):
    Complete(tmp_path, download=True)
    labels = torch.arange(60_000) % 10
    labels[(labels == 5).nonzero()[80:]] = 4
    write(tmp_path, FILES[1], (60_000,), bytes(labels.byte()))
    with pytest.raises(DataError, match=r"needs 5500 training images per class, class 5 has 80; .*split=paper"):
        load("mnist:split=balanced,classes=[1,5]")


def test_damaged_files_are_named_and_pickles_beside_them_are_not_opened(load, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    for folder, files in (("raw", FILES), ("processed", ("training.pt", "test.pt"))):
        (tmp_path / "MNIST" / folder).mkdir(parents=True)
        for file in files:
            (tmp_path / "MNIST" / folder / file).write_bytes(b"\0\0\x08\x03 not images")
    with pytest.raises(DataError, match=r"a file in .*raw is damaged .*delete it and fetch it again"):
        load("mnist:download=false")


def test_a_set_of_another_size_is_not_mistaken_for_mnist(load, tmp_path):
    Complete(tmp_path, download=True)
    write(tmp_path, FILES[0], (100, 28, 28))
    with pytest.raises(DataError, match=r"shape \(100, 28, 28\).*expected \(60000, 28, 28\)"):
        load("mnist")


def test_a_file_that_was_cut_off_is_damaged(load, tmp_path):
    Complete(tmp_path, download=True)
    with (tmp_path / "MNIST" / "raw" / FILES[2]).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match=r"damaged \(t10k-images-idx3-ubyte has 984 numbers, expected 7840000\)"):
        load("mnist")


def test_files_are_read_as_torchvision_reads_them(tmp_path):
    write(tmp_path, FILES[0], (60_000, 28, 28), bytes(range(256)) * 20)
    write(tmp_path, FILES[1], (60_000,), bytes(torch.arange(60_000).remainder(10).byte()))
    write(tmp_path, FILES[2], (10_000, 28, 28))
    write(tmp_path, FILES[3], (10_000,))
    theirs = mnist._official("MNIST")(tmp_path, train=True, download=False)
    ours = mnist._read("mnist", "MNIST", tmp_path, train=True)
    assert torch.equal(ours.x.squeeze(1), theirs.data)
    assert torch.equal(ours.labels, theirs.targets)


def test_the_class_used_is_torchvisions_and_reads_its_folder(tmp_path):
    official = mnist._official("FashionMNIST")
    assert issubclass(official, import_with_torchvision("torchvision.datasets").FashionMNIST)
    assert official.__name__ == "FashionMNIST"
