"""Which settings have the priors, the mapping and the objective? Their specs; only `build` imports torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from intel_core.mappings.contract import MappingSpec
from intel_core.model.contract import ObjectiveSpec, PriorSpec

if TYPE_CHECKING:
    from intel_priors.discrepancy import DD
    from intel_priors.first import First
    from intel_priors.flow import FlowPrior
    from intel_priors.gmvae import GMVAEPrior
    from intel_priors.mixture import GaussianMixture
    from intel_priors.sparse_mixture import SparseMixture
    from intel_priors.spike_slab import SpikeSlab

__all__ = ["DDSpec", "FirstSpec", "FlowSpec", "GMVAESpec", "MixtureSpec", "SparseMixtureSpec", "SpikeSlabSpec"]

Width = Annotated[int, Field(ge=1, le=65536)]

_PRESETS: dict[str, dict[str, Any]] = {
    "sharp": {"k": 10, "radius": 3.0, "std": 0.5, "means": None, "learn": False},
    "as_coded": {"k": 2, "radius": 2.0, "std": math.exp(0.5), "means": "circle", "learn": False},
    "learned": {"k": 10, "radius": 3.0, "std": 0.5, "means": None, "learn": True},
}


class MixtureSpec(PriorSpec):
    r"""A mixture of K Gaussians with means on a circle, a simplex or a line, fixed or learned.

    .. math:: p(y) = \sum_k \pi_k N(y; \mu_k, \sigma_k^2)

    A preset is a set of defaults; settings that are given replace them. ``as_coded`` is what the authors' code has:
    means at ±2 on the first axis (for K = 4, two more on the second), the variance e, which is hardly bimodal: the
    density between two components is nine tenths of the largest. ``sharp`` has separate clusters.

    Source: Miao et al., section 7 (MoG-VAE), and their code.

    >>> MixtureSpec(k=3, radius=4).build(2, (1,)).means.round(decimals=2).tolist()
    [[4.0, 0.0], [-2.0, 3.46...], [-2.0, -3.46...]]
    """

    preset: Literal["sharp", "as_coded", "learned"] = Field(
        "sharp",
        description="defaults of the other settings; sharp: 10 components of deviation 0.5 at the distance 3; "
        "as_coded: the authors' 2 or 4 components at ±2 with the variance e; learned: sharp at first, then learned",
    )
    k: int | None = Field(None, ge=1, le=10_000, description="number of components; 10, or 2 for as_coded")
    radius: float | None = Field(None, ge=0, le=1e4, description="distance of the means from 0; 3 by default")
    std: float | None = Field(
        None, ge=1e-3, le=1e3, description="standard deviation of each component in each dimension; 0.5 by default"
    )
    means: Literal["circle", "simplex", "line"] | None = Field(
        None,
        description="where the means are; circle: in the first two dimensions; simplex: equally far from each other, "
        "in the first k-1; line: in the first; by default a circle, or a line if there is one latent dimension",
    )
    learn: bool | None = Field(
        None,
        description="whether means and standard deviations are learned, and weights unless they are said to be equal",
    )
    weights: Literal["equal", "learned"] | None = Field(
        None, description="shares of the components; equal by default, learned if the rest is"
    )

    @model_validator(mode="after")
    def _check(self) -> MixtureSpec:
        if self.preset == "as_coded":
            given = [name for name in ("radius", "std", "means", "learn", "weights") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"preset=as_coded fixes {given[0]}; leave out one of the two")
            if self.k not in (None, 2, 4):
                raise ValueError(
                    f"preset=as_coded has 2 or 4 components, not {self.k}; others are all at 0 in that code"
                )
        return self

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> GaussianMixture:
        """The prior for `y_dim` dimensions; nothing in it is random.

        Raises:
            ValueError: if there are too few dimensions for the means.
        """
        from intel_priors.mixture import GaussianMixture, arranged

        own = {name: getattr(self, name) for name in _PRESETS[self.preset]}
        chosen = {name: _PRESETS[self.preset][name] if value is None else value for name, value in own.items()}
        where: Literal["circle", "simplex", "line"] = chosen["means"] or ("line" if y_dim == 1 else "circle")
        learn_weights = chosen["learn"] if self.weights is None else self.weights == "learned"
        means = arranged(where, chosen["k"], chosen["radius"], y_dim)
        return GaussianMixture(means, chosen["std"], learn=chosen["learn"], learn_weights=learn_weights)


class GMVAESpec(PriorSpec):
    r"""The prior of a GM-VAE: y = (v, w), w is Gaussian, and v a mixture of K Gaussians that a network of w gives.

    .. math:: p(v, w) = N(w; 0, I)\, \frac1K \sum_c N(v; \mu_c(w), \sigma_c^2(w))

    Use it with the mapping ``first:keep=``, which hands v to the decoder; the run's ``latent`` is the number of
    dimensions of v and w together.

    Source: Dilokthanakul et al., 2016, with the component summed out.

    >>> GMVAESpec(k=3, w=2).build(5, (1,)).noise_dim
    6
    """

    k: int = Field(10, ge=1, le=10_000, description="number of components")
    w: int = Field(10, ge=1, le=100_000, description="dimensions of w, the last ones of y")
    hidden: int = Field(500, ge=1, le=65536, description="tanh units of the network that w goes through")

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> GMVAEPrior:
        """The prior, its weights drawn from torch's default generator.

        Raises:
            ValueError: if no dimension is left for v.
        """
        from intel_priors.gmvae import GMVAEPrior

        return GMVAEPrior(y_dim, self.k, self.w, self.hidden)


class SparseMixtureSpec(PriorSpec):
    r"""In each dimension, a narrow Gaussian mixed with a wide one: the sparse prior of the method DD.

    .. math:: p(y) = \prod_d \big[\gamma N(y_d; 0, s^2) + (1 - \gamma) N(y_d; 0, 1)\big]

    Source: Mathieu et al., 2019; its objective is ``dd``.

    >>> SparseMixtureSpec().build(3, (1,)).noise_dim
    6
    """

    gamma: float = Field(0.8, ge=0, le=1, description="share of the narrow component")
    scale: float = Field(0.05, ge=1e-3, le=1, description="standard deviation of the narrow component")

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> SparseMixture:
        """The prior for `y_dim` dimensions."""
        from intel_priors.sparse_mixture import SparseMixture

        return SparseMixture(y_dim, self.gamma, self.scale)


class SpikeSlabSpec(PriorSpec):
    r"""Each dimension is exactly 0 but with probability α, and then N(0, 1): the prior of variational sparse coding.

    .. math:: \alpha\, N(y_d; 0, 1) + (1 - \alpha)\, \delta_0(y_d)

    It goes together with the posterior ``spike_slab``, with the KL divergence in closed form.

    Source: Tonolini et al., 2019.

    >>> SpikeSlabSpec(alpha=0.2).build(3, (1,)).noise_dim
    6
    """

    measure: ClassVar[str] = "atom0"

    alpha: float = Field(
        0.2, ge=1e-6, le=1 - 1e-6, description="probability that a dimension is not 0; the sources have 0.01 to 0.2"
    )

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> SpikeSlab:
        """The prior for `y_dim` dimensions."""
        from intel_priors.spike_slab import SpikeSlab

        return SpikeSlab(y_dim, self.alpha)


class FlowSpec(PriorSpec):
    """A normalising flow of N(0, I), learned with the networks: RealNVP, spline flows or MAF.

    Source: Dinh et al., 2017; Durkan et al., 2019; Papamakarios et al., 2017.

    >>> FlowSpec(transforms=2).build(3, (1,)).noise_dim
    3
    """

    form: Literal["realnvp", "nsf", "maf"] = Field(
        "realnvp",
        description="realnvp: affine couplings; nsf: autoregressive splines, the most flexible, the only one with more "
        "than a Gaussian for one latent dimension; maf: autoregressive affine maps",
    )
    transforms: int = Field(4, ge=1, le=64, description="number of bijections in a row")
    hidden: tuple[Width, ...] = Field(
        (128,), min_length=1, max_length=8, description="widths of the networks that give their parameters"
    )
    bins: int = Field(8, ge=2, le=256, description="pieces of each spline of nsf")

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> FlowPrior:
        """The prior for `y_dim` dimensions, its weights drawn from torch's default generator."""
        from intel_priors.flow import FlowPrior

        return FlowPrior(y_dim, self.form, self.transforms, self.hidden, self.bins)


