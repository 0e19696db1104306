"""Are these the data that a run was begun with? All parts and labels decide, not the training examples alone.

Validation examples decide early stopping, test examples the final numbers, and labels what the mapping says of them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from intel_core.data.dataset import Dataset
from intel_core.data.values import fingerprint

__all__ = ["changed_part", "fingerprints"]


def fingerprints(dataset: Dataset) -> dict[str, str]:
    """What ``run.json`` keeps beside the training examples: of ``validation``, ``test``, ``labels`` and ``conditions``.

    >>> import torch
    >>> from intel_core import make_dataset
    >>> x, labels = torch.linspace(0, 1, 20).reshape(10, 2), torch.arange(10) % 2
    >>> one, other = (fingerprints(make_dataset("d", x, of)) for of in (labels, 1 - labels))
    >>> one["test"] == other["test"], one["labels"] == other["labels"]
    (True, False)
    """
    parts = (dataset.train, dataset.validation, dataset.test)
    labels = [None if part.labels is None else fingerprint(part.labels) for part in parts]
    said = json.dumps([labels, list(dataset.class_names)])
    found = {
        "validation": dataset.validation.fingerprint(),
        "test": dataset.test.fingerprint(),
        "labels": hashlib.sha256(said.encode()).hexdigest()[:16],
    }
    conditions = [part.conditions for part in parts]
    if any(one is not None for one in conditions):
        said = json.dumps([None if one is None else fingerprint(one) for one in conditions])
        found["conditions"] = hashlib.sha256(said.encode()).hexdigest()[:16]
    return found


def changed_part(kept: dict[str, Any], dataset: Dataset) -> str:
    """What differs from the parts that a run was begun with, in words; empty if nothing does.

    Args:
        kept: what ``run.json`` keeps of the data; a run of before the parts were kept has none, and accepts any.
        dataset: the data now, whose training examples are known to be the same.
    """
    before = kept.get("fingerprints")
    if not isinstance(before, dict):
        return ""
    now = fingerprints(dataset)
    words = {"validation": "validation examples", "test": "test examples"}
    there = {part: of for part, of in now.items() if part in before or part == "conditions"}
    return next((words.get(part, part) for part, of in there.items() if before.get(part) != of), "")
