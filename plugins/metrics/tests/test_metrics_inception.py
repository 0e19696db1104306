"""Inception features: from a local file and never from the net, with pytorch-fid's network and preprocessing."""

import hashlib
from unittest import mock

import numpy as np
import pytest
import torch
from intel_metrics.inception import WEIGHTS, InceptionExtractor, find_weights

from intel_core import NotApplicableError, RunError
from intel_core.helpers.torchvision_compat import import_with_torchvision


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights, and the network that has them."""
    pytest.importorskip("pytorch_fid")
    home = import_with_torchvision("pytorch_fid.inception")

    def nothing_loaded(self, state):
        return None

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with (
            mock.patch.object(home, "load_state_dict_from_url", return_value={}),
            mock.patch.object(torch.nn.Module, "load_state_dict", nothing_loaded),
        ):
            network = home.fid_inception_v3()
            for value in network.parameters():  # a random network of this depth says nothing without its scales
                if value.dim() > 1:
                    torch.nn.init.kaiming_normal_(value)
    path = tmp_path_factory.mktemp("weights") / WEIGHTS
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def extract(weights):
    return InceptionExtractor(weights)


def images(n, channels, size, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def reference(weights, x):
    """pytorch-fid's own path from an image in [0, 1] to 2048 features, its weights put in afterwards."""
    home = import_with_torchvision("pytorch_fid.inception")
    state = torch.load(weights, weights_only=True)
    with mock.patch.object(home, "load_state_dict_from_url", return_value=state):
        network = home.InceptionV3([3]).eval()
    with torch.no_grad():
        return network(x)[0].squeeze(-1).squeeze(-1).numpy()


def test_features_are_those_of_pytorch_fid(weights, extract):
    x = images(3, 3, 24)
    found = extract(x)
    assert found.dtype == np.float64
    assert found.shape == (3, 2048)
    assert found.std() > 1e-3
    assert found == pytest.approx(reference(weights, x), rel=1e-5, abs=1e-6)


def test_grey_images_have_three_equal_channels(extract):
    x = images(2, 1, 28)
    assert extract(x) == pytest.approx(extract(x.repeat(1, 3, 1, 1)), abs=1e-6)


def test_images_are_not_normalised_one_by_one(extract):
    x = images(1, 1, 28)
    assert np.abs(extract(x) - extract(0.5 * x)).max() > 1e-3


def test_it_says_which_weights_it_has(weights, extract):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert extract.hash == digest[:16]
    assert extract.description["hash"] == extract.hash
    assert extract.description["official weights"] is False


def test_other_channels_are_refused(extract):
    with pytest.raises(NotApplicableError, match="1 or 3 channels, these images have 2"):
        extract(images(1, 2, 8))


def test_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.delenv("INTEL_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(NotApplicableError, match=r"pt_inception-2015-12-05-6726825d\.pth") as caught:
        find_weights()
    assert str(tmp_path / "checkpoints") in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_where_weights_are_looked_for(monkeypatch, tmp_path):
    named, from_environment = tmp_path / "a.pth", tmp_path / "b.pth"
    usual = tmp_path / "checkpoints" / WEIGHTS
    usual.parent.mkdir()
    for path in (named, from_environment, usual):
        path.touch()
    monkeypatch.delenv("INTEL_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_weights() == usual
    monkeypatch.setenv("INTEL_INCEPTION", str(from_environment))
    assert find_weights() == from_environment
    assert find_weights(str(named)) == named
    with pytest.raises(NotApplicableError, match=r"no file 'c\.pth'"):
        find_weights("c.pth")


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04."])
def test_a_file_that_is_something_else(tmp_path, content):
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    with pytest.raises(RunError, match="does not hold the weights"):
        InceptionExtractor(path)


class Harmful:
    """What unpickling would run."""

    def __reduce__(self):
        return (pytest.fail, ("the file's code was run",))


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / WEIGHTS
    torch.save({"weights": Harmful()}, path)
    with pytest.raises(RunError, match="does not hold the weights"):
        InceptionExtractor(path)


def test_weights_of_another_network(tmp_path):
    pytest.importorskip("pytorch_fid")
    path = tmp_path / WEIGHTS
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(RunError, match="does not hold the weights"):
        InceptionExtractor(path)
