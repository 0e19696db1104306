"""Is rounding allowed for, and nothing more?"""

from __future__ import annotations

import math

import torch
from intel_conformance.closeness import allowance, same_kernel, worst_difference


def test_a_steep_place_gets_a_larger_allowance() -> None:
    def g(y: torch.Tensor) -> torch.Tensor:
        return (y[:, :1] - y[:, 1:]).abs() ** 0.2

    y = torch.tensor([[1.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    at_seam, elsewhere = allowance(g, y, g(y), torch.Generator().manual_seed(0)).flatten().tolist()
    assert at_seam > 1e-4
    assert elsewhere < 1e-8


def test_the_largest_excess_is_found() -> None:
    z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    other = z + torch.tensor([[0.0, 0.1], [0.5, 0.0]])
    assert worst_difference(other, z, torch.full_like(z, 0.2)) == (0.5, (1, 0))
    assert worst_difference(other, z, torch.full_like(z, 0.6)) is None


def test_nan_equals_only_nan() -> None:
    z = torch.tensor([[math.nan, 1.0]])
    assert worst_difference(z, z, torch.zeros_like(z)) is None
    worst = worst_difference(z, torch.ones_like(z), torch.full_like(z, 1e9))
    assert worst is not None
    assert worst[1] == (0, 0)


def test_infinities_do_not_widen_the_allowance() -> None:
    z = torch.tensor([[math.inf, 1.0], [0.0, 1.0]], dtype=torch.float64)
    assert same_kernel(z)[:, 0].tolist() == [0.0, 0.0]
