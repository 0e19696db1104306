"""Is the bias turned on gradually as promised? From the identity to the whole mapping, saved with its strength."""

import copy
from functools import partial

import pytest
import torch
from intel_cluster import ClusterSpec

from intel_core import Annealed

paper = partial(ClusterSpec, preset="paper")

SPECS = {
    "sectors": (paper(k=3), 2),
    "unequal": (paper(k=3, proportions=(0.7, 0.2, 0.1), form="smooth"), 4),
    "learnable": (paper(k=4, learnable=True), 3),
    "product": (paper(k=[2, 3]), 5),
    "simplex": (ClusterSpec(k=5), 6),
    "simplex-fixed": (ClusterSpec(k=4, proportions=(0.1, 0.2, 0.3, 0.4), form="smooth"), 3),
    "line": (paper(k=2, learnable=True), 1),
}
table = pytest.mark.parametrize("name", SPECS)


def build(name):
    spec, y_dim = SPECS[name]
    y = torch.randn(500, y_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return spec.build(y_dim), y


@table
def test_no_strength_is_a_translation_and_full_strength_the_mapping(name):
    mapping, y = build(name)
    assert isinstance(mapping, Annealed)
    whole = mapping(y)
    mapping.set_strength(0.0)
    moved = mapping(y) - y
    torch.testing.assert_close(moved, moved[:1].expand_as(moved), rtol=0, atol=1e-14)
    if name != "simplex-fixed":  # whose cells meet elsewhere than at 0
        assert not moved.any()
    mapping.set_strength(1.0)
    assert torch.equal(mapping(y), whole)
    assert not torch.allclose(whole, y)


@table
def test_the_push_is_proportional_to_the_strength(name):
    mapping, y = build(name)
    whole = mapping(y)
    mapping.set_strength(0.0)
    still = mapping(y)
    mapping.set_strength(0.25)
    torch.testing.assert_close(mapping(y) - still, (whole - still) / 4, rtol=1e-9, atol=1e-12)


@table
def test_inverse_and_determinant_follow_the_strength(name):
    mapping, y = build(name)
    mapping.set_strength(0.3)
    torch.testing.assert_close(mapping.inverse(mapping(y)), y, rtol=1e-9, atol=1e-10)
    jacobian = torch.func.vmap(torch.func.jacrev(mapping))(y[:50])
    torch.testing.assert_close(
        mapping.log_abs_det_jacobian(y[:50]), torch.linalg.slogdet(jacobian)[1], rtol=1e-8, atol=1e-9
    )


@table
def test_a_saved_strength_is_loaded(name):
    mapping, y = build(name)
    mapping.set_strength(0.5)
    fresh, _ = build(name)
    fresh.load_state_dict(mapping.state_dict())
    assert torch.equal(fresh(y), mapping(y))
    assert torch.equal(copy.deepcopy(mapping)(y), mapping(y))


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match="a strength is at least 0, not -1"):
        paper(k=3).build(2).set_strength(-1)
