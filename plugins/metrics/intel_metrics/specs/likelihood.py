"""How is the log-likelihood measured? The settings of the metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["LikelihoodSpec"]


class LikelihoodSpec(MetricSpec):
    """log p(x) of test examples by importance sampling with the posterior; the ELBO and the gap between them."""

    cost: ClassVar[Literal["seconds", "minutes"]] = "minutes"
    particles: int = Field(500, ge=2, le=1_000_000, description="draws of q(y|x) per example")
    limit: int = Field(2000, ge=2, le=10_000_000, description="the first so many test examples")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.importance`."""
        from intel_metrics.importance import measure

        return measure(subject, particles=self.particles, limit=self.limit, seed=self.seed)