class DDSpec(ObjectiveSpec):
    r"""The ELBO minus a penalty on how far the aggregate posterior is from the prior, a discrepancy of draws (MMD).

    .. math:: ELBO_\beta - \alpha\, MMD(q(y), p(y))

    Source: Mathieu et al., 2019, with the prior ``sparse_mixture``.

    >>> DDSpec(alpha=10).build().particles
    3
    """

    measures: ClassVar[tuple[str, ...]] = ("lebesgue",)
    needs_whole_batch: ClassVar[bool] = True

    alpha: float = Field(100.0, ge=0, le=1e6, description="weight of the discrepancy of aggregate posterior and prior")
    beta: float = Field(1.0, ge=0, le=1e6, description="weight of the KL term; 1 is the ELBO")

    def build(self) -> DD:
        """See `intel_priors.discrepancy.DD`."""
        from intel_priors.discrepancy import DD

        return DD(self.alpha, self.beta)


class FirstSpec(MappingSpec):
    """The first dimensions of y, the others dropped: for priors of which the decoder sees a part, such as gmvae.

    >>> FirstSpec(keep=2).build(5).z_dim
    2
    """

    keep: int = Field(..., ge=1, le=100_000, description="how many dimensions z has, the first ones of y")

    def build(self, y_dim: int) -> First:
        """The mapping for `y_dim` dimensions.

        Raises:
            ValueError: if there are fewer than `keep`.
        """
        from intel_priors.first import First

        return First(y_dim, self.keep)
