"""Which priors, posteriors and objectives need no plugin? Their specs; torch is imported when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

if TYPE_CHECKING:
    from intel_core.model.objectives import Objective
    from intel_core.model.posterior import PosteriorFamily
    from intel_core.model.prior import Prior
from intel_core.model.contract import ObjectiveSpec, PosteriorSpec, PriorSpec

__all__ = ["DiagonalPosteriorSpec", "ELBOSpec", "IWAESpec", "StandardPriorSpec"]


class StandardPriorSpec(PriorSpec):
    """N(0, I), the prior of the paper."""

    is_usual: ClassVar[bool] = True

    def build(self, y_dim: int, x_shape: tuple[int, ...]) -> Prior:
        """See `intel_core.model.prior.StandardNormal`."""
        from intel_core.model.prior import StandardNormal

        return StandardNormal(y_dim)


class DiagonalPosteriorSpec(PosteriorSpec):
    """A Gaussian with independent dimensions, the posterior of the paper."""

    is_usual: ClassVar[bool] = True

    def build(self, y_dim: int) -> PosteriorFamily:
        """See `intel_core.model.posterior.DiagonalFamily`."""
        from intel_core.model.posterior import DiagonalFamily

        return DiagonalFamily(y_dim)


class ELBOSpec(ObjectiveSpec):
    """The evidence lower bound on y (Eq. 2), its KL term weighted by beta."""

    measures: ClassVar[tuple[str, ...]] = ("lebesgue", "atom0")

    beta: float = Field(1.0, ge=0, description="weight of the KL term; 1 is the ELBO")

    def build(self) -> Objective:
        """See `intel_core.model.objectives.ELBO`."""
        from intel_core.model.objectives import ELBO

        return ELBO(self.beta)


class IWAESpec(ObjectiveSpec):
    """The importance-weighted bound with several particles (Burda et al., 2016)."""

    measures: ClassVar[tuple[str, ...]] = ("lebesgue",)  # a spike cannot be differentiated through its density

    particles: int = Field(8, ge=1, le=10_000, description="samples of y per example")

    def build(self) -> Objective:
        """See `intel_core.model.objectives.IWAE`."""
        from intel_core.model.objectives import IWAE

        return IWAE(self.particles)
