"""Are the parts of a composition found with the dimensions of y on which they act?"""

import pytest
import torch
from torch import nn

from intel_core import Compose, Identity, Locus, OnDims, Properties
from intel_core.helpers.parts_of_mapping import clusterings_of, elements, parts_of, places_of, planes_of


class Halves(nn.Module):
    """Two clusters, by the sign of the first of two coordinates."""

    n_clusters = 2
    y_dim = z_dim = 2
    properties = Properties(clusters=2, planes=((0, 1),))

    def forward(self, y):
        return y

    def assign(self, y):
        return (y[..., 0] > 0).long()

    def proportions(self):
        return torch.tensor([0.5, 0.5])


class Centred(nn.Module):
    """A place of two coordinates, and a seam in the second of them."""

    y_dim = z_dim = 2
    properties = Properties(centres=(Locus((0, 1), (0.0, 0.0)),), seams=(Locus((1,), (0.5,)),))

    def forward(self, y):
        return y


class Wider(nn.Module):
    """One dimension more than before."""

    y_dim, z_dim = 4, 5

    def forward(self, y):
        return torch.cat([y, y[..., :1]], dim=-1)


@pytest.fixture
def composed():
    parts = [(Centred(), (0, 1)), (Halves(), (1, 0)), (Centred(), (2, 3))]
    return Compose([OnDims(part, dims, 4) for part, dims in parts])


def test_a_part_reads_y_where_nothing_before_it_has_touched_its_dimensions(composed):
    assert [(part.dims, part.reads_y, len(part.before)) for part in elements(composed)] == [
        ((0, 1), True, 0),
        ((1, 0), False, 1),
        ((2, 3), True, 2),
    ]
    assert parts_of(composed)[0][1] == (0, 1)


def test_planes_are_those_that_are_declared_or_are_all_that_a_part_reads(composed):
    assert planes_of(composed) == [(0, 1), (1, 0), (2, 3)]


def test_places_are_told_of_parts_that_read_y(composed):
    centres, seams = places_of(composed)
    assert [place.dims for place in (*centres, *seams)] == [(0, 1), (2, 3), (1,), (3,)]


def test_clusters_of_a_later_part_are_carried_back(composed):
    ((clustering, dims),) = clusterings_of(composed)
    assert dims == (0, 1, 2, 3)
    assert clustering.n_clusters == 2
    y = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clustering.assign(y[:, list(dims)]), (y[:, 1] > 0).long())
    assert clustering.proportions().tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_clusters_of_a_part_that_reads_y_are_its_own():
    halves = Halves()
    assert clusterings_of(OnDims(halves, (3, 1), 4)) == [(halves, (3, 1))]


def test_behind_a_change_of_the_number_of_dimensions_none_is_a_dimension_of_y():
    later = Compose([Wider(), OnDims(Centred(), (0, 4), 5)])
    assert [part.keeps for part in elements(later)] == [True, False]
    assert planes_of(later) == []
    assert places_of(later) == ([], [])


def test_nested_compositions_are_walked_in_the_order_of_application():
    inner = Compose([OnDims(Identity(1), (0,), 2), OnDims(Identity(1), (1,), 2)])
    assert [part.dims for part in elements(Compose([inner, Compose([Identity(2)])]))] == [(0,), (1,), (0, 1)]
