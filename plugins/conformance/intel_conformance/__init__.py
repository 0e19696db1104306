"""Is this mapping a good citizen? Checks of the contract and of what a mapping declares, for whoever writes one.

In a test, one line::

    from intel_conformance import conformance
    test_conformance = conformance(["spiral:turns=1", "spiral:turns=3"])

Anywhere else, ``check_mapping("spiral:turns=3").raise_if_failed()``, or ``intel check spiral:turns=3`` from a shell.
Importing this package imports neither pytest nor hypothesis, and torch only when a check is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_conformance import strategies as strategies
    from intel_conformance.check import GROUPS as GROUPS
    from intel_conformance.check import LEVELS as LEVELS
    from intel_conformance.check import Check as Check
    from intel_conformance.check import all_checks as all_checks
    from intel_conformance.contract import conformance as conformance
    from intel_conformance.contract import property_tests as property_tests
    from intel_conformance.report import ConformanceError as ConformanceError
    from intel_conformance.report import Report as Report
    from intel_conformance.report import Result as Result
    from intel_conformance.runner import check_mapping as check_mapping
    from intel_conformance.runner import iter_checks as iter_checks
    from intel_conformance.theory import theorem1 as theorem1

__version__ = "0.1.0"

_HOMES = {
    "": ("strategies",),
    "check": ("GROUPS", "LEVELS", "Check", "all_checks"),
    "contract": ("conformance", "property_tests"),
    "report": ("ConformanceError", "Report", "Result"),
    "runner": ("check_mapping", "iter_checks"),
    "theory": ("theorem1",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
