"""Is this mapping a good citizen? Checks of the contract and of what a mapping declares, for whoever writes one.

In a test, one line::

    from intel_core.testing import conformance
    test_conformance = conformance(["spiral:turns=1", "spiral:turns=3"])

Anywhere else, ``check_mapping("spiral:turns=3").raise_if_failed()``, or ``intel check spiral:turns=3`` from a shell.
Importing this package imports neither pytest nor hypothesis, and torch only when a check is run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intel_core.testing import mutants, strategies
    from intel_core.testing.check import GROUPS, LEVELS, Check, all_checks
    from intel_core.testing.contract import conformance, property_tests
    from intel_core.testing.report import ConformanceError, Report, Result
    from intel_core.testing.runner import check_mapping, iter_checks

_HOME_OF = {
    "Check": "check",
    "ConformanceError": "report",
    "GROUPS": "check",
    "LEVELS": "check",
    "Report": "report",
    "Result": "report",
    "all_checks": "check",
    "check_mapping": "runner",
    "conformance": "contract",
    "iter_checks": "runner",
    "property_tests": "contract",
}
_MODULES = ("mutants", "strategies")

__all__ = [
    "GROUPS",
    "LEVELS",
    "Check",
    "ConformanceError",
    "Report",
    "Result",
    "all_checks",
    "check_mapping",
    "conformance",
    "iter_checks",
    "mutants",
    "property_tests",
    "strategies",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"intel_core.testing.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'intel_core.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"intel_core.testing.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF, *_MODULES])
