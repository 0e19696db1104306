"""Are derivatives correct, and is it known where finite differences say nothing?"""

from __future__ import annotations

import torch
from intel_conformance.jacobians import jacobian, slopes


def test_the_jacobian_of_a_linear_map_is_its_matrix() -> None:
    matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert torch.equal(jacobian(lambda y: y @ matrix.T, torch.randn(4, 2)), matrix.expand(4, 3, 2))


def test_what_has_no_gradient_has_a_jacobian_of_zeros() -> None:
    assert not jacobian(lambda y: y.detach() * 2, torch.ones(3, 2)).any()
    assert not jacobian(lambda y: torch.stack([y[:, 0], torch.ones_like(y[:, 0])], -1), torch.ones(3, 2))[:, 1].any()


def test_a_wrong_derivative_disagrees_and_a_kink_says_nothing() -> None:
    smooth = slopes(lambda t: torch.tensor([2 * t + t**3], dtype=torch.float64))
    assert smooth.settled.tolist() == [True]
    assert smooth.disagree(torch.tensor([2.0], dtype=torch.float64)).tolist() == [False]
    assert smooth.disagree(torch.tensor([2.1], dtype=torch.float64)).tolist() == [True]
    cusp = slopes(lambda t: torch.tensor([abs(t) ** 0.5 * (1 if t > 0 else -1)], dtype=torch.float64))
    assert cusp.settled.tolist() == [False]
    assert cusp.disagree(torch.tensor([0.0], dtype=torch.float64)).tolist() == [False]
