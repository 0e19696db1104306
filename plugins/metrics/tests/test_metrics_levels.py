"""Is it the right level that is drawn anew, and are changes and shares those of a linear decoder?"""

import pytest
import torch
from intel_metrics.diagnosis import level_changes, levels_of

from intel_core import load_mapping


def test_levels_are_dimensions_of_y():
    assert levels_of(load_mapping("hierarchy:levels=[1,2]", 3)) == ((0,), (1, 2))
    assert levels_of(load_mapping("hierarchy:levels=[1,2],dims=[4,1,3]", 6)) == ((4,), (1, 3))
    assert levels_of(load_mapping("circle", 2)) == ()


def test_changes_of_a_linear_decoder():
    # x = 3 y0 + 4 y1: replacing y_d ~ N(0, 1) by fresh noise changes x by weight² (1 + 1)
    y = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0))
    seen = []

    def decode(y):
        seen.append(y)
        return (3 * y[:, 0] + 4 * y[:, 1])[:, None, None]

    found = level_changes(decode, y, [[0], [1]], generator=torch.Generator().manual_seed(1))
    assert found.shape == (2, 40_000)
    assert found.mean(1).tolist() == pytest.approx([18, 32], rel=0.05)
    assert torch.equal(seen[0], y)
    assert torch.equal(seen[1][:, 1], y[:, 1])
    assert torch.equal(seen[2][:, 0], y[:, 0])
    assert float((seen[1][:, 0] == y[:, 0]).float().mean()) < 0.001


def test_a_level_that_is_not_decoded_changes_nothing():
    y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    found = level_changes(lambda y: y[:, :2], y, [[0, 1], [2]], generator=torch.Generator().manual_seed(1))
    assert float(found[0].mean()) > 0.5
    assert found[1].tolist() == [0.0] * 50
