"""What is left of a mapping's promises when it is composed, or acts on some dimensions only?"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from intel_core import Compose, Hoelder, Identity, Locus, OnDims, Properties
from intel_core.mappings.compose import properties_of

RICH = Properties(
    continuous=True,
    injective=True,
    norm_bound=2.0,
    clusters=3,
    betti=(1, 1),
    sparsity=(0.1, 0.5),
    hoelder=Hoelder(4.0),
    planes=((0, 1),),
    centres=(Locus((0, 1), (0.0, 0.0)),),
    seams=(Locus((0, 1), (0.0, 0.0), ((1.0, 0.0),)), Locus((2,), (0.5,))),
)


class Stretch(nn.Module):
    """Twice y, and whatever is to be declared."""

    def __init__(self, y_dim: int, properties: Properties) -> None:
        super().__init__()
        self.y_dim = self.z_dim = y_dim
        self.properties = properties

    def forward(self, y: Tensor) -> Tensor:
        return 2 * y


def test_codimension() -> None:
    assert [place.codimension for place in (*RICH.centres, *RICH.seams)] == [2, 1, 1]


def test_on_all_dimensions_nothing_is_lost_but_the_order() -> None:
    moved = RICH.on_dims((2, 0, 1), 3)
    assert moved.norm_bound == 2.0
    assert moved.hoelder == RICH.hoelder
    assert moved.sparsity == (0.1, 0.5)
    assert moved.planes == ((2, 0),)
    assert moved.seams[1].dims == (1,)


def test_on_some_dimensions_bounds_are_lost() -> None:
    moved = RICH.on_dims((3, 1, 4), 6)
    assert (moved.norm_bound, moved.sparsity) == (None, None)
    assert (moved.clusters, moved.betti, moved.injective) == (3, (1, 1), True)
    assert moved.hoelder == Hoelder(math.hypot(4, 1))
    assert moved.centres[0].dims == (3, 1)


@pytest.mark.parametrize("exponent", [0.3, 1.0])
def test_hoelder_constant_on_some_dimensions_holds_where_it_is_sharp(exponent: float) -> None:
    """A map with |g(a)| = |a|^exponent on one dimension, and one that passes through, both moved by the whole step."""
    promise = Properties(hoelder=Hoelder(1.0, exponent)).on_dims((0,), 2).hoelder
    assert promise is not None
    for h in (1.0, 0.1, 1e-3):
        for angle in torch.linspace(0, math.pi / 2, 50).tolist():
            a, b = h * abs(math.cos(angle)), h * abs(math.sin(angle))
            assert math.hypot(a**exponent, b) <= promise.constant * h**promise.exponent * (1 + 1e-12)


def test_after_a_homeomorphism_topology_is_kept() -> None:
    after = RICH.then(Properties(injective=True, hoelder=Hoelder(3.0)))
    assert (after.clusters, after.betti, after.injective, after.norm_bound) == (3, (1, 1), True, None)
    assert after.hoelder == Hoelder(12.0)
    assert (after.planes, after.centres, after.seams) == (RICH.planes, RICH.centres, RICH.seams)


@pytest.mark.parametrize("later", [Properties(), Properties(injective=True, continuous=False)], ids=["glues", "tears"])
def test_after_anything_else_it_is_not(later: Properties) -> None:
    after = RICH.then(later)
    assert (after.clusters, after.betti) == (None, None)
    assert after.continuous == later.continuous
    assert after.injective == later.injective


def test_a_power_of_a_power_is_not_promised() -> None:
    """Hölder constants hold for steps up to 1, which the first map may exceed."""
    rough = Properties(hoelder=Hoelder(5.0, 0.2))
    assert rough.then(rough).hoelder is None
    assert rough.then(Properties(hoelder=Hoelder(1.0))).hoelder is None


def test_compositions_derive_theirs() -> None:
    composed = Compose([Stretch(3, RICH), Identity(3), OnDims(Stretch(1, Properties(injective=True)), (2,), 3)])
    declared = properties_of(composed)
    assert (declared.clusters, declared.betti, declared.injective) == (3, (1, 1), True)
    assert declared.seams == RICH.seams
    assert declared.norm_bound is None


def test_what_declares_nothing_is_held_to_the_contract_alone() -> None:
    assert properties_of(object()) == Properties()
