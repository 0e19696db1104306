"""What one process and several must agree on: the runs of `test_distributed.py`, and a script that makes them.

``python sharing_steps.py FOLDER GROUP`` makes those of a group in FOLDER, by as many processes as torchrun starts.
``python sharing_steps.py FOLDER FAULT`` starts two processes by itself, and something goes wrong in the second one.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from intel_core import IntelError, MappingSpec, RunError, StopReason, fit, hookimpl, register, resume
from intel_core.data.batches import Resident
from intel_core.data.values import to_float
from intel_core.fitting.arguments import prepare, read_arguments
from intel_core.fitting.setting_up import make_trainer
from intel_core.processes.starting import is_first, joined
from intel_core.recipe.building import build_model
from intel_core.training.hooks import hook_manager
from intel_core.training.process_group import ProcessGroup
from intel_core.training.trainer import Trainer

VECTORS = torch.randn(240, 3, generator=torch.Generator().manual_seed(0))
VECTORS[:, 0] += 3 * (VECTORS[:, 1] > 0)
IMAGES = torch.randint(0, 256, (120, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
OUTLIER = VECTORS.clone()
OUTLIER[7] = 1e30


class Spread(nn.Module):
    """A stranger's mapping, whose loss looks at pairs of rows: no mean over rows of anything."""

    def __init__(self, y_dim: int) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.scale = nn.Parameter(torch.ones(y_dim))
        self.unused = nn.Parameter(torch.ones(2))
        self.regularisers = {"spread": 0.5}

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.scale

    def map_with_regularisers(self, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        z = self(y)
        rows = z.flatten(0, -2)
        return z, {"spread": torch.exp(-(rows[:, None] - rows).square().sum(-1)).mean().log()}


class SpreadSpec(MappingSpec):
    """See `Spread`."""

    def build(self, y_dim: int) -> Spread:
        return Spread(y_dim)


class Failing(Spread):
    """Fails on the second of two processes, one way or another, at some step."""

    calls = 0
    fault = ""

    def map_with_regularisers(self, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        Failing.calls += self.training
        if Failing.calls == 5 and os.environ.get("LOCAL_RANK") == "1":
            if self.fault == "dies":
                os._exit(0)
            if self.fault == "raises":
                raise RunError("the disk of this machine is full")
            raise ZeroDivisionError("a bug")
        return super().map_with_regularisers(y)


class FailingSpec(MappingSpec):
    """See `Failing`."""

    def build(self, y_dim: int) -> Failing:
        return Failing(y_dim)


class StopAt:
    """Asks for the end at some step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def evaluated(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            trainer.stop(StopReason("signal TEST", "signal"))


SMALL = {"batch_size": 24, "steps": 30, "evaluate_every": 10, "log_every": 7, "device": "cpu", "seed": 3}
DENSE = {**SMALL, "latent": 3, "encoder": "mlp:hidden=[16]", "data": VECTORS, "likelihood": "gaussian"}
CONV = {**SMALL, "latent": 2, "encoder": "conv:channels=[4,8]", "data": IMAGES, "precision": "float32"}
CASES: dict[str, dict[str, Any]] = {
    "identity": {**DENSE},  # with the warm-up of the KL term that vectors get
    "clipped": {**DENSE, "clip_norm": 0.2},
    "sparse": {**DENSE, "mapping": "sparse:gamma=30"},
    "paper": {**DENSE, "mapping": "sparse:gamma=30,normalisation=paper,target=latent"},
    "composed": {**DENSE, "mapping": ["cluster:k=2,dims=0-1", "sparse:gamma=5"], "start": "none"},
    # Its strength grows over half a run.
    "cluster": {**DENSE, "mapping": "cluster:k=3,learnable=false", "start": "none"},
    "learned": {**DENSE, "mapping": "cluster:k=3,learnable=true", "start": "none"},
    "started": {**DENSE, "mapping": "cluster:k=3", "start": "mixture:fits=2,hold=0.5"},
    "started prior": {**DENSE, "prior": "mog:k=3,preset=learned", "start": "mixture:fits=2,hold=0.5"},
    "few labels": {**DENSE, "mapping": "cluster:k=2", "start": "labels:count=20", "labels": VECTORS[:, 1] > 0},
    "started conv": {**CONV, "mapping": "cluster:k=3", "start": "kmeans:fits=2"},
    "iwae": {**DENSE, "mapping": "sparse:gamma=5", "objective": "iwae:particles=3"},
    "in z": {**DENSE, "mapping": "circle"},
    "stranger": {**DENSE, "mapping": "spread"},
    "conv": {**CONV},
    "stopping": {**DENSE, "patience": 1, "learning_rate": 0.3, "evaluate_every": 2, "schedules": {"kl": "constant"}},
    "restarts": {**DENSE, "restarts": 2},
    "averaged": {**DENSE, "optimizer": "adam:ema=0.9,accumulate=2"},
    "conditions": {**DENSE, "mapping": "circle", "conditions": {"batch": ["a", "b", "c"] * 80}},
    "saving": {**DENSE, "save_minutes": 1e-9, "keep_checkpoints": 40},
}
EXACT = ("identity", "sparse", "paper", "iwae", "in z", "stranger", "learned", "conv")
FIRST = ("identity", "sparse", "stranger", "learned", "conv", "stopping", "started")
GROUPS = {"first": FIRST, "rest": tuple(case for case in CASES if case not in FIRST)}
"""What `make test` compares, and what `make test-all` compares beside it."""


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def exact_steps(case: str, processes: ProcessGroup, *, gathering: bool = True) -> dict[str, torch.Tensor]:
    """The weights and buffers after five steps in float64."""
    settings = dict(CASES[case])
    asked, given = read_arguments(None, settings.pop("data"), None, settings)
    spec, dataset = prepare(asked, None, given)
    model = build_model(spec, dataset.x_shape).double()
    trainer = make_trainer(spec, dataset, hook_manager(), processes, model=model)
    trainer.batches = Resident(to_float(dataset.train.x).double(), trainer.rows)
    if not gathering:
        model.__dict__.pop("map", None)
    with double():
        for _ in range(5):
            trainer.take_step(*trainer.draw())
    return {name: value.clone() for name, value in model.state_dict().items()}


def make(folder: Path, processes: ProcessGroup, group: str) -> None:
    """Every run of a group, and its exact steps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="mapping.unused: no gradient")
        for case in GROUPS[group]:
            fit(run_dir=folder / case, **CASES[case])
    for case in EXACT:
        if case in GROUPS[group]:
            state = exact_steps(case, processes)
            if is_first():
                torch.save(state, folder / f"{case}.pt")
    if group == "first":
        make_interrupted(folder, processes)


def make_interrupted(folder: Path, processes: ProcessGroup) -> None:
    """Steps with a process's own rows alone, two runs that another number of processes ends, one that diverges."""
    if processes.size > 1:
        state = exact_steps("sparse", processes, gathering=False)
        if is_first():
            torch.save(state, folder / "ungathered.pt")
    fit(run_dir=folder / "interrupted", hooks=[StopAt(20)], **CASES["sparse"])
    fit(run_dir=folder / "pulled", hooks=[StopAt(10)], **CASES["started"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*far from the scale")
        try:
            fit(run_dir=folder / "diverged", **{**DENSE, "data": OUTLIER, "standardize": False})
        except IntelError as error:
            if is_first():
                (folder / "diverged.txt").write_text(str(error))


register("mappings", "spread", SpreadSpec)
register("mappings", "failing", FailingSpec)

if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=ResourceWarning, message="Implicitly cleaning up")  # torch 2.6's own
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what not in GROUPS:
        Failing.fault = what
        try:
            fit(mapping="failing", run_dir=folder, devices=2, **DENSE)
        except IntelError as error:
            print(f"process {int(not is_first())} ended: {error}", flush=True)
        sys.exit()
    with joined(1, 1, "cpu") as processes:
        make(folder / "two", processes, what)
        if what == "first":
            resume(folder / "one" / "interrupted", data=VECTORS)
            resume(folder / "one" / "pulled", data=VECTORS)
