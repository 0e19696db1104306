"""Clusters as an inductive bias: a map that cuts the Gaussian latent into K sectors and pushes them apart.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_cluster.spec import ClusterSpec

if TYPE_CHECKING:
    from intel_cluster.displacement import Displacement
    from intel_cluster.line import LineSplit
    from intel_cluster.mapping import ClusterMapping, LearnedClusterMapping
    from intel_cluster.sectors import SectorSplit

__version__ = "0.1.0"

_HOME_OF = {
    "ClusterMapping": "mapping",
    "Displacement": "displacement",
    "LearnedClusterMapping": "mapping",
    "LineSplit": "line",
    "SectorSplit": "sectors",
}

__all__ = ["ClusterMapping", "ClusterSpec", "Displacement", "LearnedClusterMapping", "LineSplit", "SectorSplit"]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_cluster' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_cluster.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
