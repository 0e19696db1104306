"""Which labels are classes?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intel_core.helpers.labels import MAX_CLASSES, as_classes


def test_classes_and_the_index_of_each_row() -> None:
    found = as_classes(torch.tensor([5, -2, 5, 9], dtype=torch.int16), 4)
    assert found is not None
    assert found[0] == [-2, 5, 9]
    assert found[1].tolist() == [1, 0, 1, 2]
    assert as_classes(torch.tensor([True, False]), 2) is not None


@pytest.mark.parametrize(
    "labels",
    [None, torch.tensor([0.0, 1.0]), torch.zeros(2, 3, dtype=torch.long), torch.zeros(3, dtype=torch.long)],
    ids=["none", "floats", "several per row", "another number"],
)
def test_what_is_no_class(labels: Tensor | None) -> None:
    assert as_classes(labels, 2) is None


def test_too_many_are_identifiers() -> None:
    assert as_classes(torch.arange(MAX_CLASSES), MAX_CLASSES) is not None
    assert as_classes(torch.arange(MAX_CLASSES + 1), MAX_CLASSES + 1) is None
    assert as_classes(torch.empty(0, dtype=torch.long), 0) is None
