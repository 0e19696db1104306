"""Which metrics compare generated examples with real ones? Their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from intel_core.evaluation.measurement import Measurement
from intel_core.evaluation.metric import MetricSpec

if TYPE_CHECKING:
    from intel_core.evaluation.subject import Subject

__all__ = ["CertaintySpec", "FrechetSpec", "PRDCSpec"]

_EXTRACTOR = (
    "lenet: last hidden layer of a classifier trained on these data; inception: as published FID; "
    "raw: the values themselves"
)
_WEIGHTS = "file of Inception's weights; by default INTEL_INCEPTION, else where torch.hub keeps files"
_CLASSIFIER_SEED = "seed of the classifier's training; one classifier serves all runs on the same data"


class FeatureSpec(MetricSpec):
    """The common settings of metrics that compare examples by their features."""

    extractor: Literal["lenet", "inception", "raw"] = Field("lenet", description=_EXTRACTOR)
    weights: str | None = Field(None, min_length=1, description=_WEIGHTS)
    classifier_seed: int = Field(0, ge=0, lt=2**63, description=_CLASSIFIER_SEED)

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.weights is not None and self.extractor != "inception":
            raise ValueError(f"weights are Inception's, extractor={self.extractor} has none to be read")
        return self


class FrechetSpec(FeatureSpec):
    r"""Fréchet distance of generated and real examples in a network's features, beside that of two real sets.

    .. math:: \|\mu_1 - \mu_2\|^2 + \mathrm{Tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    It is the FID only with `extractor=inception`; other features give other numbers.

    Source: Heusel et al. 2017.

    >>> FrechetSpec(extractor="raw").n
    5000
    """

    n: int = Field(5000, ge=20, le=200_000, description="examples a side, at most; as many as the test part has")
    few: bool = Field(False, description="allow fewer than 2048 examples a side, which biases the distance upward")

    def measure(self, subject: Subject) -> Measurement:
        """The distance, its floor and their protocol.

        Raises:
            NotApplicableError: for too few examples, no labels, no images or no weights where they are needed.
        """
        from intel_metrics.frechet import measure_frechet

        return measure_frechet(
            subject,
            extractor=self.extractor,
            weights=self.weights,
            classifier_seed=self.classifier_seed,
            most=self.n,
            few=self.few,
            seed=self.seed,
        )


class PRDCSpec(FeatureSpec):
    """Precision, recall, density and coverage of generated examples, beside those of real ones.

    Source: Kynkäänniemi et al. 2019; Naeem et al. 2020.

    >>> PRDCSpec().k
    5
    """

    n: int = Field(5000, ge=2, le=20_000, description="examples a side, at most; as many as the test part has")
    k: int = Field(5, ge=1, le=1000, description="number of neighbours that a ball reaches to")

    def measure(self, subject: Subject) -> Measurement:
        """The four numbers, their values for real data, and their protocol.

        Raises:
            NotApplicableError: for too few examples, no labels, no images or no weights where they are needed.
        """
        from intel_metrics.neighbours import measure_prdc

        return measure_prdc(
            subject,
            extractor=self.extractor,
            weights=self.weights,
            classifier_seed=self.classifier_seed,
            most=self.n,
            k=self.k,
            seed=self.seed,
        )


class CertaintySpec(MetricSpec):
    """Share of generated examples that a classifier of the data is unsure of, and share of each class.

    Source: Miao et al., table 2, whose classifier is logistic; the paper gives no further details of it.

    >>> CertaintySpec().below
    0.8
    """

    classifier: Literal["logistic", "lenet"] = Field(
        "logistic", description="trained on these data: logistic regression on pixels, as in the paper, or a LeNet"
    )
    n: int = Field(10_000, ge=1, le=1_000_000, description="generated examples")
    below: float = Field(0.8, gt=0, le=1, description="an example is uncertain if no class has this probability")
    classifier_seed: int = Field(0, ge=0, lt=2**63, description=_CLASSIFIER_SEED)

    def measure(self, subject: Subject) -> Measurement:
        """The shares, the classifier's own on real data, and their protocol.

        Raises:
            NotApplicableError: if the data have no classes, or are no images where a LeNet is asked for.
        """
        from intel_metrics.class_shares import measure_certainty

        return measure_certainty(
            subject,
            kind=self.classifier,
            n=self.n,
            below=self.below,
            classifier_seed=self.classifier_seed,
            seed=self.seed,
        )
