"""What can be asked of a mapping's clusters?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["ClustersSpec"]


class ClustersSpec(MetricSpec):
    """Share of data and of the prior in each cluster of the mapping, and agreement of clusters and classes.

    >>> ClustersSpec().features
    'mean'
    """

    n: int = Field(10_000, ge=1, le=10_000_000, description="draws of the prior")
    features: Literal["mean", "sample"] = Field(
        "mean", description="the y of an example that is assigned to a cluster: the posterior's mean or a sample"
    )

    def measure(self, subject: Subject) -> Measurement:
        """The shares and scores, and their protocol.

        Raises:
            NotApplicableError: if the mapping has no clusters, or only one.
        """
        from intel_metrics.clusters import measure_clusters

        return measure_clusters(subject, n=self.n, features=self.features, seed=self.seed)
