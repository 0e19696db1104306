"""Which settings have starts that fit a mixture or centres to the data? Their specs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt
from typing_extensions import Self

from intel_core.errors import DataError
from intel_core.recipe.starts import FoundClusters, StartData, StartSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from intel_core.data.dataset import Dataset

__all__ = ["KMeansStartSpec", "MixtureStartSpec"]

_MOST_NUMBERS = 2**27
"""Numbers of a table, or of the covariances of all clusters: 1 GiB."""
FEW_VALUES = 32
"""Vectors of at most so many values are clustered as they are, larger ones and images by their encodings."""


class _FittedStartSpec(StartSpec):
    """What starts have in common that fit something several times."""

    of: Literal["auto", "encodings", "values"] = Field(
        "auto",
        description="what is clustered: the means of q(y|x), or the values of the examples; auto: the values of "
        f"vectors of at most {FEW_VALUES}, otherwise the encodings",
    )
    examples: int = Field(20_000, ge=100, le=10**7, description="training examples that are fitted at most")

    def settled(self, dataset: Dataset) -> Self:
        """See `StartSpec.settled`; values do not have to be learned first."""
        if self.after is None and self.takes_values(dataset.x_shape):
            return self.model_copy(update={"after": 0.0})
        return super().settled(dataset)

    def takes_values(self, shape: Sequence[int]) -> bool:
        """Whether the values of examples of a shape are clustered, rather than their encodings."""
        return self.of == "values" or (self.of == "auto" and len(shape) == 1 and shape[0] <= FEW_VALUES)

    def rows(self, given: StartData) -> NDArray[np.float64]:
        """What is clustered, one row per training example, float64, on a scale of about 1.

        Each column of values has variance 1. Encodings keep their proportions, and the widest dimension has variance 1:
        a dimension that the posterior does not use would be noise as wide as all others.
        """
        import numpy as np
        import torch

        from intel_core.data.values import to_float

        if not self.takes_values(given.train.shape[1:]):
            encoded: NDArray[np.float64] = given.y.double().numpy()
            widest = float(encoded.std(0).max())
            scaled: NDArray[np.float64] = (encoded - encoded.mean(0)) / (widest or 1.0)
            return scaled
        width = math.prod(given.train.shape[1:])
        if max(len(given.train), given.clusters * width) * width > _MOST_NUMBERS:
            raise DataError(
                f"{width:,} values of {len(given.train):,} examples are too many to be clustered as they are; "
                "say of=encodings"
            )
        x = to_float(given.train.read(torch.arange(len(given.train)))).flatten(1)
        values: NDArray[np.float64] = x.double().cpu().numpy()
        deviation = values.std(0)
        values -= values.mean(0)
        values /= np.where(deviation > 0, deviation, 1.0)
        return values

    def require_examples(self, given: StartData) -> None:
        """Refuse to look for more clusters than there are examples.

        Raises:
            DataError: naming both numbers.
        """
        if given.clusters > len(given.y):
            raise DataError(f"{given.clusters} clusters cannot be found in {len(given.y)} training examples")


class MixtureStartSpec(_FittedStartSpec):
    """The components of a mixture of K Gaussians, or of a larger one, joined to K clusters by their neighbours.

    Values may well be a mixture of K Gaussians: the most likely of several fits is taken. Clusters of encodings have
    other shapes: several mixtures of many Gaussians are fitted, those components are joined that have neighbours in
    common, among the encodings and among the values, and the clustering is taken that agrees most with the others.
    """

    choose: Literal["auto", "likelihood", "neighbours"] = Field(
        "auto",
        description="what makes the clusters: the most likely mixture of K Gaussians, or neighbours that join many; "
        "auto: likelihood for values, neighbours for encodings",
    )
    fits: PositiveInt | None = Field(
        None,
        le=1000,
        description="fits from different beginnings, of which one is chosen; by default 16, or 8 of many Gaussians; "
        "fewer of more than 150",
    )
    parts: int = Field(
        10, ge=1, le=1000, description="Gaussians for each cluster, where neighbours join them (150 in all at most)"
    )

    def find(self, given: StartData) -> FoundClusters:
        """See `intel_starts.fits.best_mixture` and `intel_starts.fits.joined_mixture`."""
        from intel_starts.fits import FITS, FITS_OF_PARTS, best_mixture, fits_for, joined_mixture
        from intel_starts.views import values_of

        self.require_examples(given)
        rows, of_values = self.rows(given), self.takes_values(given.train.shape[1:])
        if self.choose == "likelihood" or (self.choose == "auto" and of_values):
            fits = self.fits or fits_for(FITS, given.clusters)
            return best_mixture(rows, given.clusters, fits, self.examples, given.seed)
        also = None if of_values else values_of(given, min(len(rows), self.examples))
        fits = self.fits or fits_for(FITS_OF_PARTS, given.clusters)
        return joined_mixture(rows, given.clusters, fits, self.examples, given.seed, self.parts, also)


class KMeansStartSpec(_FittedStartSpec):
    """The nearest of K centres: k-means, the best of several fits by the distance to the centres."""

    fits: int = Field(16, ge=1, le=1000, description="fits from different beginnings, of which one is chosen")

    def find(self, given: StartData) -> FoundClusters:
        """See `intel_starts.fits.nearest_centres`."""
        from intel_starts.fits import nearest_centres

        self.require_examples(given)
        return nearest_centres(self.rows(given), given.clusters, self.fits, self.examples, given.seed)
