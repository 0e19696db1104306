"""Sparsity as an inductive bias: a map that switches dimensions of the Gaussian latent off, other ones for each point.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_sparse.spec import SparseSpec

if TYPE_CHECKING:
    from intel_core.helpers.hoyer import gaussian_floor, hoyer, hoyer_score
    from intel_sparse.mapping import SparseMapping
    from intel_sparse.sparsity import hoyer_ceiling, sparsity_loss

__version__ = "0.1.0"

_HOME_OF = {
    "SparseMapping": "intel_sparse.mapping",
    "gaussian_floor": "intel_core.helpers.hoyer",
    "hoyer": "intel_core.helpers.hoyer",
    "hoyer_ceiling": "intel_sparse.sparsity",
    "hoyer_score": "intel_core.helpers.hoyer",
    "sparsity_loss": "intel_sparse.sparsity",
}

__all__ = [
    "SparseMapping",
    "SparseSpec",
    "gaussian_floor",
    "hoyer",
    "hoyer_ceiling",
    "hoyer_score",
    "sparsity_loss",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_sparse' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
