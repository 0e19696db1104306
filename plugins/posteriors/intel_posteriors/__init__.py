"""Which distributions can q(y|x) be, if no Gaussian with independent dimensions?

Names are loaded on first use, so that importing the package or its specs does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_posteriors.sylvester import Sylvester as Sylvester
    from intel_posteriors.sylvester import SylvesterFamily as SylvesterFamily
    from intel_posteriors.sylvester_spec import SylvesterSpec as SylvesterSpec

__version__ = "0.1.0"

_HOMES = {
    "sylvester": ("Sylvester", "SylvesterFamily"),
    "sylvester_spec": ("SylvesterSpec",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
