"""Which distributions may y have a priori, if not N(0, I)? Mixtures, sparse ones and flows.

Names are loaded on first use, so that importing the package or its specs does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intel_core.lazy import lazy_names

if TYPE_CHECKING:
    from intel_priors.densities import component_log_probs as component_log_probs
    from intel_priors.discrepancy import DD as DD
    from intel_priors.discrepancy import squared_mmd as squared_mmd
    from intel_priors.first import First as First
    from intel_priors.fitted_flow import FittedFlow as FittedFlow
    from intel_priors.flow import FlowPrior as FlowPrior
    from intel_priors.gmvae import GMVAEPrior as GMVAEPrior
    from intel_priors.mixture import GaussianMixture as GaussianMixture
    from intel_priors.mixture import arranged as arranged
    from intel_priors.sampler_spec import FlowSamplerSpec as FlowSamplerSpec
    from intel_priors.sparse_mixture import SparseMixture as SparseMixture
    from intel_priors.spec import DDSpec as DDSpec
    from intel_priors.spec import FirstSpec as FirstSpec
    from intel_priors.spec import FlowSpec as FlowSpec
    from intel_priors.spec import GMVAESpec as GMVAESpec
    from intel_priors.spec import MixtureSpec as MixtureSpec
    from intel_priors.spec import SparseMixtureSpec as SparseMixtureSpec
    from intel_priors.spec import SpikeSlabSpec as SpikeSlabSpec
    from intel_priors.spike_slab import SpikeSlab as SpikeSlab
    from intel_priors.spike_slab import SpikeSlabPosterior as SpikeSlabPosterior
    from intel_priors.vamp import MixtureOfPosteriors as MixtureOfPosteriors
    from intel_priors.vamp import VampPrior as VampPrior
    from intel_priors.vamp_spec import VampSpec as VampSpec

__version__ = "0.1.0"

_HOMES = {
    "densities": ("component_log_probs",),
    "discrepancy": ("DD", "squared_mmd"),
    "first": ("First",),
    "fitted_flow": ("FittedFlow",),
    "flow": ("FlowPrior",),
    "gmvae": ("GMVAEPrior",),
    "mixture": ("GaussianMixture", "arranged"),
    "sampler_spec": ("FlowSamplerSpec",),
    "sparse_mixture": ("SparseMixture",),
    "spec": (
        "DDSpec",
        "FirstSpec",
        "FlowSpec",
        "GMVAESpec",
        "MixtureSpec",
        "SparseMixtureSpec",
        "SpikeSlabSpec",
    ),
    "spike_slab": ("SpikeSlab", "SpikeSlabPosterior"),
    "vamp": ("MixtureOfPosteriors", "VampPrior"),
    "vamp_spec": ("VampSpec",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
