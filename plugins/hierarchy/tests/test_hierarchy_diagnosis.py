"""Does the diagnosis count rightly? Variances, zeros, dependence and class shares against plain numpy."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from intel_hierarchy import HierarchySpec
from intel_hierarchy.diagnosis import class_share, describe_levels, evenly_spaced, shares_of_variance

from intel_core.helpers.labels import MAX_CLASSES
from intel_core.helpers.parts_of_mapping import diagnose
from intel_core.mappings.building import load_mapping


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear(above, own):
    """Z1 = above z0 + own y1, of two numbers."""
    mapping = HierarchySpec(levels=2, activation="identity").build(2).double()
    with torch.no_grad():
        mapping.networks[0].layers[0].weight.copy_(torch.tensor([[above, own]]))
    return mapping


def test_variance_zeros_and_dead_units():
    z = torch.tensor([[1.0, 0.0, 0.0], [3.0, 0.0, 2.0], [5.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    report = describe_levels([z[:, :1], z[:, 1:]], None)
    assert report["level_sizes"] == [1, 2]
    assert report["level_variance"] == pytest.approx([2.0, (0 + 0.75) / 2])
    assert report["level_zeros"] == pytest.approx([0, 7 / 8])
    assert report["level_dead"] == pytest.approx([0, 1 / 2])
    assert "level_class_share" not in report


def test_dead_units_of_a_mapping_are_found():
    torch.manual_seed(0)
    mapping = HierarchySpec(levels=[2, 4, 4]).build(10)
    with torch.no_grad():
        mapping.networks[0].layers[0].bias[:3] = -100
        mapping.networks[1].layers[0].bias[0] = -100
    report = mapping.diagnose(normal(200, 10), None)
    assert report["level_dead"] == [0.0, 0.75, 0.25]
    assert report["level_zeros"][1] >= 0.75


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_class_share_against_loops(n, dims, classes, seed):
    z = normal(n, dims, seed=seed)
    labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    values, names = z.numpy(), labels.numpy()
    shares = []
    for column in values.T:
        total = sum((v - column.mean()) ** 2 for v in column)
        within = sum((v - column[names == c].mean()) ** 2 for v, c in zip(column, names, strict=True))
        shares.append(1 - within / total)
    assert class_share(z, labels) == pytest.approx(np.mean(shares), abs=1e-9)


def test_class_share_of_what_does_not_vary_is_0():
    index = torch.tensor([0, 0, 1, 1, 1])
    assert class_share(torch.full((5, 2), 0.1, dtype=torch.float64), index) == 0.0
    assert class_share(index.double().unsqueeze(1) * 0.3 + 0.1, index) == pytest.approx(1.0)


def test_class_share_of_unrelated_labels():
    index = torch.randint(10, (2000,), generator=torch.Generator().manual_seed(0))
    # Of one dimension the mean is 9/1999 and the deviation sqrt(18)/1999; of 50 dimensions' mean a seventh of it.
    assert class_share(normal(2000, 50), index) == pytest.approx(9 / 1999, abs=6 * 18**0.5 / 1999 / 50**0.5)


@pytest.mark.parametrize(
    "labels",
    [None, torch.rand(4), torch.zeros(4, 3, dtype=torch.long), torch.zeros(3, dtype=torch.long)],
    ids=["none", "real", "several", "other-length"],
)
def test_labels_that_are_no_classes_are_left_aside(labels):
    assert "level_class_share" not in describe_levels([normal(4, 2)], labels)


def test_too_many_classes_are_left_aside():
    n = MAX_CLASSES + 1
    assert "level_class_share" not in describe_levels([normal(n, 1)], torch.arange(n))
    assert "level_class_share" in describe_levels([normal(n, 1)], torch.arange(n).clamp(max=MAX_CLASSES - 1))


def test_no_data():
    report = HierarchySpec(levels=2).build(4).diagnose(torch.empty(0, 4), torch.empty(0, dtype=torch.long))
    assert report == {"level_sizes": [2, 2]}


def test_one_row_varies_nowhere():
    report = HierarchySpec(levels=2).build(4).diagnose(normal(1, 4), torch.tensor([3]))
    for name in ("level_variance", "level_from_above", "level_from_own", "level_class_share"):
        assert report[name] == [0.0, 0.0]


@pytest.mark.parametrize(("above", "own"), [(3.0, 4.0), (1.0, 0.0), (0.0, 1.0), (-2.0, 0.5)])
def test_shares_of_a_linear_level(above, own):
    """Of a z0 + b y1 the level above explains a² Var(z0) of a² Var(z0) + b² Var(y1)."""
    y = normal(100, 2)
    report = linear(above, own).diagnose(y, None)
    first, second = above**2 * float(y[:, 0].var()), own**2 * float(y[:, 1].var())
    assert report["level_from_above"] == pytest.approx([0, first / (first + second)])
    assert report["level_from_own"] == pytest.approx([1, second / (first + second)])


def test_shares_of_a_product_are_all_interaction():
    a, b = normal(40, 1, 1), normal(1, 40, 1, seed=1)
    assert shares_of_variance((a - a.mean()) * (b - b.mean())) == pytest.approx((0, 0), abs=1e-12)


def test_shares_against_all_pairs():
    """An affine level of several dimensions, with loops over all pairs of rows."""
    torch.manual_seed(0)
    mapping = HierarchySpec(levels=[2, 3], form="affine").build(5).double()
    y = normal(30, 5)
    report = mapping.diagnose(y, None)
    z = np.array([[mapping(torch.cat([a[:2], b[2:]]))[2:].tolist() for b in y] for a in y])
    total = z.reshape(-1, 3).var(axis=0).sum()
    assert report["level_from_above"][1] == pytest.approx(z.mean(axis=1).var(axis=0).sum() / total)
    assert report["level_from_own"][1] == pytest.approx(z.mean(axis=0).var(axis=0).sum() / total)
    assert report["level_from_above"][1] + report["level_from_own"][1] < 0.999


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**32), st.sampled_from([1e-8, 1.0, 1e8]))
def test_shares_are_shares(m, dims, seed, size):
    above, own = shares_of_variance(size * (5 + normal(m, m, dims, seed=seed)))
    assert above >= 0
    assert own >= 0
    assert above + own <= 1 + 1e-9


def test_a_large_set_is_thinned_evenly():
    assert evenly_spaced(5).tolist() == [0, 1, 2, 3, 4]
    rows = evenly_spaced(10_000)
    assert len(rows) == len(set(rows.tolist())) == 128
    assert rows.min() == 0
    assert set(rows.diff().tolist()) == {78, 79}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("text", ["hierarchy:levels=3", "hierarchy:levels=4,form=affine", "hierarchy:hidden=8"])
def test_of_a_mapping_as_json(text, dtype):
    torch.manual_seed(0)
    mapping = load_mapping(text, 6)
    y = normal(300, 6).to(dtype).requires_grad_()
    report = mapping.diagnose(y, torch.arange(300) % 3)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert all(len(numbers) == len(mapping.levels) for numbers in report.values())
    assert report["level_from_above"][0] == 0
    assert report["level_from_own"][0] == 1
    assert all(share > 0.01 for share in report["level_from_above"][1:])
    assert report == mapping.diagnose(y, torch.arange(300) % 3)


def test_on_chosen_dimensions_through_the_core():
    torch.manual_seed(0)
    mapping = load_mapping("hierarchy:levels=2,dims=[3,1]", 4)
    y = normal(50, 4)
    assert diagnose(mapping, y, None) == mapping.inner.diagnose(y[:, [3, 1]], None)
