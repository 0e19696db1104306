"""What can be asked of z as a representation?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["ForestSpec", "ProbeSpec"]

_FEATURES = "features for training and test: g of the posterior's mean, or g of a sample of it"
Count = Annotated[int, Field(ge=2, le=1_000_000)]


class ForestSpec(MetricSpec):
    """Accuracy of a random forest that was trained on z of few labelled examples.

    Source: Miao et al., figure 7.

    >>> ForestSpec().examples
    (10, 20, 50, 100, 500, 1000)
    """

    examples: tuple[Count, ...] = Field(
        (10, 20, 50, 100, 500, 1000), min_length=1, max_length=100, description="numbers of training examples"
    )
    repeats: int = Field(10, ge=1, le=1000, description="number of repeats, each with other examples")
    features: Literal["mean", "sample"] = Field("mean", description=_FEATURES)

    def measure(self, subject: Subject) -> Measurement:
        """Accuracy and balanced accuracy for each number of examples, and their protocol.

        Raises:
            NotApplicableError: if the data have no classes, or too few examples.
        """
        from intel_metrics.forest import measure_forest

        return measure_forest(
            subject, examples=self.examples, repeats=self.repeats, source=self.features, seed=self.seed
        )


class ProbeSpec(MetricSpec):
    """Accuracy of logistic regression on z, for classes or for the attributes that the data set offers.

    >>> ProbeSpec().examples
    10000
    """

    examples: int = Field(10_000, ge=2, le=10_000_000, description="training examples, at most")
    features: Literal["mean", "sample"] = Field("mean", description=_FEATURES)

    def measure(self, subject: Subject) -> Measurement:
        """Accuracy and balanced accuracy, and their protocol.

        Raises:
            NotApplicableError: if the data have neither classes nor attributes.
        """
        from intel_metrics.probe import measure_probe

        return measure_probe(subject, examples=self.examples, source=self.features, seed=self.seed)
