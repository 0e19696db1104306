"""Are two points with one image found, and contractions not taken for them?"""

from __future__ import annotations

import pytest
import torch
from intel_conformance.collisions import find_collision
from specimens.mutant import Sound
from specimens.mutants.thm1 import ComplexSquare, Folds, Projects
from specimens.steep import Flow, SteepCircle
from torch import nn


def draws(seed: int) -> torch.Tensor:
    return torch.randn(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("faulty", [Folds, ComplexSquare, Projects])
def test_points_that_meet_are_found(faulty: type[nn.Module]) -> None:
    g = faulty(2)
    pair = find_collision(g, draws(0))
    assert pair is not None
    first, second, gap = pair
    assert float((first - second).norm()) > 1e-2
    assert float((g(first) - g(second)).norm()) == pytest.approx(gap)
    assert gap < 1e-10


@pytest.mark.parametrize("injective", [Sound, Flow, SteepCircle])
def test_injective_mappings_have_none(injective: type[nn.Module]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        g = injective(2).double()
    assert find_collision(g, draws(1)) is None
