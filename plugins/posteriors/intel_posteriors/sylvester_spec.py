"""Which settings has the Sylvester posterior? Its spec; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from intel_core.model.contract import PosteriorSpec

if TYPE_CHECKING:
    from intel_posteriors.sylvester import SylvesterFamily

__all__ = ["SylvesterSpec"]


class SylvesterSpec(PosteriorSpec):
    r"""A Gaussian, then Sylvester flows, all of whose parameters the encoder gives for each example.

    .. math:: y \mapsto y + Q R_1 \tanh(R_2 Q^T y + b)

    Source: van den Berg et al., Sylvester Normalizing Flows for Variational Inference, 2018.

    >>> SylvesterSpec(rank=2).build(3).noise_dim
    3
    """

    flows: int = Field(4, ge=1, le=100, description="number of flows, one after another")
    rank: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="orthogonal: columns of Q; householder: reflections that make Q; at most the dimensions of y; "
        "by default 8, or as many as there are dimensions",
    )
    form: Literal["orthogonal", "householder", "triangular"] = Field(
        "orthogonal",
        description="Q: orthonormal columns, a product of reflections, or the identity and the reversal in turn",
    )

    @model_validator(mode="after")
    def _check(self) -> SylvesterSpec:
        if self.form == "triangular" and self.rank is not None:
            raise ValueError(f"form=triangular has no rank, Q is fixed; leave out rank={self.rank}")
        return self

    def build(self, y_dim: int) -> SylvesterFamily:
        """The family for `y_dim` dimensions; it has no weights of its own.

        Raises:
            ValueError: if `rank` is more than `y_dim`, since there are no more orthonormal vectors.
        """
        from intel_posteriors.sylvester import SylvesterFamily

        return SylvesterFamily(y_dim, self.flows, self.rank, self.form)
