"""What the tests share: a small run on scikit-learn's digits, trained once, and a cache of its own."""

from types import SimpleNamespace

import pytest
import torch

from intel_core import Dataset, Subject, fit, make_dataset


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A clustering run on digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return fit(mapping="cluster:k=3", data="digits", steps=200, run_dir=folder, device="cpu")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """One cache for all tests, so that a classifier is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def digits(digits_run, cache_dir):
    """The run as a subject."""
    return Subject(digits_run, cache_dir=cache_dir)


@pytest.fixture
def subject_of(tmp_path):
    """Subjects of given examples that no model was trained for: what it would generate is given as well."""

    def make(x, labels=None, generated=None, **settings):
        data = x if isinstance(x, Dataset) else make_dataset("made up", x, labels, **{"standardize": False, **settings})
        run = SimpleNamespace(
            fingerprint=data.train.fingerprint(),
            require_its_data=lambda dataset: None,
            path=tmp_path,
            model_device=torch.device("cpu"),
            spec=SimpleNamespace(data=SimpleNamespace()),
        )
        subject = Subject(run, dataset=data, cache_dir=tmp_path / "cache")
        if generated is not None:
            subject.generated = lambda n, *, seed=0: generated[:n]
        return subject

    return make


@pytest.fixture
def stripes():
    """Images 8x8 of two classes, left or right half bright, as bytes, and their labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    x = torch.randint(0, 100, (400, 1, 8, 8), generator=generator)
    x[labels == 0, :, :, :4] += 100
    x[labels == 1, :, :, 4:] += 100
    return x.to(torch.uint8), labels
