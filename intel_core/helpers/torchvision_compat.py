"""How does a plugin import torchvision if its compiled part does not fit this build of torch?

A torchvision built against CUDA cannot load its compiled part beside a CPU build of torch, and importing it
fails with ``operator torchvision::nms does not exist``. Data sets and networks need none of that part: it is enough to
declare the schemas of the two operators that torchvision expects to find. A complete torchvision is left alone.
The core itself uses no torchvision.
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

__all__ = ["import_with_torchvision"]

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # a schema lives as long as its library object


def import_with_torchvision(module: str) -> ModuleType:
    """A module of torchvision, or one that imports it.

    Args:
        module: its full name.

    Raises:
        ImportError: if it, or torchvision, is not installed.

    >>> import_with_torchvision("json").__name__
    'json'
    """
    if "torchvision" not in sys.modules:
        _declare_missing()
    return importlib.import_module(module)


def _declare_missing() -> None:
    new_library: Any = torch.library.Library  # torch leaves it untyped
    _load_compiled_part()
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            # A fragment does not collide with another declaration of the same namespace.
            library = new_library("torchvision", "FRAGMENT")
            library.define(operator + _SCHEMA)
            _declared.append(library)


def _load_compiled_part() -> None:
    """Load the compiled part as torchvision itself would; only afterwards is it known which operators are missing."""
    load_library: Any = torch.ops.load_library  # torch leaves it untyped
    found = importlib.util.find_spec("torchvision")
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        for file in sorted(Path(folder).glob("_C.*")):
            with contextlib.suppress(ImportError, OSError):
                load_library(str(file))
