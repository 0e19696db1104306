"""How is an InteL-VAE used as an estimator of scikit-learn? A transformer and a clusterer.

Names are loaded on first use, so that importing the package imports neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_sklearn.clusterer import InteLVAEClusterer as InteLVAEClusterer
    from intel_sklearn.fitted import FittedRun as FittedRun
    from intel_sklearn.transformer import InteLVAETransformer as InteLVAETransformer

__version__ = "0.1.0"

_HOMES = {
    "clusterer": ("InteLVAEClusterer",),
    "fitted": ("FittedRun",),
    "transformer": ("InteLVAETransformer",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
