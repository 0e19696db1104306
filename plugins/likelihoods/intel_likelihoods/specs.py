"""Which of these likelihoods can a run choose by name? Their specs; torch is imported when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator
from typing_extensions import Self

from intel_core.model.contract import LikelihoodSpec, NetworkSpec
from intel_core.networks.specs import MLPSpec
from intel_likelihoods.networks import LogMLPSpec

if TYPE_CHECKING:
    from intel_core.data.dataset import Dataset, Support
    from intel_core.model.likelihood import Likelihood

__all__ = ["CategoricalSpec", "NegativeBinomialSpec", "PoissonSpec", "StudentTSpec"]


class _CountsSpec(LikelihoodSpec):
    """What the likelihoods of counts have in common."""

    # Values in [0, 1] are refused by `check_data`, which can say what to do about them.
    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit", "real")
    mean: Literal["log", "library"] = Field(
        "log",
        description="log: the mean is exp(output); library: it is the total of x times the softmax of the outputs",
    )
    size: PositiveFloat = Field(
        10_000.0, description="with mean=library, the total for which samples and reconstructions are given"
    )

    def advised_encoder(self, usual: NetworkSpec) -> NetworkSpec:
        """Dense layers that see logarithms in the place of those that see the counts themselves."""
        return LogMLPSpec(**usual.model_dump()) if type(usual) is MLPSpec else usual

    def check_data(self, dataset: Dataset) -> None:
        """Refuse values that are no counts.

        Raises:
            DataError: with the first of them.
        """
        from intel_likelihoods.checks import require_counts

        require_counts(str(self), dataset)


class PoissonSpec(_CountsSpec):
    """Counts 0, 1, 2, … whose variance is their mean."""

    def build(self) -> Likelihood:
        """See `intel_likelihoods.counts.Poisson`."""
        from intel_likelihoods.counts import Poisson

        return Poisson(self.size if self.mean == "library" else None)


class NegativeBinomialSpec(_CountsSpec):
    """Counts 0, 1, 2, … that vary more than those of a Poisson distribution: variance = mean + mean² / theta."""

    dispersion: Literal["fixed", "shared", "learned"] = Field(
        "learned", description="fixed: theta; shared: one learned number; learned: per value, by the decoder"
    )
    theta: PositiveFloat = Field(
        10.0, gt=1e-4, description="the inverse dispersion if fixed; its initial value if shared"
    )

    def build(self) -> Likelihood:
        """See `intel_likelihoods.counts.NegativeBinomial`."""
        from intel_likelihoods.counts import NegativeBinomial

        return NegativeBinomial(self.size if self.mean == "library" else None, self.dispersion, self.theta)


class CategoricalSpec(LikelihoodSpec):
    """One-hot groups of columns, such as those of pandas.get_dummies: in each exactly one value is 1."""

    # Others than zeros and ones are refused by `check_data`, which can say what to do about them.
    supports: ClassVar[tuple[Support, ...]] = ("binary", "unit", "real")
    sizes: tuple[int, ...] = Field(
        (),
        description="number of columns of each group, in order; one number if all are equal; empty: all columns are "
        "one group",
    )

    @model_validator(mode="after")
    def _are_positive(self) -> Self:
        if any(size < 1 for size in self.sizes):
            raise ValueError(f"sizes={list(self.sizes)}: each is a number of columns, at least 1")
        return self

    def check_data(self, dataset: Dataset) -> None:
        """Refuse values that are no one-hot groups.

        Raises:
            DataError: with the first row that is none.
        """
        from intel_likelihoods.checks import require_one_hot

        require_one_hot(str(self), self.sizes, dataset)

    def build(self) -> Likelihood:
        """See `intel_likelihoods.categories.Categorical`."""
        from intel_likelihoods.categories import Categorical

        return Categorical(self.sizes)


class StudentTSpec(LikelihoodSpec):
    """Real values with outliers: Student's t with fixed or learned scale and degrees of freedom."""

    spread: Literal["fixed", "shared", "learned"] = Field(
        "learned", description="fixed: scale; shared: one learned number; learned: per value, by the decoder"
    )
    scale: PositiveFloat = Field(1.0, description="scale if fixed; its initial value if shared")
    floor: float = Field(1e-3, ge=0, description="squares of scales that are not fixed are floor**2 + exp(output)")
    df: PositiveFloat = Field(5.0, description="degrees of freedom, or where they begin if they are learned")
    learn_df: bool = Field(False, description="whether the degrees of freedom are one learned number, more than 1")

    @model_validator(mode="after")
    def _begins_above_one(self) -> Self:
        if self.learn_df and self.df <= 1:
            raise ValueError(f"df={self.df:g}: learned degrees of freedom are more than 1, where there is a mean")
        return self

    def build(self) -> Likelihood:
        """See `intel_likelihoods.student.StudentT`."""
        from intel_likelihoods.student import StudentT

        return StudentT(self.spread, self.scale, self.floor, self.df, learn_df=self.learn_df)
