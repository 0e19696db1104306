"""Hierarchy as an inductive bias: a learned map in which high levels of the representation influence low ones.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_hierarchy.spec import HierarchySpec

if TYPE_CHECKING:
    from intel_hierarchy.affine import AffineHierarchy
    from intel_hierarchy.dense import DenseHierarchy
    from intel_hierarchy.mapping import HierarchyMapping
    from intel_hierarchy.network import Network

__version__ = "0.1.0"

_HOME_OF = {
    "AffineHierarchy": "affine",
    "DenseHierarchy": "dense",
    "HierarchyMapping": "mapping",
    "Network": "network",
}

__all__ = ["AffineHierarchy", "DenseHierarchy", "HierarchyMapping", "HierarchySpec", "Network"]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_hierarchy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_hierarchy.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
