"""How does a latent space get clusters? The Gaussian latent is cut into K cells, which are pushed apart.

Names are loaded on first use, so that importing the package or its spec does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_cluster.displacement import Displacement as Displacement
    from intel_cluster.mapping import ClusterMapping as ClusterMapping
    from intel_cluster.mapping import LearnedClusterMapping as LearnedClusterMapping
    from intel_cluster.sectors import SectorSplit as SectorSplit
    from intel_cluster.simplex import SimplexSplit as SimplexSplit
    from intel_cluster.spec import ClusterSpec as ClusterSpec

__version__ = "0.1.0"

_HOMES = {
    "displacement": ("Displacement",),
    "mapping": ("ClusterMapping", "LearnedClusterMapping"),
    "sectors": ("SectorSplit",),
    "simplex": ("SimplexSplit",),
    "spec": ("ClusterSpec",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
