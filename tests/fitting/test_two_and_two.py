"""Two epochs and two more are four epochs, bit for bit, for every installed mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from intel_core import Run, fit, resume
from intel_core.components.discovery import available

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 3
PER_EPOCH = 4
TABLE = {
    "identity": 2,
    "circle": 2,
    "sphere": 3,
    "torus": 4,
    "holes:h=3": 2,
    "cluster:k=3": 2,
    "cluster:k=3,learnable=true": 2,
    "cluster:k=3,learnable=true,estimator=pathwise": 2,
    "sparse:hidden=[4]": 4,
    "first:keep=2": 4,
    "lsp": 3,
    "hierarchy:levels=2": 4,
    ("cluster:k=2", "circle:dims=2-3"): 4,
}


def named(row: Any) -> str:
    return row if isinstance(row, str) else " then ".join(row)


EVERY = pytest.mark.parametrize("row", TABLE, ids=named)
# The evaluations that early stopping counts are the same code for each: it is tried promptly with the richest of them.
RICHEST = ("cluster:k=3,learnable=true", "hierarchy:levels=2", "lsp")


def train(row: Any, folder: Path, *hooks: object, patience: int = 50) -> Run:
    return fit(
        mapping=row, data=X, labels=LABELS, run_dir=folder, hooks=hooks, latent=TABLE[row], epochs=4, batch_size=12,
        encoder="mlp:hidden=[6]", log_every=3, evaluate_every=3, patience=patience, seed=3, device="cpu",
        schedules={"kl": f"linear:steps={PER_EPOCH}"}, learning_rate=0.05,
    )  # fmt: skip


def told(run: Run) -> tuple[bytes, list[Any], dict[str, Any]]:
    """Everything that is kept of a run, times aside."""
    rows = [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]
    return (run.path / "model.safetensors").read_bytes(), rows, {**run.metrics, "seconds": None}


def test_the_table_has_every_installed_mapping() -> None:
    named = {text.partition(":")[0] for row in TABLE for text in ([row] if isinstance(row, str) else row)}
    assert {component.name for component in available("mappings")} == named | {"given"}  # a module of the caller's own


@pytest.mark.promptly("identity", "circle", "cluster:k=3,learnable=true", "sparse:hidden=[4]", "hierarchy:levels=2")
@EVERY
def test_two_epochs_and_two_more_are_four(row: Any, tmp_path: Path, stop_at: Any) -> None:
    whole = train(row, tmp_path / "four")
    assert whole.metrics["step"] == 4 * PER_EPOCH
    part = train(row, tmp_path / "two", stop_at(2 * PER_EPOCH))
    assert (part.status, part.metrics["epoch"]) == ("interrupted", 2)
    assert told(resume(part.path, data=X, labels=LABELS)) == told(whole)


@pytest.mark.promptly(*RICHEST)
@EVERY
def test_early_stopping_counts_on(row: Any, tmp_path: Path, stop_at: Any) -> None:
    """With a learning rate this large there is soon an evaluation without gain; both stop there, or at the end."""
    whole = train(row, tmp_path / "whole", patience=1)
    part = train(row, tmp_path / "part", stop_at(PER_EPOCH + 1), patience=1)
    assert part.status == "interrupted"
    assert told(resume(part.path, data=X, labels=LABELS)) == told(whole)
