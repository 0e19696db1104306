"""Mappings of every shape that a picture has to cope with, known by their names in all tests of this folder."""

import pytest
import torch
from torch import nn

from intel_core import Locus, MappingSpec, Properties, register
from intel_core.components import discovery as plugins


class _Map(nn.Module):
    """A mapping from a function, its promises and the dimensions it takes."""

    def __init__(self, function, y_dim, z_dim=None, **promises):
        super().__init__()
        self.function, self.y_dim, self.z_dim = function, y_dim, z_dim or y_dim
        self.properties = Properties(**promises)

    def forward(self, y):
        return self.function(y)


class Stack(_Map):
    """Each coordinate bent by the one before it."""

    @property
    def levels(self):
        return tuple((i,) for i in range(self.y_dim))


def unit(y):
    return y / y.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class RingSpec(MappingSpec):
    """The unit sphere of as many dimensions as there are."""

    def build(self, y_dim):
        if y_dim < 2:
            raise ValueError(f"a ring needs 2 dimensions, there are {y_dim}")
        centre = Locus(tuple(range(y_dim)), (0.0,) * y_dim)
        betti = (1, *[0] * (y_dim - 2), 1)
        return _Map(unit, y_dim, norm_bound=1.0, injective=True, betti=betti, centres=(centre,))


class StackSpec(MappingSpec):
    """Levels."""

    def build(self, y_dim):
        return Stack(lambda y: y + torch.roll(y, 1, -1).square() * (torch.arange(y_dim) > 0), y_dim)


class KeepSpec(MappingSpec):
    """The largest coordinate alone."""

    def build(self, y_dim):
        return _Map(lambda y: y * (y.abs() == y.abs().amax(-1, keepdim=True)), y_dim, sparsity=(0.9, 1.0))


class TornSpec(MappingSpec):
    """The half planes pulled apart without a bridge."""

    def build(self, y_dim):
        seam = Locus((1,), (0.5,))
        tear = lambda y: torch.cat([y[..., :1], y[..., 1:] + 4 * (y[..., 1:] > 0.5)], dim=-1)  # noqa: E731
        return _Map(tear, y_dim, continuous=False, planes=((0, 1),), seams=(seam,))


class HoleySpec(MappingSpec):
    """Undefined in half of the space, on a line too."""

    def build(self, y_dim):
        return _Map(lambda y: y.log(), y_dim)


class NowhereSpec(MappingSpec):
    """Defined nowhere."""

    def build(self, y_dim):
        return _Map(lambda y: y * torch.nan, y_dim, norm_bound=1.0)


class WiderSpec(MappingSpec):
    """One dimension more."""

    def build(self, y_dim):
        return _Map(lambda y: torch.cat([y, y[..., :1].square()], dim=-1), y_dim, y_dim + 1)


class NarrowerSpec(MappingSpec):
    """The norm alone."""

    def build(self, y_dim):
        return _Map(lambda y: y.norm(dim=-1, keepdim=True), y_dim, 1)


class DrawnSpec(MappingSpec):
    """A random rotation-like matrix that training would change."""

    def build(self, y_dim):
        made = nn.Linear(y_dim, y_dim)
        made.y_dim = made.z_dim = y_dim
        return made


class BigSpec(MappingSpec):
    """For many dimensions only."""

    def build(self, y_dim):
        if y_dim < 40:
            raise ValueError(f"needs 40 dimensions, there are {y_dim}")
        return _Map(lambda y: y, y_dim, planes=tuple((i, i + 1) for i in range(0, 12, 2)))


class HugeSpec(MappingSpec):
    """For more dimensions than are tried."""

    def build(self, y_dim):
        raise ValueError(f"needs 1000 dimensions, there are {y_dim}")


@pytest.fixture(autouse=True)
def _known(here, monkeypatch):
    monkeypatch.setattr(plugins, "registered", dict(plugins.registered))
    for spec in (RingSpec, StackSpec, KeepSpec, TornSpec, HoleySpec, NowhereSpec, WiderSpec, NarrowerSpec, DrawnSpec):
        register("mappings", spec.__name__[:-4].lower(), spec)
    register("mappings", "big", BigSpec)
    register("mappings", "huge", HugeSpec)
