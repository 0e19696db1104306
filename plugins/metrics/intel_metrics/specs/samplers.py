"""Which distributions can be fitted to the encodings of a run's data, to draw from? Their settings."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.evaluation.sampler import FittedSampler, SamplerSpec

if TYPE_CHECKING:
    from torch import Tensor

    from intel_metrics.pooled import PooledMixture

__all__ = ["PooledSpec"]


class PooledSpec(SamplerSpec):
    r"""A Gaussian mixture fitted to the aggregate posterior of the training data, by maximum likelihood.

    .. math:: q(y) = \sum_k \pi_k N(y; \mu_k, \Sigma_k)

    Source: Ghosh et al., "From variational to deterministic autoencoders", 2020 (ex-post density estimation).
    """

    components: int | None = Field(
        None, ge=1, le=1000, description="number of Gaussians; by default chosen by the likelihood of validation data"
    )
    covariance: Literal["full", "diagonal"] = Field(
        "full", description="whether dimensions of a component vary jointly"
    )

    def fit(self, y: Tensor, held_out: Tensor) -> FittedSampler:
        """See `intel_metrics.pooled.fit`."""
        from intel_metrics.pooled import fit

        return fit(y, held_out, self.components, full=self.covariance == "full", seed=self.seed)

    def prior(self, tensors: Dictionary[str, Tensor]) -> PooledMixture:
        """See `intel_metrics.pooled.PooledMixture`."""
        from intel_metrics.pooled import PooledMixture

        return PooledMixture(**tensors)
