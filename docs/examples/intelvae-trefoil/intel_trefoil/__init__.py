"""The mapping `trefoil`. Importing this imports no torch."""

from intel_trefoil.spec import TrefoilSpec

__version__ = "0.1.0"

__all__ = ["TrefoilSpec"]
