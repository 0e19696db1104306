"""A run beside one without the bias: the error of a difference is that of pairs."""

import pytest
import torch

from intel_core.evaluation.bias.price import paired


def test_paired_bounds_know_their_error():
    mine = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    found = paired(mine, mine - torch.tensor([1.0, 1.0, 1.0, 3.0], dtype=torch.float64))
    assert found.value - found.vanilla == 1.5
    assert found.error == pytest.approx(0.5)
