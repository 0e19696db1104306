"""Is it the paper's map? Against equations (C.1) and (C.2) in plain Python, with angles and inverse cosines."""

import math
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec

paper = partial(ClusterSpec, preset="paper")

SHARES = [
    *([1 / k] * k for k in range(2, 13)),
    [0.3, 0.7],
    [0.05, 0.95],
    [0.2, 0.5, 0.3],
    [0.1, 0.8, 0.1],
    [0.72, 0.08, 0.2],
    [0.01, 0.02, 0.07, 0.9],
]


def reference(y, shares, phase, c1, c2):
    """z = y + c1 dis^c2 r, dis = the distance to the nearer boundary ray, from angles; away from seams."""
    length, angle = math.hypot(*y), math.atan2(y[1], y[0])
    turned = (angle - phase) % (2 * math.pi)
    end = 0.0
    for share in shares:
        start, end = end, end + 2 * math.pi * share
        if turned < end:
            break
    distances = []
    for bound in (phase + start, phase + end):
        cosine = (y[0] * math.cos(bound) + y[1] * math.sin(bound)) / length
        between = math.acos(max(-1.0, min(1.0, cosine)))
        distances.append(length * math.sin(min(between, math.pi / 2)))
    push, middle = c1 * min(distances) ** c2, phase + (start + end) / 2
    return [y[0] + push * math.cos(middle), y[1] + push * math.sin(middle)]


def points(shares, phase, n=200, margin=0.02):
    """Normal points whose angle keeps a margin (relative to each sector's width) to every boundary."""
    generator = torch.Generator().manual_seed(len(shares))
    sector = torch.randint(len(shares), (n,), generator=generator)
    widths = torch.tensor(shares, dtype=torch.float64) * 2 * math.pi
    starts = widths.cumsum(0) - widths
    inside = margin + (1 - 2 * margin) * torch.rand(n, generator=generator, dtype=torch.float64)
    angle = phase + starts[sector] + widths[sector] * inside
    # Beyond 1 so that the distance exceeds eps everywhere.
    radius = 1 + torch.rand(n, generator=generator, dtype=torch.float64) * 3
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1), sector


@pytest.mark.parametrize("phase", [0.0, -math.pi / 2, 1.1, 40.0])
@pytest.mark.parametrize("shares", SHARES, ids=lambda s: f"{len(s)}-{max(s):.2f}")
def test_formula_of_the_paper(shares, phase):
    mapping = paper(k=len(shares), proportions=shares, phase=phase, eps=1e-6).build(2)
    y, sector = points(shares, phase)
    expected = torch.tensor([reference(row, shares, phase, 5.0, 0.2) for row in y.tolist()], dtype=torch.float64)
    torch.testing.assert_close(mapping(y), expected, rtol=0, atol=1e-11)
    assert torch.equal(mapping.assign(y), sector)


@pytest.mark.parametrize("c1", [0.5, 5.0])
@pytest.mark.parametrize("c2", [0.2, 0.5, 1.0])
def test_constants(c1, c2):
    shares = [0.15, 0.6, 0.25]
    mapping = paper(k=3, proportions=shares, c1=c1, c2=c2).build(2)
    y, _ = points(shares, 0.0)
    expected = torch.tensor([reference(row, shares, 0.0, c1, c2) for row in y.tolist()], dtype=torch.float64)
    torch.testing.assert_close(mapping(y), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.25, 0.35, 0.4], [0.2, 0.7, 0.1]])
def test_learnable_is_the_same_map_at_its_start(shares):
    fixed = paper(k=len(shares), proportions=shares, c2=0.5).build(2)
    learnable = paper(k=len(shares), proportions=shares, learnable=True, c2=0.5).build(2).double()
    with torch.no_grad():
        learnable.splits[0].u.copy_(torch.tensor(shares, dtype=torch.float64).log())
    y, _ = points(shares, 0.0)
    torch.testing.assert_close(learnable(y), fixed(y), rtol=0, atol=1e-11)


def test_by_hand():
    mapping = paper(k=4, c1=3.0, c2=0.5).build(2)
    y = torch.tensor([[4.0, 1.0], [-1.0, 9.0], [-4.0, -4.0]], dtype=torch.float64)
    push = torch.tensor([3.0, 3.0, 6.0], dtype=torch.float64) / math.sqrt(2)
    expected = y + torch.stack([push * y[:, 0].sign(), push * y[:, 1].sign()], dim=-1)
    torch.testing.assert_close(mapping(y), expected, rtol=0, atol=1e-13)


def test_distance_is_to_rays_and_not_to_lines():
    # One sector of 270 degrees: opposite to its boundary's corner the nearest boundary point is the origin.
    mapping = paper(k=2, proportions=[0.75, 0.25], c1=1.0, c2=1.0).build(2)
    y = torch.tensor([[-3.0, 4.0], [-5.0, 0.5], [2.0, 1.0], [-1.0, -4.0]], dtype=torch.float64)
    distance = torch.tensor([5.0, math.hypot(5, 0.5), 1.0, 1.0], dtype=torch.float64)
    middle = torch.tensor([math.cos(0.75 * math.pi), math.sin(0.75 * math.pi)], dtype=torch.float64)
    torch.testing.assert_close(mapping(y), y + distance[:, None] * middle, rtol=0, atol=1e-14)


