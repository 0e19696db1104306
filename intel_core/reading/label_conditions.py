"""How do the labels of a data set become a condition of its examples?"""

from __future__ import annotations

from dataclasses import replace

from intel_core.data.dataset import Dataset, Split
from intel_core.errors import DataError
from intel_core.reading.conditions import Condition, Conditions
from intel_core.reading.missing import GivenDataset

__all__ = ["with_labels"]

LABEL = "label"
"""The name of the condition that the labels are."""


def with_labels(dataset: Dataset) -> Dataset:
    """A data set whose labels are a condition, too.

    Raises:
        DataError: if it has no labels.
    """
    import torch

    parts = (dataset.train, dataset.validation, dataset.test)
    if any(part.labels is None for part in parts):
        raise DataError(f"{dataset.name} has no labels, so that conditions=labels says nothing")
    count = 1 + max(int(part.labels.max()) for part in parts if part.labels is not None and len(part.labels))
    words = dataset.class_names or tuple(str(label) for label in range(count))
    label = Conditions((Condition(LABEL, words),))

    def conditioned(part: Split) -> Split:
        assert part.labels is not None
        own = torch.nn.functional.one_hot(part.labels.long().cpu(), len(words)).float()
        there = part.conditions
        return replace(part, conditions=own if there is None else torch.cat([there, own], 1))

    train, validation, test = (conditioned(part) for part in parts)
    before = getattr(dataset, "conditions", None)
    assert train.conditions is not None
    both = Conditions((*(before.columns if before else ()), *label.columns)).having_seen(train.conditions)
    given = dataset if isinstance(dataset, GivenDataset) else GivenDataset(**vars(dataset))
    return replace(given, train=train, validation=validation, test=test, conditions=both)
