"""Holes as an inductive bias: the circle, glued at pairs of points into a chain of loops.

Names are loaded on first use, so that importing the package, or its `spec`, does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intel_holes.loops import Loops
from intel_holes.spec import HolesSpec

if TYPE_CHECKING:
    from intel_holes.mapping import HolesMapping

__version__ = "0.1.0"

__all__ = ["HolesMapping", "HolesSpec", "Loops"]


def __getattr__(name: str) -> Any:
    if name != "HolesMapping":
        raise AttributeError(f"module 'intel_holes' has no attribute {name!r}")
    return importlib.import_module("intel_holes.mapping").HolesMapping


def __dir__() -> list[str]:
    return sorted({*globals(), "HolesMapping"})
