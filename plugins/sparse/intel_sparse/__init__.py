"""How does a representation get sparse? A learned mapping switches off dimensions, different ones for each point.

Names are loaded on first use, so that importing the package or its spec does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_sparse.mapping import SparseMapping as SparseMapping
    from intel_sparse.penalty import SparsityPenalty as SparsityPenalty
    from intel_sparse.sparsity import gaussian_floor as gaussian_floor
    from intel_sparse.sparsity import hoyer as hoyer
    from intel_sparse.sparsity import hoyer_ceiling as hoyer_ceiling
    from intel_sparse.sparsity import hoyer_score as hoyer_score
    from intel_sparse.sparsity import sparsity_loss as sparsity_loss
    from intel_sparse.spec import SparseSpec as SparseSpec
    from intel_sparse.spec import SparsityPenaltySpec as SparsityPenaltySpec

__version__ = "0.1.0"

_HOMES = {
    "mapping": ("SparseMapping",),
    "penalty": ("SparsityPenalty",),
    "sparsity": ("gaussian_floor", "hoyer", "hoyer_ceiling", "hoyer_score", "sparsity_loss"),
    "spec": ("SparseSpec", "SparsityPenaltySpec"),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
