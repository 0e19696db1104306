"""Which likelihoods can a run choose by name? Their specs; torch is imported when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat

if TYPE_CHECKING:
    from intel_core.data.dataset import Support
    from intel_core.model.likelihood import Likelihood
from intel_core.model.contract import LikelihoodSpec

__all__ = ["BernoulliSpec", "ContinuousBernoulliSpec", "GaussianSpec", "LaplaceSpec"]


class BernoulliSpec(LikelihoodSpec):
    """Binary values; on values between 0 and 1 it is the cross-entropy, which is not a normalised density."""

    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit")

    def build(self) -> Likelihood:
        """See `intel_core.likelihoods.densities.Bernoulli`."""
        from intel_core.likelihoods.densities import Bernoulli

        return Bernoulli()


class ContinuousBernoulliSpec(LikelihoodSpec):
    """Values between 0 and 1, normalised (Loaiza-Ganem & Cunningham, 2019)."""

    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit")

    def build(self) -> Likelihood:
        """See `intel_core.likelihoods.densities.ContinuousBernoulli`."""
        from intel_core.likelihoods.densities import ContinuousBernoulli

        return ContinuousBernoulli()


class GaussianSpec(LikelihoodSpec):
    """Real values with Gaussian noise of fixed or learned variance."""

    variance: Literal["fixed", "shared", "learned"] = Field(
        "learned",
        description="fixed: scale**2; shared: one learned number; learned: per value, by the decoder",
    )
    scale: PositiveFloat = Field(1.0, description="standard deviation if fixed; its initial value if shared")
    floor: float = Field(1e-3, ge=0, description="variances that are not fixed are floor**2 + exp(log-variance)")

    def build(self) -> Likelihood:
        """See `intel_core.likelihoods.densities.Gaussian`."""
        from intel_core.likelihoods.densities import Gaussian

        return Gaussian(self.variance, self.scale, self.floor)


class LaplaceSpec(LikelihoodSpec):
    """Real values with Laplace noise of a fixed scale: the absolute error, normalised."""

    scale: PositiveFloat = Field(1.0, description="scale b of the density exp(-|x - mean| / b) / 2b")

    def build(self) -> Likelihood:
        """See `intel_core.likelihoods.densities.Laplace`."""
        from intel_core.likelihoods.densities import Laplace

        return Laplace(self.scale)
