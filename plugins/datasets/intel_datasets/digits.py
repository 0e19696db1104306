"""How are scikit-learn's digits read?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from intel_core.data.dataset import Dataset, Split
from intel_core.reading.arrays import make_dataset
from intel_datasets.selection import select_classes

if TYPE_CHECKING:
    from intel_datasets.spec import DigitsSpec

__all__ = ["load"]


def load(spec: DigitsSpec) -> Dataset:
    """The 8x8 test part of the UCI 'Optical Recognition of Handwritten Digits' (Alpaydin & Kaynak, 1998).

    Images ``(n, 1, 8, 8)`` float32: counts 0 … 16 divided by 16; with `binarize`, 1 where that is at least
    0.5. Labels ``(n,)``. Split at random, without stratification.

    >>> from intel_core.components.spec import parse_spec
    >>> data = load(parse_spec("datasets", "digits:classes=[0,1]"))
    >>> data.x_shape, len(data.train), data.support
    ((1, 8, 8), 288, 'unit')
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch["images"]).to(torch.float32).div_(16).unsqueeze(1)
    if spec.binarize:
        x = (x >= 0.5).to(torch.float32)
    chosen = select_classes(Split(x, torch.from_numpy(bunch["target"]).long()), spec.classes)
    return make_dataset(
        "digits",
        chosen.x,
        chosen.labels,
        validation=spec.validation,
        test=spec.test,
        split_seed=spec.split_seed,
        support="binary" if spec.binarize else "unit",
        class_names=tuple(str(k) for k in spec.classes or range(10)),
    )