def test_two_clusters_move_only_the_second_coordinate():
    y = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = paper(k=2).build(2)(y)
    assert torch.equal(z[:, 0], y[:, 0])
    expected = y[:, 1] + 5 * y[:, 1].sign() * y[:, 1].abs() ** 0.2
    far = y[:, 1].abs() > 1e-3
    torch.testing.assert_close(z[far, 1], expected[far], rtol=0, atol=1e-13)
    # ... and with a phase of minus a right angle only the first.
    turned = paper(k=2, phase=-math.pi / 2).build(2)(y.flip(-1))
    torch.testing.assert_close(turned, z.flip(-1), rtol=0, atol=1e-13)
    assert torch.equal(turned[:, 1], y[:, 0])


def test_line_is_one_dimension_of_the_plane():
    y = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plane, line = paper(k=2).build(2), paper(k=2).build(1)
    torch.testing.assert_close(line(y[:, 1:]), plane(y)[:, 1:], rtol=0, atol=1e-14)


def test_line_translates_and_then_splits():
    mapping = paper(k=2, proportions=[0.8413447460685429, 0.1586552539314571], c1=2.0, c2=0.5).build(1)
    y = torch.tensor([[1.0 + 1e-12], [5.0], [-3.0], [0.75]], dtype=torch.float64)  # b = 1
    expected = torch.tensor([[0.0], [8.0], [-8.0], [-1.25]], dtype=torch.float64)
    torch.testing.assert_close(mapping(y), expected, rtol=0, atol=1e-10)
    assert mapping.assign(y).tolist() == [1, 1, 0, 0]


def test_line_within_more_dimensions():
    y = torch.randn(20, 3, dtype=torch.float64)
    z = paper(k=2, split="simplex").build(3)(y)
    assert torch.equal(z[:, 1:], y[:, 1:])
    assert torch.equal(z[:, :1], paper(k=2).build(1)(y[:, :1]))


def test_product_cuts_planes_side_by_side():
    y = torch.randn(200, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mapping = paper(k=[2, 3, 5], phase=0.3).build(7)
    parts = [paper(k=k, phase=0.3).build(2) for k in (2, 3, 5)]
    z = mapping(y)
    for i, part in enumerate(parts):
        assert torch.equal(z[:, 2 * i : 2 * i + 2], part(y[:, 2 * i : 2 * i + 2]))
    assert torch.equal(z[:, 6:], y[:, 6:])
    a, b, c = (part.assign(y[:, 2 * i : 2 * i + 2]) for i, part in enumerate(parts))
    assert mapping.n_clusters == 30
    assert torch.equal(mapping.assign(y), (a * 3 + b) * 5 + c)
    assert mapping.assign(y).unique().numel() == 30


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_last_sector_ends_where_the_first_begins(dtype):
    """On one and the same ray, whatever rounding made of the sum of the shares."""
    split = paper(k=7, learnable=True, phase=0.3).build(2).splits[0]
    with torch.no_grad():
        split.u.copy_(torch.randn(7, generator=torch.Generator().manual_seed(0)))
    tables = split._tables_for(torch.zeros(1, 2, dtype=dtype))
    assert torch.equal(tables.ray[-1], tables.ray[0])
    torch.testing.assert_close(tables.normal[-1], -tables.normal[0])


def test_boundaries_stay_where_they_are():
    for shares in SHARES:
        mapping = paper(k=len(shares), proportions=shares, phase=0.7).build(2)
        angles = 0.7 + 2 * math.pi * torch.tensor(shares, dtype=torch.float64).cumsum(0)
        y = 2 * torch.stack([angles.cos(), angles.sin()], dim=-1)
        assert (mapping(y) - y).abs().max() < 1256 * 4e-15


@pytest.mark.parametrize("k", range(2, 13))
def test_k_clusters_are_k_and_the_positive_axis_is_in_range(k):
    """The authors' general routine cuts every plane in 2, and gives index K on the positive x-axis."""
    mapping = paper(k=k).build(2)
    y = torch.randn(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(k))
    assert mapping.assign(y).unique().tolist() == list(range(k))
    # The clusters are apart: at radius 1, along all bisectors, neighbours are further apart than before.
    middle = (torch.arange(k, dtype=torch.float64) + 0.5) * 2 * math.pi / k
    z = mapping(torch.stack([middle.cos(), middle.sin()], dim=-1))
    directions = torch.atan2(z[:, 1], z[:, 0]) % (2 * math.pi)
    torch.testing.assert_close(directions, middle, rtol=0, atol=1e-12)
    axis = torch.tensor([[x, s] for x in (1e-30, 1e-8, 1.0, 1e6) for s in (0.0, -0.0, 1e-300, -1e-300)])
    for dtype in (torch.float32, torch.float64):
        index = mapping.assign(axis.to(dtype))
        assert int(index.min()) >= 0
        assert int(index.max()) < k
        torch.testing.assert_close(mapping(axis.to(dtype)), axis.to(dtype), rtol=0, atol=0)
