"""Which metrics describe the latent space? Their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["AggregateSpec", "DiagnosisSpec", "HoyerSpec", "UnitsSpec"]


class HoyerSpec(MetricSpec):
    """Sparsity of z: the mean Hoyer score of posterior samples and of means, beside that of a Gaussian."""

    limit: int = Field(2000, ge=2, le=10_000_000, description="the first so many test examples")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.sparsity`."""
        from intel_metrics.sparsity import measure

        return measure(subject, limit=self.limit, seed=self.seed)


class UnitsSpec(MetricSpec):
    """Active dimensions of y by two criteria, the KL to the prior, and the part of it that distinguishes examples."""

    limit: int = Field(2000, ge=2, le=20_000, description="the first so many test examples")
    variance: float = Field(0.01, gt=0, le=1, description="a unit is active if the variance of its mean exceeds this")
    kl: float = Field(0.01, gt=0, le=100, description="a unit is active if its KL exceeds this, in nats per example")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.units`."""
        from intel_metrics.units import measure

        return measure(subject, limit=self.limit, variance=self.variance, least_kl=self.kl, seed=self.seed)


class AggregateSpec(MetricSpec):
    """Is the aggregate posterior the prior? Two distances, their values for prior against prior, and a test."""

    limit: int = Field(1000, ge=20, le=5000, description="the first so many test examples, and as many prior draws")
    directions: int = Field(100, ge=1, le=10_000, description="directions of the sliced distance")
    permutations: int = Field(199, ge=19, le=9999, description="permutations n of the test; p is at least 1 / (1 + n)")
    pairs: int = Field(20, ge=2, le=1000, description="pairs of independent prior samples for the reference value")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.aggregate`."""
        from intel_metrics.aggregate import measure

        return measure(
            subject,
            limit=self.limit,
            directions=self.directions,
            permutations=self.permutations,
            pairs=self.pairs,
            seed=self.seed,
        )


class DiagnosisSpec(MetricSpec):
    """The mapping's own diagnosis of encoded data; for levels, how much each of them changes what is decoded."""

    limit: int = Field(2000, ge=2, le=10_000_000, description="the first so many test examples")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.diagnosis`."""
        from intel_metrics.diagnosis import measure

        return measure(subject, limit=self.limit, seed=self.seed)
