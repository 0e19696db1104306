"""How are scikit-learn's digits read?"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.reading.arrays import make_dataset
from intel_datasets.files import TENTHS, Shares
from intel_datasets.selection import select_classes

__all__ = ["load"]


def load(classes: Sequence[int] = (), *, binarize: bool = False, shares: Shares = TENTHS) -> Dataset:
    """The 8x8 test part of the UCI 'Optical Recognition of Handwritten Digits' (Alpaydin & Kaynak, 1998).

    Images ``(n, 1, 8, 8)`` float32: counts 0 … 16 divided by 16. Labels ``(n,)``. They are split at random, without
    stratification.

    Args:
        classes: digits to keep, relabelled 0, 1, … in this order; all ten if empty.
        binarize: make every pixel 1 if it is at least 0.5, else 0.
        shares: of the validation and test parts.

    >>> data = load([0, 1])
    >>> data.x_shape, len(data.train), data.support
    ((1, 8, 8), 288, 'unit')
    """
    counts, labels = _digits()
    x = torch.from_numpy(counts).to(torch.float32).div_(16).unsqueeze(1)
    if binarize:
        x = (x >= 0.5).to(torch.float32)
    chosen = select_classes(Split(x, torch.from_numpy(labels).long()), classes)
    return make_dataset(
        "digits",
        chosen.x,
        chosen.labels,
        validation=shares.validation,
        test=shares.test,
        split_seed=shares.seed,
        support="binary" if binarize else "unit",
        class_names=tuple(str(k) for k in classes or range(10)),
    )


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Counts ``(1797, 8, 8)`` and digits: scikit-learn's file, without importing scikit-learn, which takes a second."""
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            table = np.loadtxt(path, delimiter=",")
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch["images"], bunch["target"]
