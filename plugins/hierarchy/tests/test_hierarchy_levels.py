"""Do high levels influence low ones and not the other way round? Dimensions, splitting, replacing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_hierarchy import HierarchySpec

from intel_core.mappings.building import load_mapping
from intel_core.mappings.contract import Levelled


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def built(form="dense", levels=(2, 1, 3), activation="tanh", **options):
    torch.manual_seed(0)
    spec = HierarchySpec(levels=levels, form=form, activation=activation, **options)
    return spec.build(6).double().requires_grad_(False)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=6))
def test_levels_tile_the_dimensions(sizes):
    mapping = HierarchySpec(levels=sizes).build(sum(sizes))
    assert isinstance(mapping, Levelled)
    assert [len(level) for level in mapping.levels] == sizes
    assert [d for level in mapping.levels for d in level] == list(range(sum(sizes)))
    z = normal(5, sum(sizes))
    assert all(torch.equal(part, z[:, dims]) for part, dims in zip(mapping.split(z), mapping.levels, strict=True))


def test_five_levels_of_fifty_dimensions():
    assert load_mapping("hierarchy:levels=5", 50).levels[4] == tuple(range(40, 50))


@pytest.mark.parametrize("form", ["dense", "affine"])
def test_the_top_passes_through(form):
    y = normal(20, 6)
    assert torch.equal(built(form)(y)[:, :2], y[:, :2])


@pytest.mark.parametrize("form", ["dense", "affine"])
def test_only_downward(form):
    """The Jacobian is block lower triangular, and no block on or below the diagonal is empty."""
    mapping = built(form)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(normal(50, 6)).abs().sum(0)
    for i, rows in enumerate(mapping.levels):
        for j, columns in enumerate(mapping.levels):
            block = jacobian[list(rows)][:, list(columns)]
            assert bool(block.any()) == (j <= i)


def test_a_dense_level_sees_the_level_above_and_its_own_block_alone():
    """Two rows that agree in z1, here 0 for all, and in y2 agree in z2, whatever made z1 so."""
    mapping = built(activation="relu")
    with torch.no_grad():
        mapping.networks[0].layers[0].bias.fill_(-50)
    y, other = normal(200, 6), normal(200, 6, seed=1)
    other[:, 3:] = y[:, 3:]
    assert torch.equal(mapping(other)[:, 3:], mapping(y)[:, 3:])
    assert mapping(y)[:, 3:].any()


def test_an_affine_level_sees_the_level_above_and_its_own_block_alone():
    """Two rows that agree in z1 and in z2 agree in y2, whatever z0 is."""
    mapping = built("affine")
    z, other = normal(200, 6), normal(200, 6, seed=1)
    other[:, 2:] = z[:, 2:]
    y, back = mapping.inverse(z), mapping.inverse(other)
    assert torch.equal(back[:, 3:], y[:, 3:])
    assert (back[:, 2] != y[:, 2]).all()


@pytest.mark.parametrize("form", ["dense", "affine"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_replacing_a_level(form, level):
    mapping = built(form)
    y, new = normal(10, 6), normal(10, 6, seed=1)
    dims = list(mapping.levels[level])
    z = mapping.replace_level(y, level, new[:, dims])
    above = [d for dims in mapping.levels[:level] for d in dims]
    changed = y.clone()
    changed[:, dims] = new[:, dims]
    assert torch.equal(z, mapping(changed))
    assert torch.equal(z[:, above], mapping(y)[:, above])
    assert (z[:, dims[0] :] != mapping(y)[:, dims[0] :]).any(0).all()  # it, and all below, are new


def test_a_sweep_is_applied_to_every_row():
    mapping = built()
    y, sweep = normal(10, 6), torch.linspace(-2, 2, 5, dtype=torch.float64).reshape(5, 1, 1)
    z = mapping.replace_level(y, 1, sweep)
    assert z.shape == (5, 10, 6)
    for values, row in zip(sweep, z, strict=True):
        torch.testing.assert_close(row, mapping.replace_level(y, 1, values), rtol=1e-12, atol=1e-12)


def test_one_value_for_all_rows_in_another_precision():
    mapping = built()
    y = normal(10, 6).float()
    z = mapping.replace_level(y, 2, torch.zeros(3, dtype=torch.float64))
    assert z.dtype == torch.float32
    assert torch.equal(z, mapping(torch.cat([y[:, :3], torch.zeros(10, 3)], dim=-1)))


@pytest.mark.parametrize(
    ("level", "width", "message"),
    [
        (3, 1, "there is no level 3; levels are 0 to 2"),
        (-1, 1, "there is no level -1"),
        (1, 2, r"level 1 has 1 dimensions, the values \[2\]"),
    ],
)
def test_what_cannot_be_replaced(level, width, message):
    with pytest.raises(ValueError, match=message):
        built().replace_level(normal(10, 6), level, normal(10, width))


def test_a_single_number_is_no_level():
    with pytest.raises(ValueError, match=r"level 1 has 1 dimensions, the values \[\]"):
        built().replace_level(normal(10, 6), 1, torch.tensor(0.0))
