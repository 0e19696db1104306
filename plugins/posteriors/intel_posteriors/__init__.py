"""Which distributions can q(y|x) be, if no Gaussian with independent dimensions?

Names are loaded on first use, so that importing the package or its specs does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_posteriors.flow import FlowFamily as FlowFamily
    from intel_posteriors.full import FullFamily as FullFamily
    from intel_posteriors.full import FullGaussian as FullGaussian
    from intel_posteriors.spec import FlowPosteriorSpec as FlowPosteriorSpec
    from intel_posteriors.spec import FullSpec as FullSpec
    from intel_posteriors.spec import SpikeSlabPosteriorSpec as SpikeSlabPosteriorSpec
    from intel_posteriors.spike_slab import RelaxedSpikeSlab as RelaxedSpikeSlab
    from intel_posteriors.spike_slab import SpikeSlab as SpikeSlab
    from intel_posteriors.spike_slab import SpikeSlabFamily as SpikeSlabFamily
    from intel_posteriors.sylvester import Sylvester as Sylvester
    from intel_posteriors.sylvester import SylvesterFamily as SylvesterFamily
    from intel_posteriors.sylvester_spec import SylvesterSpec as SylvesterSpec

__version__ = "0.1.0"

_HOMES = {
    "flow": ("FlowFamily",),
    "full": ("FullFamily", "FullGaussian"),
    "spec": ("FlowPosteriorSpec", "FullSpec", "SpikeSlabPosteriorSpec"),
    "spike_slab": ("RelaxedSpikeSlab", "SpikeSlab", "SpikeSlabFamily"),
    "sylvester": ("Sylvester", "SylvesterFamily"),
    "sylvester_spec": ("SylvesterSpec",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
