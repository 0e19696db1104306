"""On how many threads do checks compute? One, unless somebody says otherwise; and that is as right."""

from __future__ import annotations

import pytest
import torch
from intel_conformance import check_mapping
from intel_conformance.candidate import Candidate
from intel_conformance.checks.thm1 import _conditioning
from intel_conformance.jacobians import jacobian
from specimens.mutant import Sound
from torch import Tensor

from intel_core.compute.threads import on_threads


class Counts(Sound):
    """Notes on how many threads it is called."""

    seen: set[int]

    def forward(self, y: Tensor) -> Tensor:
        self.seen.add(torch.get_num_threads())
        return super().forward(y)


@pytest.mark.parametrize(("said", "threads"), [(None, 1), ("2", 2)])
def test_checks_compute_on_one_thread_or_as_said(
    said: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTEL_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("INTEL_THREADS", said)
    Counts.seen = set()
    with on_threads(3):
        assert check_mapping(Counts, level="quick", only=["rows", "io.shape"]).ok
        assert torch.get_num_threads() == 3
    assert Counts.seen == {threads}


def test_matrices_of_many_dimensions_are_inverted_on_several_threads_too() -> None:
    mapping = Candidate("cluster:k=3", y_dim=256).mapping()
    generator = torch.Generator().manual_seed(0)
    matrices = jacobian(mapping, torch.randn(75, 256, generator=generator, dtype=torch.float64))
    alone = _conditioning(matrices)
    with on_threads(2):
        assert torch.equal(_conditioning(matrices), alone)
    assert bool((alone > 0).all())
