"""Do linear scores of clusters agree with their cells, and are they those of the geometry where it has exact ones?"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_cluster.simplex import corners
from torch import Tensor

from intel_core import load_mapping
from intel_core.helpers.cluster_scores import SHARPNESS, ClusterScores, cluster_scores
from intel_core.helpers.parts_of_mapping import clustering_of


def scores_of(text: str, y_dim: int, shares: list[float] | None = None) -> ClusterScores:
    found = clustering_of(load_mapping(text, y_dim=y_dim))
    assert found is not None
    part, dims = found
    if shares is not None:
        part.set_proportions(torch.tensor(shares))  # type: ignore[attr-defined]
    return cluster_scores(part, len(dims))


def centred(weight: Tensor) -> Tensor:
    """Only differences of scores count."""
    return weight - weight.mean(0)


@pytest.mark.parametrize(("k", "shares"), [(2, None), (3, None), (4, None), (10, None), (4, [0.5, 0.3, 0.14, 0.06])])
def test_those_of_a_simplex_point_to_its_corners(k: int, shares: list[float] | None) -> None:
    """s_k = c <u_k, y> + b_k, where two corners lie sqrt(2K/(K-1)) apart; the other dimensions count for nothing."""
    found = scores_of(f"cluster:k={k},split=simplex", k + 1, shares)
    exact = torch.zeros(k, k + 1)
    exact[:, : k - 1] = SHARPNESS / math.sqrt(2 * k / (k - 1)) * corners(k).float()
    assert float((centred(found.weight) - exact).norm() / exact.norm()) < 0.03
    torch.testing.assert_close(centred(found.weight).norm(dim=1), exact.norm(dim=1), rtol=0.04, atol=0)
    assert found.agreement > 0.99


@pytest.mark.parametrize("k", [3, 4, 10])
def test_those_of_equal_sectors_point_to_their_middles(k: int) -> None:
    found = scores_of(f"cluster:k={k},split=sectors", 2)
    turned = centred(found.weight)
    inner = turned @ turned.T / turned.square().sum(1).mean()
    angles = 2 * math.pi / k * (torch.arange(k)[:, None] - torch.arange(k))
    torch.testing.assert_close(inner, torch.cos(angles), rtol=0, atol=0.05)
    assert float(found.bias.max() - found.bias.min()) < 0.05
    assert found.agreement > 0.99


def test_three_sectors_are_a_simplex() -> None:
    """The same cells, up to their order and a turn, have scores of the same lengths and angles."""
    one, other = (centred(scores_of(f"cluster:k=3,split={split}", 2).weight) for split in ("sectors", "simplex"))
    torch.testing.assert_close(one @ one.T, other @ other.T, rtol=0.03, atol=0.03)


@pytest.mark.parametrize(
    ("text", "y_dim"),
    [("cluster:k=[2,3]", 5), ("cluster:k=[2,2,2]", 3), ("cluster:k=[3,3,2]", 6), ("cluster:k=20", 19)],
)
def test_products_have_scores_too(text: str, y_dim: int) -> None:
    assert scores_of(text, y_dim).agreement > 0.95


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=7), st.integers(0, 3))
def test_they_agree_with_the_cells_whatever_the_shares(parts: list[float], more: int) -> None:
    shares = [part / sum(parts) for part in parts]
    found = scores_of(f"cluster:k={len(parts)},split=simplex", len(parts) - 1 + more, shares)
    assert found.agreement > 0.95
    y = torch.randn(4000, len(parts) - 1 + more, generator=torch.Generator().manual_seed(7))
    mass = torch.bincount(found(y).argmax(-1), minlength=len(parts)) / len(y)
    torch.testing.assert_close(mass, torch.tensor(shares), rtol=0, atol=0.035)


def test_cells_that_no_line_parts_are_told_by_their_agreement() -> None:
    """A ball within its surroundings."""

    class Ball:
        n_clusters = 2

        def assign(self, y: Tensor) -> Tensor:
            return (y.square().sum(-1) > 1.4).long()

        def proportions(self) -> Tensor:
            return torch.tensor([0.5, 0.5])

    assert cluster_scores(Ball(), 2).agreement < 0.6


def test_they_are_always_the_same_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = scores_of("cluster:k=4", 4)
    other = scores_of("cluster:k=4", 4)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)
    assert torch.equal(before, torch.get_rng_state())


def test_an_autocast_does_not_round_them() -> None:
    found, y = scores_of("cluster:k=4", 4), torch.randn(10, 4)
    with torch.autocast("cpu", torch.bfloat16):
        again, inside = scores_of("cluster:k=4", 4), found(y)
    assert torch.equal(found.weight, again.weight)
    assert torch.equal(inside, found(y))
    assert inside.dtype == torch.float32


def test_in_blocks_they_are_the_same_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scores_of("cluster:k=5", 4)
    monkeypatch.setattr("intel_core.helpers.cluster_scores._SCORES_AT_ONCE", 0)
    parts = scores_of("cluster:k=5", 4)
    torch.testing.assert_close(centred(parts.weight), centred(whole.weight), rtol=0, atol=1e-3)
    assert parts.agreement == pytest.approx(whole.agreement, abs=1e-3)
