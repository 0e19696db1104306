"""How does a package offer names without importing the modules that define them?"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's ``__getattr__``, ``__dir__`` and ``__all__``, which import each name on its first use.

    Args:
        package: name of the package.
        homes: the names that each of its modules offers; the module is written relative to the package, and ``""``
            stands for names that are modules of the package themselves.

    >>> get, _, names = lazy_names("intel_core", {"errors": ("IntelError",)})
    >>> names, get("IntelError").__name__
    (['IntelError'], 'IntelError')
    >>> get("intel_error")
    Traceback (most recent call last):
    AttributeError: module 'intel_core' has no attribute 'intel_error'
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = home_of[name]
        if not module:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    def names() -> list[str]:
        return sorted(home_of)

    return get, names, names()
