"""How likely are counts, categories, values with outliers, and tables of several kinds given the decoder's output?

Names are loaded on first use, so that importing the package or its specs does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_likelihoods.categories import Categorical as Categorical
    from intel_likelihoods.counts import NegativeBinomial as NegativeBinomial
    from intel_likelihoods.counts import Poisson as Poisson
    from intel_likelihoods.mixed import Mixed as Mixed
    from intel_likelihoods.mixed_spec import MixedSpec as MixedSpec
    from intel_likelihoods.networks import LogMLPSpec as LogMLPSpec
    from intel_likelihoods.specs import CategoricalSpec as CategoricalSpec
    from intel_likelihoods.specs import NegativeBinomialSpec as NegativeBinomialSpec
    from intel_likelihoods.specs import PoissonSpec as PoissonSpec
    from intel_likelihoods.specs import StudentTSpec as StudentTSpec
    from intel_likelihoods.student import StudentT as StudentT

__version__ = "0.1.0"

_HOMES = {
    "categories": ("Categorical",),
    "counts": ("NegativeBinomial", "Poisson"),
    "mixed": ("Mixed",),
    "mixed_spec": ("MixedSpec",),
    "networks": ("LogMLPSpec",),
    "specs": ("CategoricalSpec", "NegativeBinomialSpec", "PoissonSpec", "StudentTSpec"),
    "student": ("StudentT",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
