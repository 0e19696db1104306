"""Which metrics describe the shape of samples? Their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator
from typing_extensions import Self

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec
from intel_metrics.confidence import resamples_for

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["BettiSpec", "ManifoldSpec"]


class ManifoldSpec(MetricSpec):
    """Do samples stay on the data's known curve or surface, and do they cover it?"""

    n: int = Field(10_000, ge=10, le=1_000_000, description="generated samples")
    away: float = Field(0.3, gt=0, description="a sample further away is off the manifold, in the data's units")
    near: float = Field(0.1, gt=0, description="a place is covered if a sample is nearer, in the data's units")
    places: int = Field(2000, ge=10, le=100_000, description="places spread evenly over the manifold")

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.manifold`."""
        from intel_metrics.manifold import measure

        return measure(subject, n=self.n, beyond=self.away, near=self.near, n_places=self.places, seed=self.seed)


class BettiSpec(MetricSpec):
    """Pieces and holes of z under the prior and of generated samples, counted above a confidence band (needs gudhi)."""

    n: int = Field(2000, ge=100, le=20_000, description="draws of the prior")
    mass: float = Field(0.02, gt=0, le=0.2, description="share of nearest draws in the distance to a measure")
    level: float = Field(0.95, ge=0.5, lt=1, description="confidence with which every feature that is counted is real")
    bootstraps: int = Field(
        100, ge=20, le=2000, description="resamples for the band; in 3 dimensions a third of them, if the level allows"
    )

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        needed = resamples_for(self.level)
        if self.bootstraps < needed:
            raise ValueError(f"level={self.level:g} needs bootstraps={needed} or more")
        return self

    def measure(self, subject: Subject) -> Measurement:
        """See `intel_metrics.homology`."""
        from intel_metrics.homology import measure

        return measure(subject, n=self.n, mass=self.mass, level=self.level, bootstraps=self.bootstraps, seed=self.seed)
