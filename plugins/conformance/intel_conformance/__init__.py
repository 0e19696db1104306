"""Does a component keep its contract, and is what it says true? Checks for authors of mappings and of other plugins.

In a test file, one line::

    from intel_conformance import conformance
    test_conformance = conformance(["spiral:turns=1", "spiral:turns=3"])

In a program, ``check_mapping("spiral:turns=3").raise_if_failed()``; from a shell, ``intel check spiral:turns=3``.
Other kinds likewise: ``check_prior("mog:k=3")``, ``conformance(["posterior:sylvester", "likelihood:poisson"])``.
Importing this package imports neither pytest nor hypothesis, and torch only once a check runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_conformance import strategies as strategies
    from intel_conformance.catalogue import all_checks as all_checks
    from intel_conformance.check import GROUPS as GROUPS
    from intel_conformance.check import Check as Check
    from intel_conformance.levels import LEVELS as LEVELS
    from intel_conformance.report import ConformanceError as ConformanceError
    from intel_conformance.report import Report as Report
    from intel_conformance.report import Reports as Reports
    from intel_conformance.report import Result as Result
    from intel_conformance.runner import check_mapping as check_mapping
    from intel_conformance.runner import iter_checks as iter_checks
    from intel_conformance.running import check_dataset as check_dataset
    from intel_conformance.running import check_likelihood as check_likelihood
    from intel_conformance.running import check_metric as check_metric
    from intel_conformance.running import check_network as check_network
    from intel_conformance.running import check_posterior as check_posterior
    from intel_conformance.running import check_prior as check_prior
    from intel_conformance.several import check_dims as check_dims
    from intel_conformance.testing import conformance as conformance
    from intel_conformance.testing import property_tests as property_tests
    from intel_conformance.theory import theorem1 as theorem1

__version__ = "0.1.0"

_HOMES = {
    "": ("strategies",),
    "catalogue": ("all_checks",),
    "check": ("GROUPS", "Check"),
    "running": ("check_dataset", "check_likelihood", "check_metric", "check_network", "check_posterior", "check_prior"),
    "levels": ("LEVELS",),
    "report": ("ConformanceError", "Report", "Reports", "Result"),
    "runner": ("check_mapping", "iter_checks"),
    "several": ("check_dims",),
    "testing": ("conformance", "property_tests"),
    "theory": ("theorem1",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
