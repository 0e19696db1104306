"""Sparsity as an inductive bias: a map that switches dimensions of the Gaussian latent off, other ones for each point.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_sparse.spec import SparseSpec

if TYPE_CHECKING:
    from intel_sparse.mapping import SparseMapping
    from intel_sparse.sparsity import gaussian_floor, hoyer, hoyer_ceiling, hoyer_score, sparsity_loss

__version__ = "0.1.0"

_HOME_OF = {
    "SparseMapping": "mapping",
    "gaussian_floor": "sparsity",
    "hoyer": "sparsity",
    "hoyer_ceiling": "sparsity",
    "hoyer_score": "sparsity",
    "sparsity_loss": "sparsity",
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
    return getattr(importlib.import_module(f"intel_sparse.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
