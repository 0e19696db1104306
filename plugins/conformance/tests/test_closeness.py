"""Is rounding allowed for, and nothing more?"""

from __future__ import annotations

import math

import torch
from intel_conformance.closeness import beyond_rounding, same_kernel, sensitivity, worst_difference


def cusp(y: torch.Tensor) -> torch.Tensor:
    return (y[:, :1] - y[:, 1:]).abs() ** 0.2


ROWS = torch.tensor([[1.0, 1.0], [1.0, 3.0]], dtype=torch.float64)


def test_a_steep_place_gets_a_larger_allowance() -> None:
    at_seam, elsewhere = (float(sensitivity(cusp, row, torch.Generator().manual_seed(0))) for row in ROWS)
    assert at_seam > 1e-5
    assert elsewhere < 1e-9
    z = cusp(ROWS)
    for off, row in ((torch.tensor([[1e-4], [0.0]]), None), (torch.tensor([[0.0], [1e-4]]), 1)):
        worst = beyond_rounding(z + off, z, cusp, ROWS, torch.Generator().manual_seed(0))
        assert (worst and worst[1][0]) == row


def test_what_the_batch_does_to_a_row_gives_it_no_allowance() -> None:
    def centred(y: torch.Tensor) -> torch.Tensor:
        return y + 1e3 * (y - y.mean(0))

    generator = torch.Generator().manual_seed(0)
    assert beyond_rounding(centred(ROWS), ROWS, centred, ROWS, generator) is not None


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
