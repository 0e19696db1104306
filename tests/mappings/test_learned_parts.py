"""Are the learned parts of a mapping really learned by a run, and the same when it is read back from disk?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from intel_core import fit, load_run
from intel_core.recipe.building import build_model

ROWS = {
    "cluster:k=3,learnable=true": 4,
    "cluster:k=3,learnable=true,estimator=pathwise": 4,
    "cluster:k=3,split=sectors": 4,
    "cluster:k=2,learnable=true,split=simplex": 4,
    "sparse:gamma=3": 4,
    "hierarchy:levels=2": 4,
    "hierarchy:levels=2,form=affine": 4,
}


@pytest.mark.promptly("cluster:k=3,learnable=true", "sparse:gamma=3", "hierarchy:levels=2")
@pytest.mark.parametrize("mapping", ROWS)
def test_learned_saved_and_read_back(tmp_path: Path, mapping: str) -> None:
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    schedules = {"proportions": "constant", "kl": "constant"} if "estimator" not in mapping else {}
    schedules = schedules if "learnable" in mapping else {}
    run = fit(mapping=mapping, data=x, latent=ROWS[mapping], steps=60, schedules=schedules, run_dir=tmp_path / "run")
    trained = dict(run.model.mapping.named_parameters())
    initial = dict(build_model(run.spec, (6,)).mapping.named_parameters())
    assert trained
    for name, value in trained.items():
        assert (value - initial[name]).abs().max() > 1e-4, f"{name} was not learned"

    again = load_run(tmp_path / "run").model.mapping
    y = torch.randn(200, ROWS[mapping], generator=torch.Generator().manual_seed(1))
    assert torch.equal(again(y), run.model.mapping(y))
    for part in ("proportions", "gates", "split"):
        if hasattr(again, part):
            arguments = {"proportions": (), "gates": (y,), "split": (again(y),)}[part]
            ours, theirs = (getattr(mapping, part)(*arguments) for mapping in (run.model.mapping, again))
            for a, b in zip(ours, theirs, strict=True):
                assert torch.equal(a, b)
