"""Which synthetic sets can be named? The paper's points in the plane, a sphere, and three loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from intel_core.data.dataset import DatasetSpec
from intel_datasets.specs.fields import Seed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from intel_core.data.dataset import Dataset

__all__ = [
    "CircleSpec",
    "CurveSpec",
    "InfinitySpec",
    "MixtureSpec",
    "SphereSpec",
    "SquareSpec",
    "StarSpec",
    "SyntheticSpec",
    "ThreeLoopsSpec",
]


class SyntheticSpec(DatasetSpec):
    """Base of the synthetic sets: points drawn from a known distribution with a seed."""

    shape: ClassVar[str] = ""
    """Name in `intel_datasets.synthetic`."""

    n: int = Field(
        10_000, ge=20, le=10_000_000, description="training points; validation and test have a fifth as many each"
    )
    noise: float = Field(0.0, ge=0, le=100, description="standard deviation of isotropic Gaussian noise added to them")
    data_seed: Seed = Field(0, description="seed of the points")
    standardize: bool = Field(
        False, description="scale each coordinate to mean 0 and variance 1, measured on the training points"
    )

    def load(self, data_dir: Path | None) -> Dataset:
        """See `intel_datasets.synthetic.load`."""
        from intel_datasets import synthetic

        return synthetic.load(self.shape, self.n, self.noise, self.data_seed, self.standardize)

    @property
    def betti(self) -> tuple[int, ...]:
        """Betti numbers of the noiseless set, see `intel_datasets.synthetic.BETTI`; this makes it `intel_core.Shaped`.

        >>> InfinitySpec().betti
        (1, 2)
        """
        from intel_datasets import synthetic

        return synthetic.BETTI[self.shape]


class CurveSpec(SyntheticSpec):
    """Base of the synthetic sets on a curve or surface: they are `intel_core.OnManifold`, with noise or without."""

    def distance_to_manifold(self, points: Tensor) -> Tensor:
        """Distance of each point, in the units before standardisation; see `intel_datasets.synthetic`.

        Raises:
            DataError: for a wrong shape or values that are not finite.
        """
        import torch

        from intel_datasets import synthetic

        return torch.from_numpy(synthetic.distance_to_manifold(self.shape, points))

    def along_manifold(self, n: int) -> Tensor:
        """`n` points spread evenly over the curve or surface, ``(n, 2)`` or ``(n, 3)``, float64."""
        import torch

        from intel_datasets import synthetic

        return torch.from_numpy(synthetic.along_manifold(self.shape, n))


class CircleSpec(CurveSpec):
    """Circle of radius 2 in the plane, uniform; the paper calls it 'sphere'."""

    shape: ClassVar[str] = "circle"


class SquareSpec(CurveSpec):
    """Outline of the square with corners (±√2, ±√2), uniform."""

    shape: ClassVar[str] = "square"


class StarSpec(CurveSpec):
    """Outline of a five-pointed star with radii 2 and 2/3, uniform."""

    shape: ClassVar[str] = "star"


class InfinitySpec(CurveSpec):
    """Figure eight 2(cos t, sin t cos t) with two holes, t uniform."""

    shape: ClassVar[str] = "infinity"


class MixtureSpec(SyntheticSpec):
    """Two Gaussians of standard deviation 0.3 around (-2, 0) and (2, 0), half of the points each."""

    shape: ClassVar[str] = "mixture"


class SphereSpec(CurveSpec):
    """Sphere of radius 2 in three dimensions, uniform by area; what the paper calls 'sphere' is circle here."""

    shape: ClassVar[str] = "sphere"


class ThreeLoopsSpec(CurveSpec):
    """Chain of three touching circles of radius 2/3 with three holes, uniform; not in the paper."""

    shape: ClassVar[str] = "three_loops"
