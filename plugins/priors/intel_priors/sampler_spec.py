"""Which settings has the flow that is fitted to a run after training? Only its methods import torch."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from intel_core.evaluation.sampler import FittedSampler, SamplerSpec

if TYPE_CHECKING:
    from torch import Tensor

    from intel_priors.fitted_flow import FittedFlow, Shape

__all__ = ["FlowSamplerSpec"]

Width = Annotated[int, Field(ge=1, le=4096)]


class FlowSamplerSpec(SamplerSpec):
    r"""A normalising flow fitted to the aggregate posterior of the training data, by maximum likelihood.

    .. math:: q(y) = N(f(y); 0, I)\, |\det \partial f / \partial y|

    Source: Ghosh et al., "From variational to deterministic autoencoders", 2020 (ex-post density estimation).
    """

    form: Literal["nsf", "maf", "realnvp"] = Field(
        "nsf",
        description="nsf: autoregressive splines, the most flexible; maf: autoregressive affine maps; realnvp: affine "
        "couplings, whose draws cost least",
    )
    transforms: int = Field(3, ge=1, le=32, description="number of bijections in a row")
    hidden: tuple[Width, ...] = Field(
        (128, 128), min_length=1, max_length=8, description="widths of the networks that give their parameters"
    )
    bins: int = Field(8, ge=2, le=256, description="pieces of each spline of nsf")
    steps: int = Field(
        20_000, ge=1, le=10_000_000, description="steps at most; the likelihood of validation data ends it earlier"
    )

    def fit(self, y: Tensor, held_out: Tensor) -> FittedSampler:
        """See `intel_priors.fitted_flow.fit`."""
        from intel_priors.fitted_flow import fit

        return fit(y, held_out, self._shape(), steps=self.steps, seed=self.seed)

    def prior(self, tensors: Dictionary[str, Tensor]) -> FittedFlow:
        """See `intel_priors.fitted_flow.FittedFlow`."""
        from intel_priors.fitted_flow import of_tensors

        return of_tensors(tensors, self._shape())

    def _shape(self) -> Shape:
        from intel_priors.fitted_flow import Shape

        return Shape(self.form, self.transforms, self.hidden, self.bins)
