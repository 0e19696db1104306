"""Runs with each installed prior and posterior, for `test_rivals_in_runs.py`, and a script that two processes run.

``torchrun ... sharing_rivals.py FOLDER`` makes each in FOLDER/two, and its weights after five steps in float64.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from intel_core import fit
from intel_core.processes.starting import is_first, joined
from intel_core.training.process_group import ProcessGroup

ROWS: dict[str, dict[str, Any]] = {
    "prior flow": {"prior": "flow:hidden=[8]"},
    "prior gmvae": {"prior": "gmvae:k=3,w=1,hidden=8", "mapping": "first:keep=2"},
    "prior mog": {"prior": "mog:k=3"},
    "prior sparse_mixture": {"prior": "sparse_mixture"},
    "prior spike_slab": {"prior": "spike_slab", "posterior": "spike_slab"},
    "prior vamp": {"prior": "vamp:components=5"},
    "posterior flow": {"posterior": "flow:hidden=[8],context=4"},
    "posterior full": {"posterior": "full"},
    "posterior spike_slab": {"prior": "spike_slab", "posterior": "spike_slab:sharpness=20"},
    "posterior sylvester": {"posterior": "sylvester:flows=2,rank=2"},
    "both": {"prior": "mog:preset=learned,k=3,means=simplex", "posterior": "sylvester:flows=2,rank=2"},
}
"""What differs from the smallest run: a row for each prior and posterior that is installed."""


def sharing_steps() -> ModuleType:
    """The script of `tests/processes`, as a module."""
    path = Path(__file__).parents[1] / "processes" / "sharing_steps.py"
    spec = importlib.util.spec_from_file_location("sharing_steps", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(folder: Path, processes: ProcessGroup) -> None:
    """Every run, and its exact steps."""
    shared = sharing_steps()
    for name, settings in ROWS.items():
        shared.CASES[name] = {**shared.DENSE, **settings}
        fit(run_dir=folder / name, **shared.CASES[name])
        state = shared.exact_steps(name, processes)
        if is_first():
            torch.save(state, folder / f"{name}.pt")


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with joined(1, 1, "cpu") as processes:
        make(Path(sys.argv[1]) / "two", processes)
