"""Are clusters and loops counted as they are?"""

from __future__ import annotations

import math

import pytest
import torch
from intel_conformance.topology import clear_betti, clear_components, components_at
from torch import Tensor


def circle(n: int, centre: float = 0.0) -> Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=torch.Generator().manual_seed(int(centre)), dtype=torch.float64)
    return torch.stack([angle.cos() + centre, angle.sin()], -1)


def blobs(k: int) -> Tensor:
    noise = torch.randn(200 * k, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise + 12 * torch.arange(k).repeat(200)[:, None]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_clusters(k: int) -> None:
    found, ratio, distance = clear_components(blobs(k), 0.1, k)
    assert found == k
    if k > 1:
        assert ratio > 1.5
        assert components_at(blobs(k), 0.1, distance) == k


@pytest.mark.parametrize(("cloud", "b0", "b1"), [("disc", 1, 0), ("circle", 1, 1), ("two circles", 2, 2)])
def test_pieces_and_loops(cloud: str, b0: int, b1: int) -> None:
    pytest.importorskip("gudhi")
    z = circle(1500)
    if cloud == "two circles":
        z = torch.cat([z, circle(1500, centre=6.0)])
    elif cloud == "disc":
        z = z * torch.rand(1500, 1, generator=torch.Generator().manual_seed(9), dtype=torch.float64).sqrt()
    assert (clear_betti(z, 0)[0], clear_betti(z, 1)[0]) == (b0, b1)
