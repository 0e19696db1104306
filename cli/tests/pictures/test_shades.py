"""Colours go round evenly with an angle, and every colour is one."""

import numpy as np
import torch


def test_colours_of_angles_go_round_evenly():
    from intel_cli.pictures.shades import by_angle, by_direction, by_level

    turn = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
    colours = by_angle(torch.stack([turn.cos(), turn.sin()], dim=-1))
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert np.allclose(colours[0], colours[-1])
    assert 0 < steps.max() < 4 * steps.min()
    for made in (colours, by_direction(torch.randn(50, 3)), by_level(torch.randn(50))):
        assert made.shape[1] == 3
        assert made.min() >= 0
        assert made.max() <= 1
