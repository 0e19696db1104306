"""How does a representation get levels? By a learned mapping in which high levels influence low ones.

Names are loaded on first use, so that importing the package or its spec does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_hierarchy.affine import AffineHierarchy as AffineHierarchy
    from intel_hierarchy.dense import DenseHierarchy as DenseHierarchy
    from intel_hierarchy.mapping import HierarchyMapping as HierarchyMapping
    from intel_hierarchy.network import Network as Network
    from intel_hierarchy.spec import HierarchySpec as HierarchySpec

__version__ = "0.1.0"

_HOMES = {
    "affine": ("AffineHierarchy",),
    "dense": ("DenseHierarchy",),
    "mapping": ("HierarchyMapping",),
    "network": ("Network",),
    "spec": ("HierarchySpec",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
