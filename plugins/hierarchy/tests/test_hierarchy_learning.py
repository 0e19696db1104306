"""Do the networks learn, and is what they learned kept? Gradients, descent, and weights that are read back."""

import io

import pytest
import safetensors.torch
import torch
from intel_hierarchy import HierarchySpec

SMOOTH = ("tanh", "softplus", "gelu", "identity")
KINKED = ("relu", "leaky_relu", "elu")
EVERY = [
    *({"activation": activation} for activation in SMOOTH + KINKED),
    {"hidden": (8, 8)},
    {"levels": [1, 2, 1, 3]},
    {"form": "affine"},
    {"form": "affine", "activation": "tanh", "hidden": (8, 8)},
    {"form": "affine", "hidden": ()},
]
D = 7


def built(seed=0, **options):
    torch.manual_seed(seed)
    mapping = HierarchySpec(**options).build(D).double()
    with torch.no_grad():
        for name, parameter in mapping.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return mapping


def normal(n, seed):
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize("hidden", [(), (4,)], ids=str)
@pytest.mark.parametrize("form", ["dense", "affine"])
@pytest.mark.parametrize("activation", SMOOTH)
def test_gradients_of_smooth_maps_against_finite_differences(activation, form, hidden):
    mapping = built(activation=activation, form=form, hidden=hidden)
    names, values = zip(*((name, p.detach().requires_grad_()) for name, p in mapping.named_parameters()), strict=True)
    y = normal(4, 1).requires_grad_()

    def call(y, *values):
        return torch.func.functional_call(mapping, dict(zip(names, values, strict=True)), (y,))

    assert torch.autograd.gradcheck(call, (y, *values))
    assert torch.autograd.gradgradcheck(mapping, (y,))


@pytest.mark.parametrize("options", [*({"activation": a} for a in KINKED), {"form": "affine"}], ids=str)
def test_gradients_of_kinked_maps_away_from_kinks(options):
    mapping = built(**options)
    y, along = normal(400, 1), normal(400, 2)
    h = 1e-6
    ahead, here, behind = (mapping(y + t * h * along).detach() for t in (1, 0, -1))
    smooth = (ahead - 2 * here + behind).abs().amax(-1) < 1e-10  # a kink within the step would show
    assert smooth.float().mean() > 0.95
    exact = torch.func.jvp(mapping, (y,), (along,))[1].detach()
    torch.testing.assert_close(exact[smooth], ((ahead - behind) / (2 * h))[smooth], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_every_parameter_gets_a_gradient_and_learns(options):
    torch.manual_seed(3)
    mapping = HierarchySpec(**options).build(D)
    y = normal(500, 0).float()
    target = normal(500, 1).float().abs()
    start = {name: p.detach().clone() for name, p in mapping.named_parameters()}
    assert start
    optimiser = torch.optim.Adam(mapping.parameters(), lr=0.02)
    losses = []
    for step in range(30):
        optimiser.zero_grad()
        loss = (mapping(y) - target).square().mean()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            for p in mapping.parameters():
                assert p.grad is not None
                assert p.grad.any()
        optimiser.step()
    for name, p in mapping.named_parameters():
        assert p.requires_grad
        assert (p.detach() != start[name]).any(), name
    assert losses[-1] < 0.95 * losses[0]


def test_a_hierarchy_can_be_learned_from_another():
    teacher, student = built(0, levels=3, form="affine", hidden=()), built(1, levels=3, form="affine", hidden=())
    y, unseen = normal(1000, 0), normal(1000, 1)
    before = (student(unseen) - teacher(unseen)).square().mean().item()
    optimiser = torch.optim.Adam(student.parameters(), lr=0.03)
    for _ in range(200):
        optimiser.zero_grad()
        (student(y) - teacher(y).detach()).square().mean().backward()
        optimiser.step()
    after = (student(unseen) - teacher(unseen)).square().mean().item()
    assert before > 0.3
    assert after < 0.01 * before


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_what_was_learned_is_read_back(options):
    source, fresh = built(0, **options), built(1, **options)
    y = normal(20, 0)
    assert not torch.equal(fresh(y), source(y))
    fresh.load_state_dict(safetensors.torch.load(safetensors.torch.save(source.state_dict())), strict=True)
    assert torch.equal(fresh(y), source(y))
    again = built(2, **options)
    stream = io.BytesIO()
    torch.save(source.state_dict(), stream)
    stream.seek(0)
    again.load_state_dict(torch.load(stream, weights_only=True), strict=True)
    assert torch.equal(again(y), source(y))


@pytest.mark.parametrize("sizes", [[2, 5], [3, 2, 2]], ids=str)
def test_parameters_are_those_of_the_lower_levels(sizes):
    counts = [sum(p.numel() for p in part.parameters()) for part in HierarchySpec(levels=sizes).build(D).networks]
    assert counts == [(a + b + 1) * b for a, b in zip(sizes, sizes[1:], strict=False)]  # noqa: RUF007
