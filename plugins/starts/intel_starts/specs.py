"""Which settings have starts that fit a mixture or centres to the data? Their specs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from intel_core.errors import DataError
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KMeansStartSpec", "MixtureStartSpec"]

FEW_VALUES = 32
"""Vectors of at most so many values are clustered as they are, larger ones and images by their encodings."""


class _FittedStartSpec(StartSpec):
    """What starts have in common that fit something several times."""

    of: Literal["auto", "encodings", "values"] = Field(
        "auto",
        description="what is clustered: the means of q(y|x), or the values of the examples; auto: the values of "
        f"vectors of at most {FEW_VALUES}, otherwise the encodings",
    )
    fits: int = Field(12, ge=1, le=1000, description="fits from different beginnings, of which one is chosen")
    examples: int = Field(20_000, ge=100, le=10**7, description="training examples that are fitted at most")

    def takes_values(self, given: StartData) -> bool:
        """Whether the values of the examples are clustered, rather than their encodings."""
        shape = given.train.shape[1:]
        return self.of == "values" or (self.of == "auto" and len(shape) == 1 and shape[0] <= FEW_VALUES)

    def rows(self, given: StartData) -> NDArray[np.float64]:
        """What is clustered, one row per training example, float64."""
        import torch

        from intel_core.data.values import to_float

        if not self.takes_values(given):
            encoded: NDArray[np.float64] = given.y.double().numpy()
            return encoded
        x = to_float(given.train.read(torch.arange(len(given.train)))).flatten(1)
        values: NDArray[np.float64] = x.double().cpu().numpy()
        return values

    def require_examples(self, given: StartData) -> None:
        """Refuse to look for more clusters than there are examples.

        Raises:
            DataError: naming both numbers.
        """
        if given.clusters > len(given.y):
            raise DataError(f"{given.clusters} clusters cannot be found in {len(given.y)} training examples")


class MixtureStartSpec(_FittedStartSpec):
    """The components of a mixture of K Gaussians, each with a full covariance of its own.

    Of several fits the most likely one is taken. On encodings EM begins from k-means, on values from rows that lie far
    apart, which was better on each (docs/results/clusters.md).
    """

    def find(self, given: StartData) -> FoundClusters:
        """See `intel_starts.fits.best_mixture`."""
        from intel_starts.fits import best_mixture

        self.require_examples(given)
        begins: Literal["kmeans", "k-means++"] = "k-means++" if self.takes_values(given) else "kmeans"
        return best_mixture(self.rows(given), given.clusters, self.fits, self.examples, given.seed, begins)


class KMeansStartSpec(_FittedStartSpec):
    """The nearest of K centres: k-means, the best of several fits by the distance to the centres."""

    def find(self, given: StartData) -> FoundClusters:
        """See `intel_starts.fits.nearest_centres`."""
        from intel_starts.fits import nearest_centres

        self.require_examples(given)
        return nearest_centres(self.rows(given), given.clusters, self.fits, self.examples, given.seed)
