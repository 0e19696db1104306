"""What the tests share: a loader from text, and where real MNIST may be."""

import os
from pathlib import Path

import pytest

from intel_core import parse_spec


@pytest.fixture
def load(tmp_path):
    """Load a data set from its text form, with the test's own folder as data directory."""

    def load_text(text, data_dir=tmp_path):
        return parse_spec("datasets", text).load(data_dir)

    return load_text


@pytest.fixture
def real_data():
    """The folder that holds MNIST/raw and FashionMNIST/raw; nothing is ever downloaded by a test."""
    beside_the_repository = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = Path(os.environ.get("INTEL_DATA_DIR", beside_the_repository))
    for name in ("MNIST", "FashionMNIST"):
        if not (folder / name / "raw" / "train-images-idx3-ubyte").is_file():
            pytest.skip(f"real {name} is not in {folder}; set INTEL_DATA_DIR to a folder that holds {name}/raw")
    return folder
