"""A small finished run, and what it is packed into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from intel_hub.packing import pack
from torch import Tensor

from intel_core import Run, fit

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
USUAL: dict[str, Any] = {"latent": 2, "steps": 20, "log_every": 5, "batch_size": 10, "device": "cpu", "start": "none"}
USUAL |= {"network": "mlp:hidden=[8]", "mapping": "cluster:k=2"}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(data=X, name="two-clouds", run_dir=tmp_path_factory.mktemp("hub") / "run", **USUAL)


@pytest.fixture(scope="session")
def packed(run: Run) -> bytes:
    return pack(run)


@pytest.fixture(scope="session")
def changed(packed: bytes) -> Callable[..., bytes]:
    """The packed run with something changed in what it says or in its tensors, and the checksum of these."""
    from intel_hub.packing import _digest, read_packed

    def change(
        said: Callable[[dict[str, Any]], Any] = lambda said: None,
        tensors: Callable[[dict[str, Tensor]], Any] = lambda found: None,
    ) -> bytes:
        held, found = read_packed(packed), safetensors.torch.load(packed)
        tensors(found)
        held["sha256"] = _digest(found)
        said(held)
        return safetensors.torch.save(found, metadata={"intelvae": json.dumps(held)})

    return change


@pytest.fixture
def given(tmp_path: Path) -> Callable[[bytes], Path]:
    """A folder with a file of that content, as somebody hands it over."""

    def put(content: bytes) -> Path:
        folder = tmp_path / "given"
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(content)
        return folder

    return put
