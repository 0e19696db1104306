"""Which settings have full covariances, flows and spike and slab? Their specs; only `build` imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from intel_core.model.contract import PosteriorSpec

if TYPE_CHECKING:
    from intel_posteriors.flow import FlowFamily
    from intel_posteriors.full import FullFamily
    from intel_posteriors.spike_slab import SpikeSlabFamily

__all__ = ["FlowPosteriorSpec", "FullSpec", "SpikeSlabPosteriorSpec"]

Width = Annotated[int, Field(ge=1, le=65536)]


class FullSpec(PosteriorSpec):
    r"""A Gaussian whose dimensions are correlated: the encoder gives the Cholesky factor of its covariance matrix.

    .. math:: q(y|x) = N(y; \mu, L L^T)

    >>> FullSpec().build(4).features
    14
    """

    def build(self, y_dim: int) -> FullFamily:
        """The family for `y_dim` dimensions; it has no weights of its own."""
        from intel_posteriors.full import FullFamily

        return FullFamily(y_dim)


class FlowPosteriorSpec(PosteriorSpec):
    r"""A normalising flow from noise to y that depends on x, by the package zuko.

    .. math:: y = \mu + \sigma \odot T(\epsilon; h), \qquad (\mu, \log \sigma^2, h) = encoder(x)

    Source: Kingma et al., 2016, for maf; Durkan et al., 2019, for nsf; Dinh et al., 2017, for realnvp.

    >>> FlowPosteriorSpec(context=5).build(2).features
    9
    """

    form: Literal["realnvp", "nsf", "maf"] = Field(
        "maf", description="maf: autoregressive affine maps; nsf: splines; realnvp: affine couplings of two halves"
    )
    transforms: int = Field(3, ge=1, le=100, description="number of bijections in a row")
    hidden: tuple[Width, ...] = Field(
        (64,), min_length=1, max_length=32, description="widths of the networks that give their parameters"
    )
    bins: int = Field(8, ge=2, le=1000, description="pieces of each spline of nsf")
    context: int = Field(32, ge=1, le=65536, description="numbers that the encoder gives to these networks")

    def build(self, y_dim: int) -> FlowFamily:
        """The family for `y_dim` dimensions, its weights drawn from torch's default generator."""
        from intel_posteriors.flow import FlowFamily

        return FlowFamily(y_dim, self.form, self.transforms, self.hidden, self.bins, self.context)


class SpikeSlabPosteriorSpec(PosteriorSpec):
    r"""Each dimension is exactly 0 with a probability that depends on x, else Gaussian; with ``prior=spike_slab``.

    .. math:: q(y_d|x) = \gamma_d\, N(y_d; \mu_d, \sigma_d^2) + (1 - \gamma_d)\, \delta_0(y_d)

    Source: Tonolini et al., Variational Sparse Coding, 2019.

    >>> SpikeSlabPosteriorSpec().build(4).noise_dim
    8
    """

    measure: ClassVar[str] = "atom0"

    sharpness: float = Field(
        100.0, gt=0, le=1e6, description="steepness c of the gates sigmoid(c (activity - u)) of draws in training"
    )

    def build(self, y_dim: int) -> SpikeSlabFamily:
        """The family for `y_dim` dimensions; it has no weights of its own."""
        from intel_posteriors.spike_slab import SpikeSlabFamily

        return SpikeSlabFamily(y_dim, self.sharpness)
