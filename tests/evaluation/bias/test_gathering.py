"""What the data show of a declared set."""

from pathlib import Path

import torch

from intel_core import fit
from intel_core.evaluation.bias.gathering import near_each_other


def test_neighbourhoods_see_what_is_not_filled_and_what_is_beside():
    turn = torch.rand(500, generator=torch.Generator().manual_seed(0)) * 6.2832
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    arc = circle[circle[:, 0] > 0]
    filled, inside = near_each_other(circle, arc)
    assert 0.4 < filled < 0.65
    assert inside > 0.95
    filled, inside = near_each_other(circle, torch.cat([circle, torch.zeros(500, 2)]))
    assert filled == 1
    assert inside == 0.5


def test_runs_that_differ_in_more_than_the_mapping_are_told(tmp_path: Path) -> None:
    """A run of twice the steps was called better for its bias."""
    common = {"data": "circle:n=60", "latent": 2, "likelihood": "gaussian"}
    biased = fit(mapping="circle", steps=4, run_dir=tmp_path / "biased", **common)
    shorter = fit(mapping="identity", steps=2, run_dir=tmp_path / "shorter", **common)
    alike = fit(mapping="identity", steps=4, seed=1, run_dir=tmp_path / "alike", **common)
    (told,) = [text for text in biased.took(shorter).caveats if "more than the mapping" in text]
    assert "(steps 4 and 2)" in told
    assert not any("more than the mapping" in text for text in biased.took(alike).caveats)
