"""Do the proportions learn? Gradients of u and b, against finite differences and on every batch."""

import math
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec

paper = partial(ClusterSpec, preset="paper")


def away_from_seams(shares, n=100, margin=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    widths = torch.tensor(shares, dtype=torch.float64) * 2 * math.pi
    sector = torch.randint(len(shares), (n,), generator=generator)
    inside = torch.rand(n, generator=generator, dtype=torch.float64)
    # Neither at a boundary nor on a bisector nor where a ray's end takes over from its line.
    half = margin + (0.5 - 2 * margin) * inside
    half = torch.where((half * widths[sector] - math.pi / 2).abs() < 0.05, half - 0.05, half)
    side = torch.randint(2, (n,), generator=generator)
    angle = (widths.cumsum(0) - widths)[sector] + widths[sector] * torch.where(side == 1, half, 1 - half)
    radius = 0.5 + 2 * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


@pytest.mark.parametrize("form", ["exact", "smooth"])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.3, 0.7], [1 / 3] * 3, [0.1, 0.75, 0.15], [0.1, 0.2, 0.3, 0.4]])
def test_gradient_of_u_against_finite_differences(shares, form):
    mapping = paper(k=len(shares), proportions=shares, learnable=True, form=form).build(2).double()
    u = mapping.splits[0].u
    with torch.no_grad():
        u.copy_(torch.tensor(shares, dtype=torch.float64).log())
    y = away_from_seams(shares)
    weight = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def loss(value):
        return (torch.func.functional_call(mapping, {"splits.0.u": value}, (y,)) * weight).sum(-1)

    step = 1e-6
    exact = torch.func.jacrev(loss)(u.detach())
    for i in range(len(shares)):
        shift = torch.zeros_like(u).index_fill_(0, torch.tensor([i]), step)
        numeric = (loss(u.detach() + shift) - loss(u.detach() - shift)) / (2 * step)
        torch.testing.assert_close(exact[:, i], numeric, rtol=1e-6, atol=1e-7)


def test_gradient_of_b_against_finite_differences():
    mapping = paper(k=2, proportions=[0.3, 0.7], learnable=True).build(1).double()
    y = torch.tensor([[-2.0], [-0.7], [0.1], [1.5]], dtype=torch.float64)

    def value(b):
        return torch.func.functional_call(mapping, {"splits.0.b": b}, (y,)).flatten()

    b = mapping.splits[0].b.detach()
    numeric = (value(b + 1e-6) - value(b - 1e-6)) / 2e-6
    torch.testing.assert_close(torch.func.jacrev(value)(b), numeric, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options", [{"k": 2}, {"k": 3}, {"k": [2, 3]}, {"k": 2, "split": "simplex"}], ids=str)
def test_every_parameter_gets_a_gradient_from_every_batch(options):
    mapping = paper(learnable=True, **options).build(4)
    parameters = dict(mapping.named_parameters())
    assert parameters
    for seed in range(8):
        y = torch.randn(100, 4, generator=torch.Generator().manual_seed(seed))
        loss = torch.tanh(mapping(y) - 0.3).sum()
        for gradient in torch.autograd.grad(loss, list(parameters.values())):
            assert (gradient.abs() > 1e-6).all()


def test_fixed_proportions_have_no_parameters():
    assert list(paper(k=[2, 3]).build(4).parameters()) == []
    assert list(paper(k=[2, 3]).build(4).state_dict()) == ["strength"]


def test_gradient_of_u_is_free_of_the_common_shift():
    mapping = paper(k=4, learnable=True).build(2).double()
    (gradient,) = torch.autograd.grad(mapping(torch.randn(50, 2).double()).sum(), [mapping.splits[0].u])
    assert abs(float(gradient.sum())) < 1e-9 * float(gradient.abs().sum())


@pytest.mark.parametrize("k", [2, 3])
def test_proportions_can_be_learned(k):
    """Descent on a known target: points whose images under a map with other shares are given."""
    target = torch.tensor([0.7, 0.3] if k == 2 else [0.5, 0.3, 0.2], dtype=torch.float64)
    truth = paper(k=k, proportions=target.tolist(), c2=0.5).build(2)
    mapping = paper(k=k, learnable=True).build(2).double()
    y = torch.randn(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(mapping.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.smooth_l1_loss(mapping(y), truth(y)).backward()
        optimiser.step()
    torch.testing.assert_close(mapping.proportions().detach(), target, rtol=0, atol=0.02)


def test_u_starts_at_the_given_proportions():
    mapping = paper(k=3, proportions=[0.2, 0.3, 0.5], learnable=True).build(2)
    torch.testing.assert_close(mapping.proportions().detach(), torch.tensor([0.2, 0.3, 0.5]))
    assert mapping.proportions().requires_grad
