"""Where else is a record of a training kept? In TensorBoard, Weights & Biases or MLflow.

Names are loaded on first use, and each library is imported when a training begins that is tracked by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_trackers.specs import MlflowSpec as MlflowSpec
    from intel_trackers.specs import TensorBoardSpec as TensorBoardSpec
    from intel_trackers.specs import WandbSpec as WandbSpec

__version__ = "0.1.0"

_HOMES = {"specs": ("MlflowSpec", "TensorBoardSpec", "WandbSpec")}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
