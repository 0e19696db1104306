"""Do selecting and thinning keep the right examples?"""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from intel_datasets.selection import in_proportion, select_classes

from intel_core import DataError, Split

label_lists = st.lists(st.integers(0, 3), min_size=1, max_size=60)


def numbered(labels):
    return Split(torch.arange(len(labels))[:, None].float(), torch.tensor(labels))


@given(label_lists, st.permutations(range(4)), st.integers(1, 4))
def test_selection_keeps_order_and_numbers_classes_as_given(labels, order, count):
    classes = order[:count]
    part = select_classes(numbered(labels), classes)
    expected = [(i, classes.index(label)) for i, label in enumerate(labels) if label in classes]
    assert list(zip(part.x.flatten().int().tolist(), part.labels.tolist(), strict=True)) == expected


@given(label_lists, st.lists(st.sampled_from([0.0, 0.1, 0.25, 1.0, 3.0]), min_size=4, max_size=4), st.integers(0, 9))
def test_thinning_gives_the_largest_part_with_those_shares(labels, shares, seed):
    counts = [labels.count(k) for k in range(4)]
    wanted = [k for k in range(4) if shares[k] > 0]
    assume(wanted and all(counts[k] for k in wanted))
    part = in_proportion(numbered(labels), shares, seed)
    kept = part.labels.bincount(minlength=4).tolist()
    unit = min(counts[k] / shares[k] for k in wanted)  # examples per unit of share
    assert all(abs(kept[k] - unit * shares[k]) <= 0.5 + 1e-9 for k in range(4))
    assert any(kept[k] == counts[k] for k in wanted)
    rows = part.x.flatten().int().tolist()
    assert rows == sorted(set(rows))
    assert [labels[row] for row in rows] == part.labels.tolist()


def test_thinning_chooses_at_random_but_the_same_for_the_same_seed():
    split = numbered([0] * 50 + [1] * 50)
    first, again, other = (in_proportion(split, [1, 4], seed).x.flatten().tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first[:12] != list(range(12))


def test_a_class_without_examples_cannot_have_a_share():
    with pytest.raises(DataError, match=r"class 1 is to have the share 2, but has no examples"):
        in_proportion(numbered([0, 0]), [1, 2], seed=0)


def test_without_labels_there_is_nothing_to_select_by():
    with pytest.raises(DataError, match="no labels"):
        select_classes(Split(torch.zeros(3, 1)), [0])
