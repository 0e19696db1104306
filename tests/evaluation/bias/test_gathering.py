"""What the data show of a declared set."""

import torch

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
