"""Does MNIST say what is missing, fetch it, and never trust a broken file? Nothing here reaches the network."""

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
    """Stands for torchvision's class with complete files, and writes them where asked to download."""

    def __init__(self, root, train=True, download=False):
        folder = Path(root) / "MNIST" / "raw"
        if download:
            folder.mkdir(parents=True)
            for file in FILES:
                (folder / file).touch()
        n = 60_000 if train else 10_000
        self.data = torch.zeros(n, 28, 28, dtype=torch.uint8)
        self.targets = torch.arange(n) % 10


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
def test_the_folder_may_be_named_from_outside_or_inside(inner, load, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_official", lambda official: Complete)
    Complete(tmp_path, download=True)
    data = load(f"mnist:download=false,path={tmp_path / inner}", None)
    assert len(data.test) == 10_000


def test_a_path_of_its_own_goes_before_the_data_directory_and_must_exist(load, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_official", lambda official: Complete)
    Complete(tmp_path / "mine", download=True)
    assert len(load("mnist:path=mine,download=false").test) == 10_000
    with pytest.raises(DataError, match=r"no folder mime .*did you mean 'mine'"):
        load("mnist:path=mime")
    assert not (tmp_path / "mime").exists()


def test_a_class_with_too_few_images_is_named(load, tmp_path, monkeypatch):
    def few(official):
        class Few(Complete):
            def __init__(self, root, train=True, download=False):
                super().__init__(root, train)
                self.targets[self.targets == 5] = torch.where(torch.arange(int((self.targets == 5).sum())) < 80, 5, 4)

        return Few

    Complete(tmp_path, download=True)
    monkeypatch.setattr(mnist, "_official", few)
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


def test_a_set_of_another_size_is_not_mistaken_for_mnist(load, tmp_path, monkeypatch):
    class Short(Complete):
        def __init__(self, root, train=True, download=False):
            super().__init__(root, train)
            self.data = self.data[:100]

    Complete(tmp_path, download=True)
    monkeypatch.setattr(mnist, "_official", lambda official: Short)
    with pytest.raises(DataError, match=r"shape \(100, 28, 28\).*expected \(60000, 28, 28\)"):
        load("mnist")


def test_the_class_used_is_torchvisions_and_reads_its_folder(tmp_path):
    official = mnist._official("FashionMNIST")
    assert issubclass(official, import_with_torchvision("torchvision.datasets").FashionMNIST)
    assert official.__name__ == "FashionMNIST"
