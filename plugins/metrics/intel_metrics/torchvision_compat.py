"""How is a library imported that imports torchvision, where torchvision's compiled part does not fit this torch?

Beside a CPU build of torch, a torchvision built against CUDA fails with ``operator torchvision::nms does not exist``.
Networks need none of that part: declaring the two missing operators is enough. A complete torchvision is left alone.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

__all__ = ["import_beside_torchvision"]

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # a schema lives as long as its library object


def import_beside_torchvision(module: str) -> ModuleType:
    """A module by its full name.

    Raises:
        ImportError: if it, or torchvision, is not installed.

    >>> import_beside_torchvision("torchvision.models").__name__
    'torchvision.models'
    """
    if "torchvision" not in sys.modules:
        _declare_missing()
    return importlib.import_module(module)


def _declare_missing() -> None:
    new_library: Any = torch.library.Library  # torch leaves both untyped
    load_library: Any = torch.ops.load_library
    found = importlib.util.find_spec("torchvision")
    # What torchvision does first; only afterwards is it known which operators are missing.
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        for file in sorted(Path(folder).glob("_C.*")):
            with contextlib.suppress(ImportError, OSError):
                load_library(str(file))
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library = new_library("torchvision", "FRAGMENT")
            library.define(operator + _SCHEMA)
            _declared.append(library)
