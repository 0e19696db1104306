"""How much of the prior is where? Shares of the clusters, and what is left between them."""

import math
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec
from scipy.stats import norm

paper = partial(ClusterSpec, preset="paper")

N = 200_000


@pytest.mark.parametrize(
    "shares",
    [[1 / 3] * 3, [0.5, 0.5], [0.1, 0.9], [0.2, 0.3, 0.5], [0.7, 0.05, 0.05, 0.2], [1 / 10] * 10],
    ids=str,
)
def test_share_of_each_sector(shares):
    mapping = paper(k=len(shares), proportions=shares, phase=0.6).build(2)
    expected = torch.tensor(shares, dtype=torch.float64)
    torch.testing.assert_close(mapping.proportions(), expected, rtol=1e-14, atol=0)
    y = torch.randn(N, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    seen = torch.bincount(mapping.assign(y), minlength=len(shares)) / N
    assert ((seen - expected).abs() <= 5 * (expected * (1 - expected) / N).sqrt()).all()


@pytest.mark.parametrize("shares", [[1 / 4] * 4, [0.1, 0.2, 0.7]])
def test_share_is_the_angle_exactly(shares):
    # The normal distribution is uniform in the angle: count a fine regular circle.
    mapping = paper(k=len(shares), proportions=shares).build(2)
    angle = (torch.arange(100_000, dtype=torch.float64) + 0.5) * 2 * math.pi / 100_000
    counts = torch.bincount(mapping.assign(torch.stack([angle.cos(), angle.sin()], dim=-1)))
    assert counts.tolist() == [round(share * 100_000) for share in shares]


@pytest.mark.parametrize("left", [0.001, 0.25, 0.5, 0.8, 1 - 1e-9])
@pytest.mark.parametrize("learnable", [False, True])
def test_share_left_of_the_split_is_the_normal_distribution_at_b(left, learnable):
    mapping = paper(k=2, proportions=[left, 1 - left], learnable=learnable).build(1).double()
    (b,) = mapping.properties.seams[0].point
    assert b == pytest.approx(norm.ppf(left), rel=2e-7, abs=1e-7)
    expected = torch.tensor([norm.cdf(b), norm.sf(b)], dtype=torch.float64)
    torch.testing.assert_close(mapping.proportions().detach(), expected, rtol=1e-12, atol=0)


def test_share_of_each_side_of_the_line():
    mapping = paper(k=2, proportions=[0.2, 0.8]).build(1)
    y = torch.randn(N, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(12))
    seen = float((mapping.assign(y) == 0).double().mean())
    assert seen == pytest.approx(0.2, abs=5 * math.sqrt(0.16 / N))
    assert seen == float((mapping(y) < 0).double().mean())


def test_share_of_a_product():
    mapping = paper(k=[2, 3]).build(4)
    torch.testing.assert_close(mapping.proportions(), torch.full((6,), 1 / 6, dtype=torch.float64))
    learnable = paper(k=[2, 3], learnable=True).build(4)
    with torch.no_grad():
        learnable.splits[0].u.copy_(torch.tensor([0.2, 0.8]).log())
        learnable.splits[1].u.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    expected = torch.tensor([0.1, 0.06, 0.04, 0.4, 0.24, 0.16])
    torch.testing.assert_close(learnable.proportions().detach(), expected)
    y = torch.randn(N, 4, generator=torch.Generator().manual_seed(3))
    seen = torch.bincount(learnable.assign(y), minlength=6) / N
    assert ((seen - expected).abs() <= 5 * (expected * (1 - expected) / N).sqrt()).all()


@pytest.mark.parametrize(
    ("c1", "c2", "half_width", "mass", "digits"),
    [
        (5, 0.2, 1.0, 2.5e-4, 1e-5),
        (5, 0.2, 2.5, 0.0235, 5e-4),
        (5, 0.2, 5.0, 0.42, 5e-3),
        (5, 0.5, 1.0, 0.030, 5e-4),
        (5, 0.5, 2.5, 0.17, 5e-3),
        (5, 0.5, 5.0, 0.53, 5e-3),
        (1, 0.2, 1.0, 0.19, 5e-3),
        (1, 0.2, 2.5, 0.85, 5e-3),
    ],
)
def test_mass_left_in_the_gap(c1, c2, half_width, mass, digits):
    """The share of the prior with |z| < a: what a decoder still sees between two clusters."""
    mapping = paper(k=2, c1=c1, c2=c2, eps=1e-9).build(1)
    edge = float(mapping.inverse(torch.tensor([[half_width]], dtype=torch.float64)))
    assert 2 * norm.cdf(edge) - 1 == pytest.approx(mass, abs=digits)


def test_the_knee_changes_the_gap_by_next_to_nothing():
    y = torch.randn(N, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    exact, tamed = paper(k=2, eps=1e-12).build(1), paper(k=2).build(1)
    assert float((exact(y) != tamed(y)).double().mean()) == pytest.approx(8e-4, abs=3e-4)
