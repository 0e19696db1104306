"""Is what it promises so? Continuity, how steep it may be, and that the paper's form is not injective."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_hierarchy import HierarchySpec

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "softplus", "gelu", "identity")
DENSE = [
    *({"levels": 3, "activation": activation} for activation in ACTIVATIONS),
    {"levels": [1, 2, 3]},
    {"levels": 6, "activation": "identity"},
    {"levels": 2, "hidden": (8,), "activation": "gelu"},
    {"levels": 3, "hidden": (5, 4), "activation": "leaky_relu"},
]
D = 6


def built(seed=0, size=0.5, **options):
    torch.manual_seed(seed)
    mapping = HierarchySpec(**options).build(D).double()
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return mapping.requires_grad_(False)


def constant(mapping):
    steep = mapping.properties.hoelder
    assert steep.exponent == 1
    return steep.constant


def slopes(mapping, y):
    """The spectral norm of the Jacobian at each row."""
    return torch.linalg.matrix_norm(torch.func.vmap(torch.func.jacrev(mapping))(y), 2)


def test_what_is_declared():
    dense, affine = HierarchySpec().build(D).properties, HierarchySpec(form="affine").build(D).properties
    assert (dense.continuous, dense.injective) == (True, False)
    assert (affine.continuous, affine.injective, affine.hoelder) == (True, True, None)


@settings(max_examples=60, deadline=None)
@given(
    options=st.sampled_from(DENSE),
    seed=st.integers(0, 2**32),
    size=st.floats(0, 2),
    apart=st.floats(-7, 2),
    out=st.floats(-3, 3),
)
def test_no_pair_is_steeper_than_promised(options, seed, size, apart, out):
    mapping = built(seed, size, **options)
    generator = torch.Generator().manual_seed(seed)
    y = 10**out * torch.randn(200, D, dtype=torch.float64, generator=generator)
    step = torch.randn(200, D, dtype=torch.float64, generator=generator)
    other = y + 10**apart * step / step.norm(dim=-1, keepdim=True)
    moved, way = (mapping(other) - mapping(y)).norm(dim=-1), (other - y).norm(dim=-1)
    rounding = 1e-13 * (1 + mapping(y).norm(dim=-1) + constant(mapping) * y.norm(dim=-1))
    assert (moved <= constant(mapping) * way + rounding).all()


@pytest.mark.promptly(every=3)
@pytest.mark.parametrize("options", DENSE, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_a_search_for_the_steepest_place_stays_below(options, seed):
    mapping = built(seed, **options)
    generator = torch.Generator().manual_seed(seed)
    y = 3 * torch.randn(64, D, dtype=torch.float64, generator=generator)
    best = slopes(mapping, y)
    first = best.max()
    for i in range(40):
        tried = y + 2 * 0.9**i * torch.randn(y.shape, dtype=torch.float64, generator=generator)
        slope = slopes(mapping, tried)
        better = slope > best
        y, best = torch.where(better.unsqueeze(-1), tried, y), torch.where(better, slope, best)
    assert best.max() >= first
    assert best.max() <= constant(mapping)
    assert constant(mapping) < 100 * best.max()  # a bound that says something


def test_the_constant_is_met_where_all_levels_are_numbers():
    """A chain of numbers with positive weights and no kink is linear, with the Jacobian for its own bound."""
    mapping = HierarchySpec(levels=D, activation="identity").build(D).double().requires_grad_(False)
    jacobian = torch.zeros(D, D, dtype=torch.float64)
    jacobian[0, 0] = 1.0
    with torch.no_grad():
        for i, part in enumerate(mapping.networks):
            above, own = 0.5 + 0.1 * i, 2.0 - 0.2 * i
            part.layers[0].weight.copy_(torch.tensor([[above, own]], dtype=torch.float64))
            jacobian[i + 1] = above * jacobian[i]
            jacobian[i + 1, i + 1] += own
    assert constant(mapping) == pytest.approx(float(torch.linalg.svdvals(jacobian)[0]), rel=2e-9)
    assert constant(mapping) >= float(slopes(mapping, torch.zeros(1, D, dtype=torch.float64)))


def test_the_constant_of_gelu_is_met_at_its_steepest_place():
    mapping = HierarchySpec(levels=2, activation="gelu").build(2).double().requires_grad_(False)
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.copy_(torch.tensor([[0.0, 1.0]]))
    steepest = float(slopes(mapping, torch.tensor([[0.0, math.sqrt(2)]], dtype=torch.float64)))
    assert steepest == pytest.approx(1.12890, abs=1e-5)
    assert steepest <= constant(mapping) <= steepest * (1 + 1e-8)
    grid = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    assert slopes(mapping, torch.stack([torch.zeros_like(grid), grid], dim=-1)).max() <= constant(mapping)


def test_the_constant_follows_the_weights():
    mapping = built(0, levels=2)
    before = constant(mapping)
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.mul_(10)
    assert constant(mapping) > 5 * before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_is_promised_of_weights_that_diverged(value):
    mapping = built(0, levels=2)
    with torch.no_grad():
        mapping.networks[0].layers[0].weight[0, 0] = value
    assert mapping.properties.hoelder is None


def test_nothing_is_promised_where_the_constant_overflows():
    mapping = built(0, levels=6)
    with torch.no_grad():
        for part in mapping.networks:
            part.layers[0].weight.mul_(1e200)
    assert mapping.properties.hoelder is None


def test_the_affine_form_is_not_lipschitz():
    """The slope in the level above grows with y of the level below."""
    mapping = HierarchySpec(levels=2, form="affine", hidden=()).build(2).double()
    y = torch.tensor([[0.0, 1.0], [0.0, 1e3], [0.0, 1e6]], dtype=torch.float64)
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.copy_(torch.tensor([[1.0], [0.0]]))
    steepness = slopes(mapping, y)
    assert steepness[1] > 500 * steepness[0]
    assert steepness[2] > 500 * steepness[1]


@pytest.mark.parametrize(
    "options", [*DENSE, {"form": "affine"}, {"form": "affine", "activation": "tanh", "hidden": ()}], ids=str
)
def test_continuous(options):
    """The image of a segment that is cut ever finer moves in ever smaller steps."""
    mapping = built(1, **options)
    ends = 4 * torch.randn(2, 20, 1, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def largest(steps):
        t = torch.linspace(0, 1, steps + 1, dtype=torch.float64).reshape(-1, 1)
        z = mapping(ends[0] * (1 - t) + ends[1] * t)
        return float((z[:, 1:] - z[:, :-1]).norm(dim=-1).max())

    coarse, fine = largest(100), largest(10_000)
    assert coarse > 0
    assert fine < 0.05 * coarse


def test_relu_is_not_injective():
    """Two rows, a unit apart, with one image."""
    mapping = HierarchySpec(levels=2).build(4).double()
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.copy_(torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]))
    y = torch.tensor([[-1.0, -1.0, -1.0, -1.0], [-1.0, -1.0, -2.0, -1.0]], dtype=torch.float64)
    first, second = mapping(y)
    assert torch.equal(first, second)
    assert first.tolist() == [-1.0, -1.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_relu_with_any_weights_has_collisions(seed):
    """Blocks of y that take all units of a level to -1, and to -2, have one image."""
    mapping = built(seed, levels=[2, 1, 3])
    dense = mapping.networks[1].layers[0]
    y = torch.randn(100, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    above = mapping(y)[:, 2:3]
    rows = []
    for target in (-1.0, -2.0):
        rows.append(y.clone())
        rest = target - above @ dense.weight[:, :1].T - dense.bias
        rows[-1][:, 3:] = torch.linalg.solve(dense.weight[:, 1:], rest.T).T
    assert ((rows[0] - rows[1]).norm(dim=-1) > 0.1).all()
    assert torch.equal(mapping(rows[0]), mapping(rows[1]))
